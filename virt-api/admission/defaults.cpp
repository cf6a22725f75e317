#include "virt-api/admission/defaults.hpp"

#include <set>

#include "api/names.hpp"
#include "api/vmi.hpp"
#include "pkg/base/id.hpp"

namespace nodevirt::virt_api {

namespace {

/// The member as an object, made when it is absent or null; null when it is something else.
Json* object_at(Json* parent, const char* name) {
  if (!parent) return nullptr;
  auto& member = (*parent)[name];
  if (member.is_null()) member = Json::object();
  return member.is_object() ? &member : nullptr;
}

bool empty_list(const Json& parent, const char* name) {
  const Json* list = find(parent, {name});
  return !list || list->is_null() || (list->is_array() && list->empty());
}

void default_machine(Json* domain) {
  auto* machine = object_at(domain, "machine");
  if (machine && string_at(*machine, {"type"}).empty()) (*machine)["type"] = "q35";
}

void default_firmware_uuid(Json* domain) {
  auto* firmware = object_at(domain, "firmware");
  if (firmware && string_at(*firmware, {"uuid"}).empty()) (*firmware)["uuid"] = new_uuid();
}

void default_cpu(const Json& spec, Json* domain) {
  auto decoded = api::decode_instance_spec(spec);
  if (!decoded.ok()) return;  // validation says what is wrong
  auto topology = api::cpu_topology(decoded->domain);
  auto* cpu = object_at(domain, "cpu");
  if (!cpu) return;
  auto set = [cpu](const char* name, std::uint32_t value) {
    if (int_at(*cpu, {name}) == 0) (*cpu)[name] = value;
  };
  set("cores", topology.cores);
  set("sockets", topology.sockets);
  set("threads", topology.threads);
}

void default_network(Json& spec, Json* domain) {
  auto* devices = object_at(domain, "devices");
  if (!devices || !bool_at(*devices, {"autoattachPodInterface"}, true)) return;
  if (!empty_list(*devices, "interfaces") || !empty_list(spec, "networks")) return;
  (*devices)["interfaces"] = Json::array({{{"name", "default"}, {"masquerade", Json::object()}}});
  spec["networks"] = Json::array({{{"name", "default"}, {"pod", Json::object()}}});
}

/// Volumes that nobody made a disk of get one; the templates of machines stay as people wrote them.
void default_volume_disks(const Json& spec, Json* domain) {
  const Json* volumes = find(spec, {"volumes"});
  auto* devices = object_at(domain, "devices");
  if (!devices || !volumes || !volumes->is_array()) return;
  std::set<std::string> known;
  for (const char* list : {"disks", "filesystems"})
    if (const Json* members = find(*devices, {list}); members && members->is_array())
      for (const Json& member : *members) known.insert(string_at(member, {"name"}));
  auto& disks = (*devices)["disks"];
  if (disks.is_null()) disks = Json::array();
  if (!disks.is_array()) return;
  for (const Json& volume : *volumes)
    if (auto name = string_at(volume, {"name"}); !name.empty() && known.insert(name).second)
      disks.push_back({{"name", name}, {"disk", Json::object()}});
  if (disks.empty()) devices->erase("disks");
}

AdmissionAnswer patched(const Json& before, const Json& after) {
  auto out = allow();
  out.patch = Json::diff(before, after);
  return out;
}

}  // namespace

Json with_vm_defaults(Json vm) {
  auto* tmpl = vm.contains("spec") && vm["spec"].is_object() ? object_at(&vm["spec"], "template") : nullptr;
  auto* spec = object_at(tmpl, "spec");
  auto* domain = object_at(spec, "domain");
  default_machine(domain);
  default_firmware_uuid(domain);
  return vm;
}

Json with_vmi_defaults(Json vmi) {
  auto* spec = vmi.contains("spec") && vmi["spec"].is_object() ? &vmi["spec"] : nullptr;
  auto* domain = object_at(spec, "domain");
  if (!domain) return vmi;
  default_machine(domain);
  default_firmware_uuid(domain);
  default_cpu(*spec, domain);
  default_network(*spec, domain);
  default_volume_disks(*spec, domain);
  auto* metadata = object_at(&vmi, "metadata");
  if (!metadata) return vmi;
  auto& finalizers = (*metadata)["finalizers"];
  if (finalizers.is_null()) finalizers = Json::array();
  Json ours = std::string(api::kVmiFinalizer);
  if (finalizers.is_array() && std::find(finalizers.begin(), finalizers.end(), ours) == finalizers.end()) finalizers.push_back(ours);
  return vmi;
}

AdmissionAnswer mutate_vm(const AdmissionRequest& request) {
  if (request.operation != "CREATE" || !request.object.is_object()) return allow();
  return patched(request.object, with_vm_defaults(request.object));
}

AdmissionAnswer mutate_vmi(const AdmissionRequest& request) {
  if (request.operation != "CREATE" || !request.object.is_object()) return allow();
  return patched(request.object, with_vmi_defaults(request.object));
}

}  // namespace nodevirt::virt_api
