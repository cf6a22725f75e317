#include "standalone/apiserver/crd/definition.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "standalone/apiserver/resources/builtin_strategies.hpp"
#include "standalone/apiserver/store/store.hpp"
#include "standalone/schema/table.hpp"
#include "standalone/schema/validator.hpp"

namespace nodevirt::apiserver {

bool set_condition(Json& object, const std::string& type, const std::string& status, const std::string& reason,
                   const std::string& message, Clock::WallTime now) {
  auto& list = object["status"]["conditions"];
  if (!list.is_array()) list = Json::array();
  for (auto& c : list) {
    if (string_at(c, {"type"}) != type) continue;
    if (string_at(c, {"status"}) == status && string_at(c, {"reason"}) == reason && string_at(c, {"message"}) == message) return false;
    if (string_at(c, {"status"}) != status) c["lastTransitionTime"] = format_time(now);
    c["status"] = status;
    c["reason"] = reason;
    c["message"] = message;
    return true;
  }
  list.push_back({{"type", type}, {"status", status}, {"reason", reason}, {"message", message}, {"lastTransitionTime", format_time(now)}});
  return true;
}

namespace {

std::set<std::string> resource_names(const Json& names) {
  std::set<std::string> out{string_at(names, {"plural"}), string_at(names, {"singular"})};
  if (const Json* s = find(names, {"shortNames"}); s && s->is_array())
    for (const auto& one : *s) if (one.is_string()) out.insert(one.get<std::string>());
  out.erase("");
  return out;
}

}  // namespace

bool settle_names(const Store& store, Json& d, Clock::WallTime now) {
  const Json before = d.value("status", Json());
  const std::string name = string_at(d, {"metadata", "name"}), group = string_at(d, {"spec", "group"});
  const Json names = d["spec"].value("names", Json::object());
  std::set<std::string> taken, kinds;
  store.each_head(kDefinitions, "", [&](const StoredPtr& other) {
    if (other->name == name) return;
    auto summary = parse_json(other->index.summary);
    if (!summary.ok() || string_at(*summary, {"spec", "group"}) != group) return;
    const Json accepted = (*summary).value("status", Json::object()).value("acceptedNames", Json::object());
    taken.merge(resource_names(accepted));
    for (const char* k : {"kind", "listKind"}) kinds.insert(string_at(accepted, {k}));
  });
  kinds.erase("");
  std::string problem, reason;
  auto clash = [&](const std::string& value, const std::set<std::string>& among, const char* why) {
    if (problem.empty() && !value.empty() && among.contains(value)) {
      reason = why;
      problem = fmt::format("\"{}\" is already in use", value);
    }
  };
  clash(string_at(names, {"plural"}), taken, "PluralConflict");
  clash(string_at(names, {"singular"}), taken, "SingularConflict");
  if (const Json* s = find(names, {"shortNames"}); s && s->is_array())
    for (const auto& one : *s) if (one.is_string()) clash(one.get<std::string>(), taken, "ShortNamesConflict");
  clash(string_at(names, {"kind"}), kinds, "KindConflict");
  clash(string_at(names, {"listKind"}), kinds, "ListKindConflict");

  auto& status = d["status"];
  if (!status.is_object()) status = Json::object();
  if (problem.empty()) {
    status["acceptedNames"] = names;
    set_condition(d, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now);
    set_condition(d, "Established", "True", "InitialNamesAccepted", "the initial names have been accepted", now);
  } else {
    if (!status.contains("acceptedNames")) status["acceptedNames"] = {{"plural", ""}, {"kind", ""}};
    set_condition(d, "NamesAccepted", "False", reason, problem, now);
    bool established = false;
    for (const auto& c : status["conditions"])
      if (string_at(c, {"type"}) == "Established") established = string_at(c, {"status"}) == "True";
    if (!established) set_condition(d, "Established", "False", "NotAccepted", "not all names are accepted", now);
  }
  auto& stored = status["storedVersions"];
  if (!stored.is_array()) stored = Json::array();
  if (const Json* versions = find(d, {"spec", "versions"}); versions && versions->is_array())
    for (const auto& v : *versions)
      if (bool_at(v, {"storage"}) && std::find(stored.begin(), stored.end(), v["name"]) == stored.end()) stored.push_back(v["name"]);
  return before != status;
}

namespace {

class DefinitionStrategy final : public PlainStrategy {
 public:
  DefinitionStrategy() : PlainStrategy(true) {}

  Result<void> prepare_create(StrategyContext&, Json& o) const override {
    complete(o);
    o["metadata"]["finalizers"].push_back(kCleanupFinalizer);
    return {};
  }

  Result<void> prepare_update(StrategyContext&, Json& o, const Json& old, const std::string& sub) const override {
    if (sub == "status") return {};
    complete(o);
    // `kubectl apply` of a manifest without finalizers must not drop the server's own.
    if (!find(old, {"metadata", "deletionTimestamp"})) {
      auto& f = o["metadata"]["finalizers"];
      if (!f.is_array()) f = Json::array();
      if (std::find(f.begin(), f.end(), kCleanupFinalizer) == f.end()) f.push_back(kCleanupFinalizer);
    }
    return {};
  }

  std::vector<Cause> validate(StrategyContext& context, const Json& o, const Json* old) const override {
    std::vector<Cause> out;
    auto plural = string_at(o, {"spec", "names", "plural"}), group = string_at(o, {"spec", "group"});
    if (auto want = plural + "." + group; want != string_at(o, {"metadata", "name"}))
      out.push_back({"metadata.name", "FieldValueInvalid",
                     fmt::format("Invalid value: \"{}\": must be spec.names.plural+\".\"+spec.group", string_at(o, {"metadata", "name"}))});
    if (auto why = check_subdomain(group); !why.empty() || group.find('.') == std::string::npos)
      out.push_back({"spec.group", "FieldValueInvalid", fmt::format("Invalid value: \"{}\": should be a domain with at least one dot", group)});
    if (auto why = check_label(plural); !why.empty())
      out.push_back({"spec.names.plural", "FieldValueInvalid", fmt::format("Invalid value: \"{}\": {}", plural, why)});
    const Json* versions = find(o, {"spec", "versions"});
    if (!versions || !versions->is_array() || versions->empty()) return out;
    int storage = 0;
    std::set<std::string> seen;
    for (std::size_t i = 0; i < versions->size(); ++i) {
      const auto& v = (*versions)[i];
      auto path = fmt::format("spec.versions[{}]", i);
      auto name = string_at(v, {"name"});
      storage += bool_at(v, {"storage"});
      if (!seen.insert(name).second) out.push_back({path + ".name", "FieldValueDuplicate", fmt::format("Duplicate value: \"{}\"", name)});
      if (auto why = check_label(name); !why.empty()) out.push_back({path + ".name", "FieldValueInvalid", fmt::format("Invalid value: \"{}\": {}", name, why)});
      if (const Json* columns = find(v, {"additionalPrinterColumns"}); columns && !columns->is_null()) {
        if (auto table = schema::TableFormat::custom(*columns); !table.ok())
          out.push_back({path + ".additionalPrinterColumns", "FieldValueInvalid", "Invalid value: " + table.error().message});
      }
      const Json* schema = find(v, {"schema", "openAPIV3Schema"});
      if (!schema) {
        out.push_back({path + ".schema.openAPIV3Schema", "FieldValueRequired", "Required value: schemas are required"});
        continue;
      }
      if (old && unchanged(*old, name, *schema)) continue;
      auto compiled = schema::Validator::compile(*schema);
      if (!compiled.ok()) {
        // "properties[spec].type: Required value ...": the place within the schema goes to the field's path.
        const auto& message = compiled.error().message;
        auto colon = message.find(": ");
        auto place = message.substr(0, colon);
        auto field = path + ".schema.openAPIV3Schema" + (place == "schema" || colon == std::string::npos ? "" : "." + place);
        out.push_back({field, "FieldValueInvalid", colon == std::string::npos ? message : message.substr(colon + 2)});
      } else if (context.warnings) {
        for (const auto& w : (*compiled)->warnings()) context.warnings->push_back(fmt::format("{}.schema.openAPIV3Schema: {}", path, w));
      }
    }
    if (storage != 1)
      out.push_back({"spec.versions", "FieldValueInvalid", "Invalid value: must have exactly one version marked as storage version"});
    if (old && string_at(*old, {"spec", "scope"}) != string_at(o, {"spec", "scope"}))
      out.push_back({"spec.scope", "FieldValueInvalid", fmt::format("Invalid value: \"{}\": field is immutable", string_at(o, {"spec", "scope"}))});
    if (const Json* stored = find(o, {"status", "storedVersions"}); old && stored && stored->is_array())
      for (const auto& s : *stored)
        if (s.is_string() && !seen.contains(s.get<std::string>()))
          out.push_back({"status.storedVersions[0]", "FieldValueInvalid", fmt::format("Invalid value: \"{}\": must appear in spec.versions", s.get<std::string>())});
    if (string_at(o, {"spec", "conversion", "strategy"}) == "Webhook" && !find(o, {"spec", "conversion", "webhook", "clientConfig"}))
      out.push_back({"spec.conversion.webhook.clientConfig", "FieldValueRequired", "Required value: required when strategy is set to Webhook"});
    return out;
  }

  Result<void> before_commit(StrategyContext& c, Json& o, const Json*) const override {
    settle_names(c.store, o, c.now);
    return {};
  }

 private:
  static bool unchanged(const Json& old, const std::string& version, const Json& schema) {
    const Json* versions = find(old, {"spec", "versions"});
    if (!versions || !versions->is_array()) return false;
    for (const auto& v : *versions)
      if (string_at(v, {"name"}) == version) { const Json* was = find(v, {"schema", "openAPIV3Schema"}); return was && *was == schema; }
    return false;
  }

  static void complete(Json& o) {
    auto it = o.find("spec");
    if (it == o.end() || !it->is_object() || !it->contains("names") || !(*it)["names"].is_object()) return;
    auto& names = (*it)["names"];
    auto kind = string_at(names, {"kind"});
    if (!names.contains("singular")) {
      std::string lower = kind;
      for (auto& ch : lower) ch = char(std::tolower(static_cast<unsigned char>(ch)));
      names["singular"] = lower;
    }
    if (!names.contains("listKind")) names["listKind"] = kind + "List";
    if (!it->contains("conversion")) (*it)["conversion"] = {{"strategy", "None"}};
  }
};

}  // namespace

const Strategy& definition_strategy() {
  static const DefinitionStrategy s;
  return s;
}

}  // namespace nodevirt::apiserver
