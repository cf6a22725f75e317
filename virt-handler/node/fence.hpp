// The fence: an instance with the annotation nodevirt.io/fence-seconds lives only as long as this node is known
// to the API server. virt-handler renews its own Lease there, and for each success pushes the deadline of
// the pods' monitors ahead. The time is taken before the renewal is sent, so that the deadline never
// lies later than "last renewal that the API server may have seen, plus fence-seconds".
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "pkg/base/clock.hpp"
#include "pkg/client/client.hpp"
#include "pkg/rpc/launcher_client.hpp"
#include "virt-handler/instances/objects.hpp"

namespace nodevirt::virt_handler {

inline constexpr std::string_view kFenceAnnotation = "nodevirt.io/fence-seconds";

/// Seconds that an instance asks for; nothing when it does not, or for what is no number from 5 to 3600.
std::optional<std::int64_t> fence_seconds(const std::map<std::string, std::string>& annotations);
/// Of this node's Lease in the namespace kubevirt.
std::string fence_lease_name(const std::string& node);
/// The Lease as it is to be: holder, duration and renewal time.
Json fence_lease(const std::string& node, std::int64_t seconds, Clock::WallTime now);

struct FencedLauncher {
  std::int64_t seconds = 0;
  std::shared_ptr<rpc::LauncherClient> client;
};

class FenceRelay {
 public:
  struct Deps {
    client::Client client;
    Clock& clock;
    std::string node;
    std::function<std::vector<FencedLauncher>()> launchers;   ///< connected ones with a fence
    std::function<std::uint64_t()> boottime_ms;
  };
  explicit FenceRelay(Deps deps);
  /// One renewal. Nothing is asked of anybody while no instance has a fence.
  Awaitable<Result<void>> renew();
  Awaitable<void> run(StopToken stop);

 private:
  Deps deps_;
};

std::uint64_t boottime_ms();

}  // namespace nodevirt::virt_handler
