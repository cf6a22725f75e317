// fuzz: standalone_schema
// A live object and a configuration, separated by a zero byte: server-side apply and field tracking.
// Applying a result's own configuration again must change nothing.
#include <cstdint>
#include <cstdlib>

#include "standalone/schema/apply.hpp"
#include "standalone/schema/builtin.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nodevirt;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string_view first = text.substr(0, text.find('\0'));
  std::string_view second = first.size() < text.size() ? text.substr(first.size() + 1) : "";
  auto live = parse_json(first), config = parse_json(second);
  if (!live.ok() || !config.ok()) return 0;
  if (config->is_object()) (*config)["apiVersion"] = "v1";
  auto pod = schema::builtin_schema("", "v1", "Pod");
  for (const schema::Validator* v : {pod.get(), static_cast<const schema::Validator*>(nullptr)}) {
    const schema::Writer writer{"m", "v1", "", {}};
    (void)schema::validate_managed_fields(*live);
    (void)schema::apply_patch(&*live, *config, writer, false, v);
    auto forced = schema::apply_patch(&*live, *config, writer, true, v);
    if (forced.ok()) {
      auto again = schema::apply_patch(&*forced, *config, writer, false, v);
      if (!again.ok() || !schema::equal_ignoring_managed_fields(*forced, *again)) std::abort();
    }
    Json updated = *config;
    schema::track_update(&*live, updated, writer, v);
    schema::track_update(nullptr, updated, writer, v);
    schema::track_apply_result(*live, updated, v);
  }
  return 0;
}
