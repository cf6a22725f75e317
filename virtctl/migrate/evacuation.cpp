#include "virtctl/migrate/evacuation.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "api/names.hpp"
#include "virtctl/migrate/render.hpp"

namespace nodevirt::virtctl {

namespace {

template <class F>
void each_item(const Json& list, F f) {
  const Json* items = find(list, {"items"});
  if (!items || !items->is_array()) return;
  for (const Json& item : *items) f(item);
}

const Json* live_migratable(const Json& vmi) {
  const Json* conditions = find(vmi, {"status", "conditions"});
  if (!conditions || !conditions->is_array()) return nullptr;
  for (const Json& c : *conditions)
    if (string_at(c, {"type"}) == "LiveMigratable") return &c;
  return nullptr;
}

void judge(Evacuee& e, const Json& vmi, const std::string& node, const std::string& fallback, bool shut_down) {
  if (!string_at(vmi, {"metadata", "deletionTimestamp"}).empty()) {
    e.fate = Evacuee::Fate::Ends;
    e.why = "is being shut down";
    return;
  }
  std::string strategy = string_at(vmi, {"spec", "evictionStrategy"});
  if (strategy.empty()) strategy = fallback;
  const Json* can = live_migratable(vmi);
  bool migratable = can && string_at(*can, {"status"}) == "True";
  std::string reason = !can ? "nothing is known yet of whether it can be migrated" : string_at(*can, {"message"}, string_at(*can, {"reason"}));
  bool marked = string_at(vmi, {"status", "evacuationNodeName"}) == node;
  if (strategy == "External") {
    e.fate = marked ? Evacuee::Fate::Moves : Evacuee::Fate::Evict;
    e.why = "is left to whoever its evictionStrategy External is for";
  } else if (strategy == "LiveMigrate" && !migratable) {
    e.fate = Evacuee::Fate::Stays;
    e.why = "cannot be migrated: " + reason;
  } else if (strategy == "LiveMigrate" || (strategy == "LiveMigrateIfPossible" && migratable)) {
    e.fate = marked ? Evacuee::Fate::Moves : Evacuee::Fate::Evict;
    e.why = "waits for its migration";
  } else {
    e.fate = shut_down ? Evacuee::Fate::Evict : Evacuee::Fate::Stays;
    std::string cause = strategy == "LiveMigrateIfPossible" ? "cannot be migrated: " + reason : "its evictionStrategy is None";
    e.why = shut_down ? "is shut down: " + cause : cause + "; --shut-down ends it";
  }
}

}  // namespace

std::vector<Evacuee> evacuees(const Json& instances, const Json& pods, const Json& migrations, const std::string& node,
                              const std::string& fallback, bool shut_down) {
  std::map<std::string, std::int64_t> priority;
  each_item(pods, [&](const Json& pod) {
    std::string uid = string_at(pod, {"metadata", "labels", api::kCreatedByLabel});
    if (!uid.empty() && string_at(pod, {"spec", "nodeName"}) == node) priority[uid] = int_at(pod, {"spec", "priority"});
  });
  std::map<std::string, const Json*> last;   // the newest migration of each instance
  each_item(migrations, [&](const Json& m) {
    auto& newest = last[string_at(m, {"metadata", "namespace"}) + "/" + string_at(m, {"spec", "vmiName"})];
    if (!newest || string_at(*newest, {"metadata", "creationTimestamp"}) <= string_at(m, {"metadata", "creationTimestamp"})) newest = &m;
  });
  std::vector<Evacuee> out;
  each_item(instances, [&](const Json& vmi) {
    std::string phase = string_at(vmi, {"status", "phase"});
    if (string_at(vmi, {"status", "nodeName"}) != node || phase == "Succeeded" || phase == "Failed") return;
    Evacuee e{string_at(vmi, {"metadata", "namespace"}), string_at(vmi, {"metadata", "name"}), string_at(vmi, {"metadata", "uid"})};
    e.priority = priority[e.uid];
    judge(e, vmi, node, fallback, shut_down);
    if (auto m = last.find(e.key()); e.fate == Evacuee::Fate::Moves && m != last.end() && m->second) {
      std::string line = migration_line(*m->second);
      e.why = outcome_of(*m->second) == MigrationOutcome::Failed ? "the last migration failed (" + line + "); it is tried again" : line;
    }
    out.push_back(std::move(e));
  });
  std::stable_sort(out.begin(), out.end(), [](const Evacuee& a, const Evacuee& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.key() < b.key();
  });
  return out;
}

}  // namespace nodevirt::virtctl
