// fuzz: api pkg_k8s
// JSON text, quantities and times: whatever comes, a value or an error; what is read is written and read again alike.
#include <cstdlib>

#include "api/quantity.hpp"
#include "pkg/base/clock.hpp"
#include "pkg/base/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nodevirt;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto value = parse_json(text); value.ok()) {
    auto again = parse_json(dump_json(*value));
    if (!again.ok() || dump_json(*again) != dump_json(*value)) std::abort();
  }
  if (auto q = api::Quantity::parse(text); q.ok()) {
    auto again = api::Quantity::parse(q->to_string());
    if (!again.ok() || *again != *q) std::abort();
    (void)q->value();
    (void)q->milli_value();
  }
  if (auto t = parse_time(text); t.ok()) (void)format_micro_time(*t);
  return 0;
}
