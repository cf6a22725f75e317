#include "virt-handler/node/fence.hpp"

#include <ctime>

#include <boost/asio/this_coro.hpp>

#include <fmt/format.h>

#include "api/names.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "pkg/runtime/informer.hpp"

namespace nodevirt::virt_handler {

namespace {

/// Without a fence there is only this look at our own list.
constexpr std::int64_t kIdleSeconds = 15;
/// A launcher that asks for a fence does not wait longer than this to be armed.
constexpr Clock::Duration kArmWithin = 2s;

std::uint64_t deadline(std::uint64_t asked, std::int64_t seconds) { return asked + static_cast<std::uint64_t>(seconds) * 1000; }

}  // namespace

Json fence_lease_patch(const std::string& node, const FenceEntries& before, const FenceEntries& after, Clock::WallTime now) {
  Json annotations = Json::object();
  std::int64_t shortest = api::kMaxFenceSeconds;
  for (const auto& [uid, seconds] : before)
    if (!after.contains(uid)) annotations[std::string(api::kFenceEntryPrefix) + uid] = nullptr;
  for (const auto& [uid, seconds] : after) {
    shortest = std::min(shortest, seconds);
    auto was = before.find(uid);
    if (was == before.end() || was->second != seconds) annotations[std::string(api::kFenceEntryPrefix) + uid] = std::to_string(seconds);
  }
  Json metadata{{"labels", {{std::string(api::kFenceLabel), "true"}}}};
  if (!annotations.empty()) metadata["annotations"] = std::move(annotations);
  return Json{{"metadata", std::move(metadata)},
              {"spec", {{"holderIdentity", node}, {"leaseDurationSeconds", shortest}, {"renewTime", format_micro_time(now)}}}};
}

FenceRelay::FenceRelay(Deps deps) : deps_(std::move(deps)) {}

Awaitable<Result<void>> FenceRelay::load() {
  std::string ns(api::kSystemNamespace), name = api::fence_lease_name(deps_.node);
  auto lease = co_await deps_.client.get(k8s::resources::kLeases, ns, name);
  if (!lease.ok() && !k8s::is_not_found(lease.error())) co_return lease.error().with_context("read this node's fence lease");
  if (lease.ok()) entries_ = api::fence_entries(runtime::ObjectMeta::from_json(*lease).annotations);
  loaded_ = true;
  co_return Result<void>{};
}

Awaitable<void> FenceRelay::tell(std::shared_ptr<Told> told, FencedLauncher launcher, std::uint64_t at, bool arming) {
  auto done = co_await launcher.client->renew_fence(at);
  told->in_flight.erase(launcher.pod_uid);
  if (!done.ok()) log::warning("{} the fence of pod {}: {}", arming ? "arm" : "renew", launcher.pod_uid, done.error().message);
  else if (arming) {
    told->armed[launcher.pod_uid] = *launcher.seconds;
    if (told->wake) told->wake->request_stop();
  }
}

bool FenceRelay::must_arm(const FencedLauncher& launcher) const {
  return launcher.seconds && launcher.client && !entries_.contains(launcher.pod_uid) && !told_->armed.contains(launcher.pod_uid) &&
         !told_->in_flight.contains(launcher.pod_uid);
}

void FenceRelay::arm(const Executor& executor, const std::vector<FencedLauncher>& launchers) {
  for (const FencedLauncher& launcher : launchers) {
    if (!must_arm(launcher)) continue;
    told_->in_flight.insert(launcher.pod_uid);
    spawn(executor, tell(told_, launcher, deadline(deps_.boottime_ms(), *launcher.seconds), true), "arm a fence");
  }
}

FenceEntries FenceRelay::wanted(const std::vector<FencedLauncher>& launchers) const {
  FenceEntries out;
  for (const FencedLauncher& launcher : launchers) {
    std::int64_t most = 0;
    for (const FenceEntries* known : {&entries_, static_cast<const FenceEntries*>(&told_->armed)})
      if (auto it = known->find(launcher.pod_uid); it != known->end()) most = std::max(most, it->second);
    if (most > 0) out[launcher.pod_uid] = std::max(most, launcher.seconds.value_or(0));
  }
  return out;
}

Awaitable<Result<void>> FenceRelay::write(FenceEntries after) {
  std::string ns(api::kSystemNamespace), name = api::fence_lease_name(deps_.node);
  Json patch = fence_lease_patch(deps_.node, entries_, after, deps_.clock.wall());
  auto written = co_await deps_.client.patch(k8s::resources::kLeases, ns, name, client::PatchType::Merge, patch);
  if (!written.ok() && k8s::is_not_found(written.error())) {
    FenceEntries none;
    Json lease = fence_lease_patch(deps_.node, none, after, deps_.clock.wall());
    lease["apiVersion"] = "coordination.k8s.io/v1";
    lease["kind"] = "Lease";
    lease["metadata"]["name"] = name;
    lease["metadata"]["namespace"] = ns;
    written = co_await deps_.client.create(k8s::resources::kLeases, ns, lease);
  }
  if (!written.ok()) {
    loaded_ = false;  // it may have been written all the same
    co_return written.error().with_context("renew this node's fence lease");
  }
  for (const auto& [uid, seconds] : after) told_->armed.erase(uid);
  entries_ = std::move(after);
  co_return Result<void>{};
}

Awaitable<Result<void>> FenceRelay::renew() {
  if (!loaded_) {
    auto loaded = co_await load();
    if (!loaded.ok()) co_return loaded.error();
  }
  Executor executor = co_await boost::asio::this_coro::executor;
  std::vector<FencedLauncher> launchers = deps_.launchers();
  arm(executor, launchers);
  FenceEntries after = wanted(launchers);
  if (after.empty() && entries_.empty()) co_return Result<void>{};
  std::uint64_t asked = deps_.boottime_ms();
  auto written = co_await write(after);
  if (!written.ok()) co_return written.error();
  for (const FencedLauncher& launcher : launchers) {
    auto entry = entries_.find(launcher.pod_uid);
    if (entry == entries_.end() || !launcher.client || !told_->in_flight.insert(launcher.pod_uid).second) continue;
    spawn(executor, tell(told_, launcher, deadline(asked, entry->second), false), "renew a fence");
  }
  co_return Result<void>{};
}

bool FenceRelay::news() const {
  for (const FencedLauncher& launcher : deps_.launchers())
    if (must_arm(launcher) || told_->armed.contains(launcher.pod_uid)) return true;
  return false;
}

std::int64_t FenceRelay::shortest() const {
  std::int64_t out = kIdleSeconds;
  for (const FenceEntries* known : {&entries_, static_cast<const FenceEntries*>(&told_->armed)})
    for (const auto& [uid, seconds] : *known) out = std::min(out, seconds);
  return out;
}

void FenceRelay::hurry() {
  if (told_->wake) told_->wake->request_stop();
}

Awaitable<void> FenceRelay::run(StopToken stop) {
  while (!stop.stop_requested()) {
    auto wake = std::make_shared<StopSource>();
    told_->wake = wake;
    auto end = [wake] { wake->request_stop(); };
    std::stop_callback on_stop(stop, end);
    Clock::Time begun = deps_.clock.now();
    auto renewed = co_await renew();
    if (!renewed.ok()) log::warning("{}", renewed.error().message);
    Clock::Time due = begun + (renewed.ok() ? Clock::Duration(std::chrono::milliseconds(shortest() * 1000 / 3)) : Clock::Duration(1s));
    StopToken awake = renewed.ok() ? wake->get_token() : stop;
    while (!awake.stop_requested() && deps_.clock.now() < due && !(renewed.ok() && news())) {
      Clock::Duration left = due - deps_.clock.now();
      co_await deps_.clock.sleep(std::min(left, kArmWithin), awake);
    }
  }
}

std::uint64_t boottime_ms() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000000;
}

}  // namespace nodevirt::virt_handler
