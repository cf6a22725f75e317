#include "standalone/images/name_map.hpp"

#include "pkg/base/file.hpp"
#include "pkg/base/json.hpp"
#include "standalone/images/reference.hpp"

namespace nodevirt::images {

Result<NameMap> NameMap::load(const std::filesystem::path& file) {
  NameMap out;
  auto text = nodevirt::read_file(file, 16u << 20);
  if (!text.ok()) {
    if (text.error().code == Code::NotFound) return out;
    return std::move(text).error();
  }
  auto json = parse_json(*text);
  const Json* names = json.ok() ? nodevirt::find(*json, {"names"}) : nullptr;
  if (!names || !names->is_object())
    return Error(Code::DataLoss, file.string() + " is not a name map; move it away to start with an empty one");
  for (const auto& [name, entry] : names->items()) {
    NameEntry e{string_at(entry, {"digest"}), bool_at(entry, {"local"}), string_at(entry, {"source"}), string_at(entry, {"time"})};
    if (is_digest(e.digest)) out.names.emplace(name, std::move(e));
  }
  return out;
}

Result<void> NameMap::save(const std::filesystem::path& file) const {
  Json all = Json::object();
  for (const auto& [name, e] : names)
    all[name] = Json{{"digest", e.digest}, {"local", e.local}, {"source", e.source}, {"time", e.time}};
  Json doc;
  doc["names"] = std::move(all);
  return write_file_atomic(file, doc.dump(1) + "\n", 0644);
}

const NameEntry* NameMap::find(const std::string& key) const {
  const auto it = names.find(key);
  return it == names.end() ? nullptr : &it->second;
}

}  // namespace nodevirt::images
