// fuzz: standalone_schema
// A schema and an object, separated by a zero byte: compile, prune, default, validate; and the object
// against the built-in kinds.
#include <cstdint>

#include "standalone/schema/builtin.hpp"
#include "standalone/schema/table.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nodevirt;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string_view first = text.substr(0, text.find('\0'));
  std::string_view second = first.size() < text.size() ? text.substr(first.size() + 1) : "";
  auto schema_json = parse_json(first), object = parse_json(second);
  if (!schema_json.ok()) return 0;
  if (!object.ok()) object = *schema_json;
  auto use = [&](const schema::Validator& v) {
    Json o = *object;
    std::vector<std::string> dropped;
    v.prune(o, &dropped);
    v.apply_defaults(o);
    (void)v.validate(o, nullptr);
    (void)v.validate(o, &*object);
  };
  if (auto v = schema::Validator::compile(*schema_json); v.ok()) use(**v);
  (void)schema::validate_metadata(*object, true, &*schema_json);
  for (auto [group, kind] : {std::pair{"", "Pod"}, {"", "Service"}, {"", "Secret"}, {"apiextensions.k8s.io", "CustomResourceDefinition"},
                             {"rbac.authorization.k8s.io", "RoleBinding"}, {"", "PersistentVolumeClaim"}, {"", "Event"}}) {
    use(*schema::builtin_schema(group, "v1", kind));
    Json o = *object;
    schema::apply_builtin_defaults(group, "v1", kind, o);
    (void)schema::validate_builtin(group, "v1", kind, o, &*schema_json);
    (void)schema::TableFormat::builtin(group, kind)->cells(o, {});
  }
  return 0;
}
