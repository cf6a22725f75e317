#include "standalone/nodes/forwarding.hpp"

#include "pkg/base/file.hpp"
#include "pkg/base/json.hpp"
#include "pkg/base/log.hpp"
#include "standalone/nodes/machine_lock.hpp"
#include "standalone/nodes/machine_setting.hpp"

namespace nodevirt::nodes {
namespace fs = std::filesystem;
namespace {

constexpr const char* kRecord = "forwarding.json";

Result<Fd> lock(const ForwardingPlaces& places) { return lock_machine("forwarding", places.record_dir); }

/// What was there before; empty when nobody of us changed it since the machine was started.
std::string recorded(const ForwardingPlaces& places) {
  auto text = read_file(places.record_dir / kRecord, 4096);
  auto json = text.ok() ? parse_json(*text) : Result<Json>(text.error());
  if (!json.ok() || string_at(*json, {"bootID"}) != boot_id()) return "";
  return string_at(*json, {"before"});
}

bool instances_left(const ForwardingPlaces& places) {
  std::error_code error;
  for (fs::directory_iterator it(places.links, error), end; !error && it != end; it.increment(error))
    if (it->path().filename().string().starts_with("nvbr")) return true;
  return static_cast<bool>(error);   // not known: leave it
}

}  // namespace

Result<void> hold_forwarding(const ForwardingPlaces& places) {
  NV_TRY(const Fd held, lock(places));
  const std::string now = read_setting(places.setting);
  if (now == "1") return {};
  if (recorded(places).empty()) NV_TRY_VOID(write_file_atomic(places.record_dir / kRecord, dump_json(Json{{"before", now}, {"bootID", boot_id()}}), 0600));
  NV_TRY_VOID(write_setting(places.setting, "1"));
  log::info("switched net.ipv4.ip_forward on: guests reach out through this machine");
  return {};
}

Result<void> release_forwarding(const ForwardingPlaces& places) {
  std::error_code error;
  if (!fs::exists(places.record_dir / kRecord, error)) return {};
  NV_TRY(const Fd held, lock(places));
  if (instances_left(places)) return {};
  const std::string before = recorded(places);
  if (!before.empty() && read_setting(places.setting) != before) {
    NV_TRY_VOID(write_setting(places.setting, before));
    log::info("put net.ipv4.ip_forward back to {}", before);
  }
  fs::remove(places.record_dir / kRecord, error);
  return {};
}

}  // namespace nodevirt::nodes
