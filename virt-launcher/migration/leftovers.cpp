#include "virt-launcher/migration/leftovers.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "pkg/base/log.hpp"

namespace nodevirt::virt_launcher::migration {

using namespace std::chrono_literals;

namespace {

constexpr auto kPatience = 5s;
constexpr auto kPause = 20ms;

// A node goes before the one that it stands on.
std::vector<std::string> leftover_nodes(const Json& nodes) {
  std::vector<std::string> formats, storages;
  if (!nodes.is_array()) return {};
  for (const Json& node : nodes) {
    auto name = string_at(node, {"node-name"});
    if (!name.starts_with("migration-")) continue;
    if (name.ends_with("-format")) formats.push_back(name);
    if (name.ends_with("-storage")) storages.push_back(name);
  }
  formats.insert(formats.end(), storages.begin(), storages.end());
  return formats;
}

// True when no mirror job is left. A concluded one stays until it is dismissed: libvirt makes them so.
Result<bool> end_mirrors(const Execute& execute) {
  NV_TRY(Json jobs, execute("query-jobs", Json::object()));
  bool none = true;
  if (!jobs.is_array()) return none;
  for (const Json& job : jobs) {
    if (string_at(job, {"type"}) != "mirror") continue;
    none = false;
    auto id = string_at(job, {"id"});
    // It may end by itself in between: the next look tells.
    if (string_at(job, {"status"}) == "concluded") (void)execute("job-dismiss", {{"id", id}});
    else (void)execute("block-job-cancel", {{"device", id}, {"force", true}});
  }
  return none;
}

}  // namespace

Result<void> drop_leftovers(const Execute& execute) {
  NV_TRY(Json nodes, execute("query-named-block-nodes", {{"flat", true}}));
  const auto names = leftover_nodes(nodes);
  if (names.empty()) return {};
  for (auto until = std::chrono::steady_clock::now() + kPatience;;) {
    NV_TRY(bool ended, end_mirrors(execute));
    if (ended) break;
    if (std::chrono::steady_clock::now() > until)
      return Error(Code::Unavailable, "NotYet", "the disk copies of the migration before do not end");
    std::this_thread::sleep_for(kPause);
  }
  for (const auto& name : names) {
    log::info("removes {}, which a migration left behind", name);
    auto gone = execute("blockdev-del", {{"node-name", name}});
    if (!gone.ok()) return gone.error().with_context(fmt::format("remove {}, which the migration before left behind", name));
  }
  return {};
}

Result<void> can_copy(const Execute& execute) {
  NV_TRY(Json nodes, execute("query-named-block-nodes", {{"flat", true}}));
  NV_TRY(Json jobs, execute("query-jobs", Json::object()));
  auto is = [](const Json& list, const char* member, std::string_view what) {
    return list.is_array() && std::any_of(list.begin(), list.end(), [&](const Json& one) { return string_at(one, {member}) == what; });
  };
  if (!is(nodes, "drv", "mirror_top") || is(jobs, "type", "mirror")) return {};
  log::warning("QEMU has a copy's filter without a copy: {}", block_state(execute));
  return Error(Code::FailedPrecondition, "CopyFilterStays",
               "an earlier copy of this guest's disks broke while the guest was being stopped, and this QEMU cannot copy them again: "
               "the guest can be migrated once it was restarted");
}

bool Cancelling::let_end(const Execute& execute, std::chrono::steady_clock::time_point now) {
  constexpr std::string_view kCancelling = "cancelling";
  auto job = execute("query-migrate", Json::object());
  if (!job.ok() || string_at(*job, {"status"}) != kCancelling) {
    since_.reset();
    return false;
  }
  if (!since_) since_ = now;
  if (now - *since_ < std::chrono::milliseconds(500)) return false;
  since_ = now;
  return execute("migrate-continue", {{"state", kCancelling}}).ok();
}

std::string block_state(const Execute& execute) {
  auto nodes = execute("query-named-block-nodes", {{"flat", true}});
  auto jobs = execute("query-jobs", Json::object());
  std::string all = fmt::format("jobs {}, nodes", jobs.ok() ? dump_json(*jobs) : jobs.error().message);
  if (!nodes.ok()) return all + " " + nodes.error().message;
  if (nodes->is_array())
    for (const Json& node : *nodes) all += fmt::format(" {} ({})", string_at(node, {"node-name"}), string_at(node, {"drv"}));
  return all;
}

}  // namespace nodevirt::virt_launcher::migration
