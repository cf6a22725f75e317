#include "virt-handler/node/fence.hpp"

#include <charconv>
#include <ctime>

#include <fmt/format.h>

#include "api/names.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"

namespace nodevirt::virt_handler {

std::optional<std::int64_t> fence_seconds(const std::map<std::string, std::string>& annotations) {
  auto found = annotations.find(std::string(kFenceAnnotation));
  if (found == annotations.end()) return std::nullopt;
  std::int64_t value = 0;
  const std::string& text = found->second;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size() || value < 5 || value > 3600) return std::nullopt;
  return value;
}

std::string fence_lease_name(const std::string& node) { return "virt-handler-" + node; }

Json fence_lease(const std::string& node, std::int64_t seconds, Clock::WallTime now) {
  return Json{{"apiVersion", "coordination.k8s.io/v1"},
              {"kind", "Lease"},
              {"metadata", {{"name", fence_lease_name(node)}, {"namespace", std::string(api::kSystemNamespace)}}},
              {"spec", {{"holderIdentity", node}, {"leaseDurationSeconds", seconds}, {"renewTime", format_micro_time(now)}}}};
}

FenceRelay::FenceRelay(Deps deps) : deps_(std::move(deps)) {}

Awaitable<Result<void>> FenceRelay::renew() {
  std::vector<FencedLauncher> launchers = deps_.launchers();
  if (launchers.empty()) co_return Result<void>{};
  std::int64_t shortest = 3600;
  for (const FencedLauncher& launcher : launchers) shortest = std::min(shortest, launcher.seconds);
  std::uint64_t asked = deps_.boottime_ms();
  Json lease = fence_lease(deps_.node, shortest, deps_.clock.wall());
  Json patch{{"spec", lease["spec"]}};
  std::string ns(api::kSystemNamespace), name = fence_lease_name(deps_.node);
  auto written = co_await deps_.client.patch(k8s::resources::kLeases, ns, name, client::PatchType::Merge, patch);
  if (!written.ok() && k8s::is_not_found(written.error())) written = co_await deps_.client.create(k8s::resources::kLeases, ns, lease);
  if (!written.ok()) co_return written.error().with_context("renew this node's fence lease");
  for (FencedLauncher& launcher : launchers) {
    std::uint64_t deadline = asked + static_cast<std::uint64_t>(launcher.seconds) * 1000;
    auto renewed = co_await launcher.client->renew_fence(deadline);
    if (!renewed.ok()) log::warning("renew a fence: {}", renewed.error().message);
  }
  co_return Result<void>{};
}

Awaitable<void> FenceRelay::run(StopToken stop) {
  while (!stop.stop_requested()) {
    std::int64_t shortest = 15;
    for (const FencedLauncher& launcher : deps_.launchers()) shortest = std::min(shortest, launcher.seconds);
    auto renewed = co_await renew();
    if (!renewed.ok()) log::warning("{}", renewed.error().message);
    co_await deps_.clock.sleep(std::chrono::milliseconds(shortest * 1000 / 3), stop);
  }
}

std::uint64_t boottime_ms() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000000;
}

}  // namespace nodevirt::virt_handler
