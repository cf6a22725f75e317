#include "virt-controller/vm/live_update.hpp"

#include <array>
#include <string>

#include "virt-controller/status_patch.hpp"
#include "virt-controller/vm/volumes.hpp"

namespace nodevirt::virt_controller::vm {

namespace {

constexpr std::array<const char*, 3> kPlacement = {"nodeSelector", "affinity", "tolerations"};

Json member(const Json& object, const char* key) {
  auto it = object.is_object() ? object.find(key) : object.end();
  return it == object.end() ? Json() : *it;
}

// Empty and absent are the same to every reader.
bool same(const Json& a, const Json& b) {
  auto nothing = [](const Json& v) { return v.is_null() || ((v.is_object() || v.is_array()) && v.empty()); };
  return a == b || (nothing(a) && nothing(b));
}

void take_out(Json& spec, const Json& instance) {
  if (!spec.is_object()) return;
  for (const char* key : kPlacement) spec.erase(key);
  // The uuid that the guest has, written into a template that had none.
  const Json* running = find(instance, {"spec", "domain", "firmware", "uuid"});
  const Json* own = find(spec, {"domain", "firmware", "uuid"});
  if (!running || !own || *own != *running) return;
  Json& firmware = spec["domain"]["firmware"];
  firmware.erase("uuid");
  if (firmware.empty()) spec["domain"].erase("firmware");
}

// Claims that the instance has by now, whatever it began with.
void align_claims(Json& before, const Json& after, const Json& instance) {
  const Json* running = find(instance, {"spec", "volumes"});
  if (!running || !before.is_object() || !before.contains("volumes") || !after.contains("volumes")) return;
  auto claim_in = [](const Json& volumes, const std::string& name) -> std::string {
    if (volumes.is_array())
      for (const Json& v : volumes)
        if (string_at(v, {"name"}) == name) return string_at(v, {"persistentVolumeClaim", "claimName"});
    return "";
  };
  for (Json& v : before["volumes"]) {
    std::string name = string_at(v, {"name"}), wanted = claim_in(after["volumes"], name);
    if (!wanted.empty() && !string_at(v, {"persistentVolumeClaim", "claimName"}).empty() && claim_in(*running, name) == wanted)
      v["persistentVolumeClaim"]["claimName"] = wanted;
  }
}

}  // namespace

LiveUpdate compare_with_running(const Json& machine, const Json& started_from, const Json& instance) {
  LiveUpdate out;
  const Json* then = find(started_from, {"template"});
  const Json* now = find(machine, {"spec", "template"});
  const Json none;
  out.same_template = (then ? *then : none) == (now ? *now : none);
  out.patch = Json::array();
  const Json* then_spec = then ? find(*then, {"spec"}) : nullptr;
  const Json* now_spec = now ? find(*now, {"spec"}) : nullptr;
  if (!now_spec || !now_spec->is_object()) {
    out.restart_required = then_spec != nullptr;
    return out;
  }
  Json before = then_spec ? without_moved_claims(machine, *then_spec) : Json(), after = without_moved_claims(machine, *now_spec);
  align_claims(before, after, instance);
  take_out(before, instance);
  take_out(after, instance);
  out.restart_required = before != after;

  const Json* spec = find(instance, {"spec"});
  for (const char* key : kPlacement) {
    Json wanted = member(*now_spec, key), has = spec ? member(*spec, key) : Json();
    if (same(wanted, has)) continue;
    if (out.patch.empty()) out.patch.push_back(uid_test(instance));
    std::string path = std::string("/spec/") + key;
    out.patch.push_back(Json{{"op", "test"}, {"path", path}, {"value", has}});
    if (wanted.is_null()) out.patch.push_back(Json{{"op", "remove"}, {"path", path}});
    else out.patch.push_back(Json{{"op", "add"}, {"path", path}, {"value", std::move(wanted)}});
  }
  return out;
}

}  // namespace nodevirt::virt_controller::vm
