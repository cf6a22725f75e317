// fuzz: api pkg_domain
// An instance as it comes in a request: decoded, or refused.
#include <cstdint>

#include "api/vmi.hpp"
#include "pkg/base/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto value = nodevirt::parse_json({reinterpret_cast<const char*>(data), size});
  if (value.ok()) (void)nodevirt::api::decode_instance(*value);
  return 0;
}
