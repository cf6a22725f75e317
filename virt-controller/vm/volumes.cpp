#include "virt-controller/vm/volumes.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "virt-controller/status_patch.hpp"

namespace nodevirt::virt_controller::vm {

namespace {

using Move = VolumesPlan::Step;

Json op(const char* what, std::string path, Json value) { return {{"op", what}, {"path", std::move(path)}, {"value", std::move(value)}}; }

std::string claim_of(const Json& volume) { return string_at(volume, {"persistentVolumeClaim", "claimName"}); }

const Json* list_at(const Json& object, std::initializer_list<std::string_view> path) {
  const Json* list = find(object, path);
  return list && list->is_array() ? list : nullptr;
}

const Json* volumes_of_machine(const Json& machine) { return list_at(machine, {"spec", "template", "spec", "volumes"}); }
const Json* record_of(const Json& machine) { return list_at(machine, {"status", "volumeUpdateState", "volumeMigrationState", "migratedVolumes"}); }

std::map<std::string, std::string> claims_by_volume(const Json* volumes) {
  std::map<std::string, std::string> out;
  if (volumes)
    for (const Json& v : *volumes)
      if (std::string claim = claim_of(v); !claim.empty()) out[string_at(v, {"name"})] = claim;
  return out;
}

bool by_migration(const Json& machine) { return string_at(machine, {"spec", "updateVolumesStrategy"}) == "Migration"; }

bool migration_goes_on(const Json& instance) {
  const Json* state = find(instance, {"status", "migrationState"});
  if (!state || !state->is_object() || string_at(*state, {"migrationUid"}).empty()) return false;
  return !bool_at(*state, {"completed"}) && !bool_at(*state, {"failed"});
}

const Json* disk_of(const Json& instance, const std::string& volume) {
  if (const Json* disks = list_at(instance, {"spec", "domain", "devices", "disks"}))
    for (const Json& d : *disks)
      if (string_at(d, {"name"}) == volume) return &d;
  return nullptr;
}

class Planner {
 public:
  explicit Planner(const VolumesInput& in)
      : in_(in), wanted_(claims_by_volume(volumes_of_machine(in.machine))),
        have_(claims_by_volume(list_at(in.instance, {"spec", "volumes"}))), moved_(migrated_volumes(in.instance)) {}

  VolumesPlan plan() {
    out_.moving = moved_;
    if (!moved_.is_null()) return under_way();
    if (!by_migration(in_.machine)) return out_;
    std::vector<std::string> changed;
    for (const auto& [volume, claim] : have_)
      if (auto want = wanted_.find(volume); want != wanted_.end() && want->second != claim) changed.push_back(volume);
    if (changed.empty()) {
      settle_complaint();
      return out_;
    }
    Json moving = Json::array();
    for (const auto& volume : changed) {
      if (!check(volume)) return out_;
      Json source{{"claimName", have_[volume]}};
      if (auto claim = in_.claim(have_[volume])) source = claim->info;
      moving.push_back(Json{{"volumeName", volume}, {"sourcePVCInfo", std::move(source)}, {"destinationPVCInfo", in_.claim(wanted_[volume])->info}});
    }
    if (!check_rest(changed)) return out_;
    if (migration_goes_on(in_.instance)) return out_;  // its end wakes us
    out_.moving = moving;
    // Known to the machine before the instance names a claim that holds nothing yet.
    const Json* record = record_of(in_.machine);
    if (!record || *record != moving || !condition_is(in_.machine, "VolumesChange", "True")) {
      out_.step = Move::Record;
      return out_;
    }
    begin(std::move(moving));
    return out_;
  }

 private:
  VolumesPlan under_way() {
    bool all_back = true, all_there = true;
    for (const Json& m : moved_) {
      std::string volume = string_at(m, {"volumeName"});
      auto want = wanted_.find(volume);
      std::string claim = want == wanted_.end() ? "" : want->second;
      all_back = all_back && claim == string_at(m, {"sourcePVCInfo", "claimName"});
      all_there = all_there && claim == string_at(m, {"destinationPVCInfo", "claimName"});
    }
    if (all_there) return out_;
    if (!all_back) {
      out_.refused = "The volume can only be reverted to the previous version during the update";
      return out_;
    }
    if (migration_goes_on(in_.instance)) {
      if (bool_at(in_.instance, {"status", "migrationState", "abortRequested"})) return out_;
      out_.step = Move::Abort;
      out_.patch = Json::array({uid_test(in_.instance), op("test", "/status/migrationState", *find(in_.instance, {"status", "migrationState"})),
                                op("add", "/status/migrationState/abortRequested", true)});
      return out_;
    }
    out_.step = Move::TakeBack;
    out_.moving = Json();
    Json conditions = stored_conditions();
    set_condition(conditions, {"VolumesChange", "False", "VolumesChangeCancellation", "the volumes were changed back"}, in_.now);
    patch_instance(std::move(conditions));
    out_.patch.push_back(op("test", "/status/migratedVolumes", moved_));
    out_.patch.push_back(Json{{"op", "remove"}, {"path", "/status/migratedVolumes"}});
    return out_;
  }

  // One volume, by itself.
  bool check(const std::string& volume) {
    const std::string& claim = wanted_[volume];
    const Json* disk = disk_of(in_.instance, volume);
    if (!disk) return refuse(fmt::format("volume {} is no disk of the guest", volume));
    if (find(*disk, {"lun"})) return refuse(fmt::format("invalid volumes to update with migration: luns: [{}]", volume));
    if (bool_at(*disk, {"shareable"})) return refuse(fmt::format("invalid volumes to update with migration: shareable: [{}]", volume));
    auto target = in_.claim(claim);
    if (!target) return missing(fmt::format("One of the destination volumes doesn't exist: PersistentVolumeClaim {} is not there", claim));
    if (auto source = in_.claim(have_[volume]); source && target->bytes() < source->bytes())
      return refuse(fmt::format("volume {}: claim {} ({}) is smaller than {} ({}), and cannot take its disk", volume, claim, size_text(*target),
                                have_[volume], size_text(*source)));
    if (std::string user = in_.other_user(claim); !user.empty())
      return refuse(fmt::format("volume {}: claim {} is used by {}: a copy would overwrite it", volume, claim, user));
    for (const auto& [other, used] : wanted_)
      if (other != volume && used == claim) return refuse(fmt::format("volumes {} and {} cannot both move to claim {}", volume, other, claim));
    for (const auto& [other, used] : have_)
      if (used == claim) return refuse(fmt::format("volume {}: claim {} is in use by volume {} of the running guest", volume, claim, other));
    return true;
  }

  // What else keeps the instance on its node.
  bool check_rest(const std::vector<std::string>& changed) {
    if (const Json* can = find_condition(in_.instance, "StorageLiveMigratable"); can && string_at(*can, {"status"}) == "False")
      return refuse("cannot migrate the volumes as the VMI isn't migratable: " + string_at(*can, {"message"}));
    for (const auto& [volume, claim] : have_) {
      if (std::find(changed.begin(), changed.end(), volume) != changed.end()) continue;
      auto object = in_.claim(claim);
      const Json* modes = object ? list_at(object->info, {"accessModes"}) : nullptr;
      if (modes && std::find(modes->begin(), modes->end(), "ReadWriteMany") == modes->end())
        return refuse(fmt::format("cannot migrate the VM. The volume {} is RWO and not included in the migration volumes", volume));
    }
    return true;
  }

  static std::string size_text(const ClaimObject& claim) {
    std::string text = string_at(claim.info, {"capacity", "storage"});
    return text.empty() ? string_at(claim.info, {"requests", "storage"}, "0") : text;
  }

  bool refuse(std::string why) {
    out_.refused = std::move(why);
    return false;
  }

  bool missing(std::string why) {
    const Json* now = find_condition(in_.instance, "VolumesChange");
    if (now && string_at(*now, {"message"}) == why) return false;
    Json conditions = stored_conditions();
    set_condition(conditions, {"VolumesChange", "False", "", why}, in_.now);
    out_.step = Move::Complain;
    patch_conditions(std::move(conditions));
    return false;
  }

  void settle_complaint() {
    const Json* now = find_condition(in_.instance, "VolumesChange");
    if (!now || string_at(*now, {"status"}) != "False" || !string_at(*now, {"reason"}).empty()) return;
    Json conditions = stored_conditions();
    remove_condition(conditions, "VolumesChange");
    out_.step = Move::Complain;
    patch_conditions(std::move(conditions));
  }

  void begin(Json moving) {
    out_.step = Move::Begin;
    Json conditions = stored_conditions();
    set_condition(conditions, {"VolumesChange", "True", "", "migrate volumes"}, in_.now);
    moved_ = std::move(moving);
    patch_instance(std::move(conditions));
    const Json* before = find(in_.instance, {"status", "migratedVolumes"});
    out_.patch.push_back(op("test", "/status/migratedVolumes", before ? *before : Json()));
    out_.patch.push_back(op("add", "/status/migratedVolumes", moved_));
  }

  Json stored_conditions() const {
    const Json* conditions = list_at(in_.instance, {"status", "conditions"});
    return conditions ? *conditions : Json::array();
  }

  void patch_conditions(Json conditions) {
    const Json* before = find(in_.instance, {"status", "conditions"});
    out_.patch = Json::array({uid_test(in_.instance), op("test", "/status/conditions", before ? *before : Json()), op("add", "/status/conditions", std::move(conditions))});
  }

  // The claims as the machine has them, while no migration is under way.
  void patch_instance(Json conditions) {
    patch_conditions(std::move(conditions));
    const Json* state = find(in_.instance, {"status", "migrationState"});
    out_.patch.push_back(op("test", "/status/migrationState", state ? *state : Json()));
    Json volumes = *list_at(in_.instance, {"spec", "volumes"});
    out_.patch.push_back(op("test", "/spec/volumes", volumes));
    for (Json& v : volumes)
      for (const Json& m : moved_)
        if (string_at(m, {"volumeName"}) == string_at(v, {"name"})) v["persistentVolumeClaim"]["claimName"] = wanted_[string_at(v, {"name"})];
    out_.patch.push_back(op("replace", "/spec/volumes", std::move(volumes)));
  }

  const VolumesInput& in_;
  std::map<std::string, std::string> wanted_, have_;   // volume -> claim
  Json moved_;
  VolumesPlan out_;
};

}  // namespace

VolumesPlan plan_volumes(const VolumesInput& in) { return Planner(in).plan(); }

Json migrated_volumes(const Json& instance) {
  const Json* list = list_at(instance, {"status", "migratedVolumes"});
  return list && !list->empty() ? *list : Json();
}

Json left_behind(const Json& machine, const Json& instance) {
  const Json* record = record_of(machine);
  Json moved = migrated_volumes(instance);
  auto info_of = [&](const std::string& volume, const std::string& claim) {
    for (const Json* list : {static_cast<const Json*>(&moved), record})
      if (list && list->is_array())
        for (const Json& m : *list)
          for (const char* side : {"sourcePVCInfo", "destinationPVCInfo"})
            if (const Json* info = find(m, {side}); info && string_at(m, {"volumeName"}) == volume && string_at(*info, {"claimName"}) == claim) return *info;
    return Json{{"claimName", claim}};
  };
  auto wanted = claims_by_volume(volumes_of_machine(machine));
  auto has = claims_by_volume(list_at(instance, {"spec", "volumes"}));
  if (moved.is_array())
    for (const Json& m : moved)
      if (auto it = has.find(string_at(m, {"volumeName"})); it != has.end()) it->second = string_at(m, {"sourcePVCInfo", "claimName"});
  Json out = Json::array();
  for (const auto& [volume, claim] : has)
    if (auto want = wanted.find(volume); want != wanted.end() && want->second != claim)
      out.push_back(Json{{"volumeName", volume}, {"sourcePVCInfo", info_of(volume, claim)}, {"destinationPVCInfo", info_of(volume, want->second)}});
  return out.empty() ? Json() : out;
}

bool move_is_settled(const Json& machine) {
  const Json* record = record_of(machine);
  if (!record || !by_migration(machine)) return true;
  auto wanted = claims_by_volume(volumes_of_machine(machine));
  for (const Json& m : *record)
    if (auto it = wanted.find(string_at(m, {"volumeName"})); it != wanted.end() && it->second != string_at(m, {"sourcePVCInfo", "claimName"})) return false;
  return true;
}

bool move_is_open(const Json& machine) {
  return by_migration(machine) && record_of(machine) && condition_is(machine, "VolumesChange", "True");
}

bool needs_recovery(const Json& machine) { return move_is_open(machine) && !move_is_settled(machine); }

bool awaits_judgement(const Json& machine) { return needs_recovery(machine) && !condition_is(machine, "ManualRecoveryRequired", "True"); }

Json without_moved_claims(const Json& machine, Json spec) {
  if (!by_migration(machine) || !spec.is_object() || !spec.contains("volumes") || !spec["volumes"].is_array()) return spec;
  for (Json& v : spec["volumes"])
    if (v.is_object() && v.contains("persistentVolumeClaim")) v["persistentVolumeClaim"] = Json::object();
  return spec;
}

}  // namespace nodevirt::virt_controller::vm
