#include "virt-controller/vm/instance.hpp"

#include "api/names.hpp"
#include "pkg/base/id.hpp"
#include "virt-controller/status_patch.hpp"

namespace nodevirt::virt_controller::vm {

namespace {

// The name space of all that is derived from a machine's uid.
constexpr std::string_view kNamespace = "6c1f1a0e-0e2a-5d6c-9d0b-7a3f6b6e6f64";

Json owner_reference(const Json& machine) {
  return {{"apiVersion", "kubevirt.io/v1"}, {"kind", "VirtualMachine"},
          {"name", string_at(machine, {"metadata", "name"})}, {"uid", string_at(machine, {"metadata", "uid"})},
          {"controller", true}, {"blockOwnerDeletion", true}};
}

Json& object_in(Json& parent, const char* key) {
  Json& member = parent[key];
  if (!member.is_object()) member = Json::object();
  return member;
}

// The default interface is put in here already, so that it has its stable address.
void add_interfaces(Json& spec, const std::string& uid) {
  Json& devices = object_in(object_in(spec, "domain"), "devices");
  bool attach = !devices.contains("autoattachPodInterface") || devices["autoattachPodInterface"] != false;
  bool none = !devices.contains("interfaces") || !devices["interfaces"].is_array() || devices["interfaces"].empty();
  bool no_networks = !spec.contains("networks") || !spec["networks"].is_array() || spec["networks"].empty();
  if (none && no_networks && attach) {
    devices["interfaces"] = Json::array({Json{{"name", "default"}, {"masquerade", Json::object()}}});
    spec["networks"] = Json::array({Json{{"name", "default"}, {"pod", Json::object()}}});
  }
  if (!devices.contains("interfaces") || !devices["interfaces"].is_array()) return;
  for (auto& i : devices["interfaces"]) {
    if (!i.is_object() || !string_at(i, {"macAddress"}).empty()) continue;
    i["macAddress"] = stable_mac(uid, string_at(i, {"name"}));
  }
}

}  // namespace

std::string stable_mac(const std::string& uid, const std::string& interface) {
  std::string hash = uuid_v5(kNamespace, uid + "/mac/" + interface);
  std::string hex;
  for (char c : hash)
    if (c != '-') hex += c;
  hex = hex.substr(hex.size() - 10);
  std::string mac = "02";
  for (std::size_t i = 0; i < 10; i += 2) mac += ":" + hex.substr(i, 2);
  return mac;
}

std::string stable_firmware_uuid(const std::string& uid) { return uuid_v5(kNamespace, uid + "/firmware"); }

std::string revision_name(const std::string& uid, std::int64_t generation) {
  return fmt::format("revision-start-vm-{}-{}", uid, generation);
}

Result<Json> build_instance(const Json& machine, bool start_paused, Clock::WallTime now) {
  const Json* spec = find(machine, {"spec", "template", "spec"});
  if (!spec || !spec->is_object())
    return Error(Code::FailedPrecondition, "FailedCreate", "spec.template.spec is missing: there is nothing to make an instance from");
  std::string uid = string_at(machine, {"metadata", "uid"});
  auto generation = int_at(machine, {"metadata", "generation"});

  Json metadata = {{"name", string_at(machine, {"metadata", "name"})}, {"namespace", string_at(machine, {"metadata", "namespace"})}};
  for (const char* map : {"labels", "annotations"})
    if (const Json* m = find(machine, {"spec", "template", "metadata", map}); m && m->is_object()) metadata[map] = *m;
  metadata["annotations"][std::string(api::kVmGenerationAnnotation)] = std::to_string(generation);
  metadata["ownerReferences"] = Json::array({owner_reference(machine)});
  metadata["finalizers"] = Json::array({std::string(api::kVmiFinalizer)});

  Json instance = {{"apiVersion", "kubevirt.io/v1"}, {"kind", "VirtualMachineInstance"}, {"metadata", std::move(metadata)}, {"spec", *spec}};
  Json& out = instance["spec"];
  Json& firmware = object_in(object_in(out, "domain"), "firmware");
  if (string_at(firmware, {"uuid"}).empty()) firmware["uuid"] = stable_firmware_uuid(uid);
  add_interfaces(out, uid);
  if (start_paused) out["startStrategy"] = "Paused";
  Json& status = instance["status"];
  status["virtualMachineRevisionName"] = revision_name(uid, generation);
  enter_phase(status, "Pending", now);
  return instance;
}

Json build_revision(const Json& machine) {
  const Json* spec = find(machine, {"spec"});
  std::string uid = string_at(machine, {"metadata", "uid"});
  auto generation = int_at(machine, {"metadata", "generation"});
  return {{"apiVersion", "apps/v1"}, {"kind", "ControllerRevision"},
          {"metadata", {{"name", revision_name(uid, generation)}, {"namespace", string_at(machine, {"metadata", "namespace"})},
                        {"labels", {{"kubevirt.io/vm-uid", uid}}}, {"ownerReferences", Json::array({owner_reference(machine)})}}},
          {"data", {{"spec", spec ? *spec : Json::object()}}}, {"revision", generation}};
}

}  // namespace nodevirt::virt_controller::vm
