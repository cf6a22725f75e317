// fuzz: standalone_schema
// An expression and an object, separated by a zero byte.
#include <cstdint>

#include "standalone/schema/jsonpath.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nodevirt;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string_view first = text.substr(0, text.find('\0'));
  std::string_view second = first.size() < text.size() ? text.substr(first.size() + 1) : "";
  auto path = schema::JsonPath::compile(first);
  if (!path.ok()) return 0;
  auto object = parse_json(second);
  (void)path->simple_fields();
  if (object.ok()) (void)path->evaluate(*object);
  return 0;
}
