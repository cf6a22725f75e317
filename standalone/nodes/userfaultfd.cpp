#include "standalone/nodes/userfaultfd.hpp"

#include <algorithm>

#include "pkg/base/json.hpp"
#include "pkg/base/log.hpp"
#include "standalone/nodes/machine_setting.hpp"

namespace nodevirt::nodes {
namespace fs = std::filesystem;
namespace {

constexpr const char* kUserfaultfdRecord = "userfaultfd.json";

/// What was there before one of us changed it, and who has asked since.
struct Asked {
  std::string before;                  ///< empty: nobody of us has changed it since the machine was started
  std::vector<std::string> bridges;
};

Asked read_asked(const UserfaultfdPlaces& places) {
  auto text = read_file(places.record_dir / kUserfaultfdRecord, 64 << 10);
  auto json = text.ok() ? parse_json(*text) : Result<Json>(text.error());
  Asked out;
  if (!json.ok() || string_at(*json, {"bootID"}) != boot_id()) return out;
  out.before = string_at(*json, {"before"});
  if (const Json* list = find(*json, {"instances"}); list && list->is_array())
    for (const Json& bridge : *list)
      if (bridge.is_string()) out.bridges.push_back(bridge.get<std::string>());
  return out;
}

Result<void> write_asked(const UserfaultfdPlaces& places, const Asked& asked) {
  Json json{{"before", asked.before}, {"bootID", boot_id()}, {"instances", asked.bridges}};
  return write_file_atomic(places.record_dir / kUserfaultfdRecord, dump_json(json), 0600);
}

}  // namespace

Result<bool> hold_userfaultfd(const std::string& bridge, const UserfaultfdPlaces& places) {
  NV_TRY(const Fd held, lock_machine("userfaultfd", places.record_dir));
  const std::string now = read_setting(places.setting);
  if (now.empty()) return Error{Code::FailedPrecondition, fmt::format("this kernel offers no {}: post-copy is not possible here", places.setting.string())};
  Asked asked = read_asked(places);
  if (now == "1" && asked.before.empty()) return false;   // somebody else's doing, and his to take back
  if (asked.before.empty()) asked.before = now;
  if (std::find(asked.bridges.begin(), asked.bridges.end(), bridge) == asked.bridges.end()) asked.bridges.push_back(bridge);
  NV_TRY_VOID(write_asked(places, asked));
  if (now == "1") return false;
  NV_TRY_VOID(write_setting(places.setting, "1"));
  log::info("set vm.unprivileged_userfaultfd to 1: post-copy is possible");
  return true;
}

Result<void> release_userfaultfd(const std::string& bridge, const UserfaultfdPlaces& places) {
  std::error_code error;
  if (!fs::exists(places.record_dir / kUserfaultfdRecord, error)) return {};
  NV_TRY(const Fd held, lock_machine("userfaultfd", places.record_dir));
  Asked asked = read_asked(places);
  auto gone = [&](const std::string& other) { return other == bridge || !fs::exists(places.links / other, error); };
  std::erase_if(asked.bridges, gone);
  if (!asked.before.empty() && !asked.bridges.empty()) return write_asked(places, asked);
  if (!asked.before.empty() && read_setting(places.setting) != asked.before) {
    NV_TRY_VOID(write_setting(places.setting, asked.before));
    log::info("put vm.unprivileged_userfaultfd back to {}", asked.before);
  }
  fs::remove(places.record_dir / kUserfaultfdRecord, error);
  return {};
}

}  // namespace nodevirt::nodes
