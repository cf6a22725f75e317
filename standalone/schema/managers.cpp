#include "standalone/schema/managers.hpp"

#include <algorithm>

namespace nodevirt::schema {

namespace {

constexpr std::size_t kMaxUpdaters = 10;
constexpr std::size_t kMaxEntries = 1000;

Error bad(std::size_t i, std::string_view what) {
  return Error(Code::InvalidArgument, "Invalid", "metadata.managedFields[" + std::to_string(i) + "]: " + std::string(what));
}

}  // namespace

std::string ManagerId::text() const {
  std::string out = dump_json(Json(manager));
  if (!subresource.empty()) out += " with subresource " + dump_json(Json(subresource));
  if (!applied) out += " using " + api_version;
  return out;
}

ManagerId id_of(const Writer& w, bool applied) {
  return {applied, w.manager.empty() ? "unknown" : w.manager, applied ? "" : w.api_version, w.subresource};
}

Result<Managers> decode_managers(const Json& list) {
  Managers out;
  if (list.is_null()) return out;
  if (!list.is_array() || list.size() > kMaxEntries)
    return Error(Code::InvalidArgument, "Invalid", "metadata.managedFields: must be a list of at most 1000 entries");
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Json& e = list[i];
    if (!e.is_object()) return bad(i, "must be an object");
    const std::string operation = string_at(e, {"operation"}), version = string_at(e, {"apiVersion"});
    if (operation != "Apply" && operation != "Update") return bad(i, "operation must be Apply or Update");
    if (version.empty()) return bad(i, "apiVersion must not be empty");
    if (string_at(e, {"fieldsType"}) != "FieldsV1") return bad(i, "fieldsType must be FieldsV1");
    ManagerId id{operation == "Apply", string_at(e, {"manager"}), operation == "Apply" ? "" : version, string_at(e, {"subresource"})};
    const Json* fields = find(e, {"fieldsV1"});
    Managed m;
    m.api_version = version;
    m.time = string_at(e, {"time"});
    if (fields && !fields->is_null()) {
      NV_TRY(m.fields, FieldSet::decode(*fields));
    }
    auto [it, fresh] = out.emplace(std::move(id), m);
    if (!fresh) it->second.fields.unite(m.fields);
  }
  return out;
}

Json encode_managers(const Managers& managers) {
  Json out = Json::array();
  for (const auto& [id, m] : managers) {
    Json e = Json::object();
    if (!id.manager.empty()) e["manager"] = id.manager;
    e["operation"] = id.applied ? "Apply" : "Update";
    e["apiVersion"] = m.api_version;
    if (!m.time.empty()) e["time"] = m.time;
    e["fieldsType"] = "FieldsV1";
    e["fieldsV1"] = m.fields.encode();
    if (!id.subresource.empty()) e["subresource"] = id.subresource;
    out.push_back(std::move(e));
  }
  std::stable_sort(out.begin(), out.end(), [](const Json& a, const Json& b) {
    auto key = [](const Json& e) {
      return std::tuple(string_at(e, {"operation"}), string_at(e, {"time"}), string_at(e, {"manager"}), string_at(e, {"apiVersion"}),
                        string_at(e, {"subresource"}));
    };
    return key(a) < key(b);
  });
  return out;
}

Managers managers_of(const Json& object) {
  const Json* list = find(object, {"metadata", "managedFields"});
  if (!list) return {};
  return decode_managers(*list).value_or(Managers{});
}

void set_managers(Json& object, const Managers& managers) {
  auto metadata = object.find("metadata");
  if (metadata == object.end() || !metadata->is_object()) {
    if (managers.empty()) return;
    object["metadata"] = Json::object();
    metadata = object.find("metadata");
  }
  if (managers.empty()) metadata->erase("managedFields");
  else (*metadata)["managedFields"] = encode_managers(managers);
}

void cap_updaters(Managers& managers) {
  std::vector<ManagerId> updaters;
  for (const auto& [id, m] : managers)
    if (!id.applied) updaters.push_back(id);
  std::size_t count = updaters.size();
  if (count <= kMaxUpdaters) return;
  std::sort(updaters.begin(), updaters.end(), [&](const ManagerId& a, const ManagerId& b) {
    const auto &ta = managers.at(a).time, &tb = managers.at(b).time;
    return ta != tb ? ta < tb : a < b;
  });
  // The oldest of each version becomes the bucket when a second one joins it.
  std::map<std::string, ManagerId> first;
  for (const ManagerId& id : updaters) {
    if (count <= kMaxUpdaters) break;
    const std::string version = managers.at(id).api_version;
    auto [oldest, fresh] = first.emplace(version, id);
    if (fresh) continue;
    const ManagerId bucket{false, "ancient-changes", version, ""};
    if (oldest->second != bucket) {
      auto node = managers.extract(oldest->second);
      if (managers.count(bucket)) --count;
      auto& kept = managers[bucket];
      kept.api_version = version;
      if (!node.empty()) kept.fields.unite(node.mapped().fields);
      oldest->second = bucket;
    }
    if (id == bucket) continue;
    auto node = managers.extract(id);
    auto& kept = managers[bucket];
    kept.api_version = version;
    kept.fields.unite(node.mapped().fields);
    kept.time = node.mapped().time;
    --count;
  }
}

}  // namespace nodevirt::schema
