#include "virt-handler/migration/patches.hpp"

#include "api/names.hpp"
#include "virt-handler/migration/moved_volumes.hpp"

namespace nodevirt::virt_handler::migration {
namespace {

std::string escaped(std::string_view name) {
  std::string out;
  for (char c : name) {
    if (c == '~') out += "~0";
    else if (c == '/') out += "~1";
    else out += c;
  }
  return out;
}

bool is_of(const Json& vmi, const std::string& uid) { return string_at(vmi, {"status", "migrationState", "migrationUid"}) == uid; }

class Patch {
 public:
  Patch(const Json& vmi, const std::string& uid) : vmi_(vmi), ours_(is_of(vmi, uid)) {
    test("/metadata/uid", string_at(vmi, {"metadata", "uid"}));
    test("/status/migrationState/migrationUid", uid);
  }
  void as_read() { test("/metadata/resourceVersion", string_at(vmi_, {"metadata", "resourceVersion"})); }
  /// A member of the object at `parent`, which is there.
  void set(std::initializer_list<std::string_view> parent, std::string_view member, Json value) {
    const Json* object = find(vmi_, parent);
    if (const Json* now = object ? find(*object, {member}) : nullptr; now && *now == value) return;
    std::string path;
    for (std::string_view part : parent) path += "/" + escaped(part);
    ops_.push_back(Json{{"op", "add"}, {"path", path + "/" + escaped(member)}, {"value", std::move(value)}});
    changed_ = true;
  }
  void state(std::string_view member, Json value) { set({"status", "migrationState"}, member, std::move(value)); }
  void annotate(std::string_view name, const std::string& text) {
    if (!find(vmi_, {"metadata", "annotations"})) {
      set({"metadata"}, "annotations", Json{{std::string(name), text}});
      return;
    }
    set({"metadata", "annotations"}, name, text);
  }
  Json take() { return changed_ && ours_ ? std::move(ops_) : Json::array(); }

 private:
  void test(std::string path, std::string value) { ops_.push_back(Json{{"op", "test"}, {"path", std::move(path)}, {"value", std::move(value)}}); }
  const Json& vmi_;
  Json ops_ = Json::array();
  bool changed_ = false, ours_;
};

std::string decision(const std::string& uid, const char* owner) { return dump_json(Json{{"owner", owner}, {"uid", uid}}); }

/// Behind the address translation the guest is reached at its pod's address.
Json moved_interfaces(const Json& vmi, const NewHome& home) {
  const Json* stored = find(vmi, {"status", "interfaces"});
  Json out = stored && stored->is_array() ? *stored : Json::array();
  for (Json& item : out) {
    if (!item.is_object() || !item.contains("ipAddress")) continue;
    item["ipAddress"] = home.addresses.front();
    item["ipAddresses"] = home.addresses;
  }
  return out;
}

}  // namespace

Json started_patch(const Json& vmi, const std::string& uid, Clock::WallTime now) {
  if (bool_at(vmi, {"status", "migrationState", "failed"})) return Json::array();  // it was taken back
  Patch patch(vmi, uid);
  patch.as_read();
  if (string_at(vmi, {"status", "migrationState", "startTimestamp"}).empty()) patch.state("startTimestamp", format_time(now));
  patch.state("mode", "PreCopy");
  return patch.take();
}

Json mode_patch(const Json& vmi, const std::string& uid, const std::string& mode) {
  Patch patch(vmi, uid);
  patch.state("mode", mode);
  return patch.take();
}

Json progress_patch(const Json& vmi, const std::string& uid, const std::string& text) {
  Patch patch(vmi, uid);
  patch.annotate(api::kMigrationProgressAnnotation, text);
  return patch.take();
}

Json aborting_patch(const Json& vmi, const std::string& uid) {
  Patch patch(vmi, uid);
  patch.state("abortStatus", "Aborting");
  return patch.take();
}

Json owner_target_patch(const Json& vmi, const std::string& uid) {
  Patch patch(vmi, uid);
  patch.as_read();
  patch.annotate(api::kMigrationHandoverAnnotation, decision(uid, "target"));
  return patch.take();
}

Json failed_patch(const Json& vmi, const std::string& uid, const std::string& reason, Clock::WallTime now) {
  Patch patch(vmi, uid);
  patch.as_read();
  patch.annotate(api::kMigrationHandoverAnnotation, decision(uid, "source"));
  patch.state("failed", true);
  if (string_at(vmi, {"status", "migrationState", "endTimestamp"}).empty()) patch.state("endTimestamp", format_time(now));
  bool told = bool_at(vmi, {"status", "migrationState", "failed"}) && !string_at(vmi, {"status", "migrationState", "failureReason"}).empty();
  if (!told) patch.state("failureReason", reason);
  if (bool_at(vmi, {"status", "migrationState", "abortRequested"})) patch.state("abortStatus", "Succeeded");
  return patch.take();
}

Json lost_patch(const Json& vmi, const std::string& uid, const std::string& reason, Clock::WallTime now) {
  Patch patch(vmi, uid);
  if (bool_at(vmi, {"status", "migrationState", "completed"})) return Json::array();
  patch.as_read();
  patch.state("endTimestamp", format_time(now));
  patch.state("completed", true);
  patch.state("failed", true);
  patch.state("failureReason", reason);
  patch.set({"status"}, "phase", "Failed");
  patch.set({"status"}, "reason", "GuestLostInMigration");
  return patch.take();
}

Json address_patch(const Json& vmi, const std::string& uid, const std::string& address) {
  Patch patch(vmi, uid);
  patch.state("targetNodeAddress", address);
  if (!find(vmi, {"status", "migrationState", "targetNodeDomainDetected"})) patch.state("targetNodeDomainDetected", false);
  return patch.take();
}

Json detected_patch(const Json& vmi, const std::string& uid, Clock::WallTime now) {
  Patch patch(vmi, uid);
  patch.state("targetNodeDomainDetected", true);
  if (string_at(vmi, {"status", "migrationState", "targetNodeDomainReadyTimestamp"}).empty())
    patch.state("targetNodeDomainReadyTimestamp", format_time(now));
  return patch.take();
}

Json completed_patch(const Json& vmi, const std::string& uid, const NewHome& home, Clock::WallTime now) {
  Patch patch(vmi, uid);
  if (bool_at(vmi, {"status", "migrationState", "completed"})) return Json::array();
  patch.set({"status"}, "nodeName", home.node);
  if (find(vmi, {"metadata", "labels"})) patch.set({"metadata", "labels"}, api::kNodeNameLabel, home.node);
  else patch.set({"metadata"}, "labels", Json{{std::string(api::kNodeNameLabel), home.node}});
  if (!home.addresses.empty() && find(vmi, {"status", "interfaces"})) patch.set({"status"}, "interfaces", moved_interfaces(vmi, home));
  if (!home.pod_uid.empty()) {
    if (find(vmi, {"status", "activePods"})) patch.set({"status", "activePods"}, home.pod_uid, home.node);
    else patch.set({"status"}, "activePods", Json{{home.pod_uid, home.node}});
  }
  patch.state("targetNodeDomainDetected", true);
  if (string_at(vmi, {"status", "migrationState", "targetNodeDomainReadyTimestamp"}).empty())
    patch.state("targetNodeDomainReadyTimestamp", format_time(now));
  patch.state("endTimestamp", format_time(now));
  patch.state("completed", true);
  if (!home.failure.empty()) {
    patch.state("failed", true);
    patch.state("failureReason", home.failure);
    patch.set({"status"}, "phase", "Failed");
    patch.set({"status"}, "reason", "GuestLostInMigration");
  }
  if (has_moved_volumes(vmi)) {
    // Conditions are not ours alone.
    patch.as_read();
    patch.set({"status"}, "volumeStatus", volume_status_after_move(vmi));
    patch.set({"status"}, "conditions", conditions_after_move(vmi));
    patch.set({"status"}, "migratedVolumes", Json::array());
  }
  return patch.take();
}

}  // namespace nodevirt::virt_handler::migration
