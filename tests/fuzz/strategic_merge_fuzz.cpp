// fuzz: standalone_schema
// An object and a patch, separated by a zero byte: strategic merge and JSON merge.
#include <cstdint>

#include "standalone/schema/builtin.hpp"
#include "standalone/schema/strategic_merge.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nodevirt;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string_view first = text.substr(0, text.find('\0'));
  std::string_view second = first.size() < text.size() ? text.substr(first.size() + 1) : "";
  auto object = parse_json(first), patch = parse_json(second);
  if (!object.ok() || !patch.ok()) return 0;
  for (const char* kind : {"Pod", "Node", "Service"})
    (void)schema::strategic_merge(*object, *patch, *schema::builtin_schema("", "v1", kind));
  (void)schema::json_merge(*object, *patch);
  return 0;
}
