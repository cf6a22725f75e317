// The fence: an instance with the annotation nodevirt.io/fence-seconds lives only as long as this node is known
// to the API server. virt-handler renews its own Lease there, and for each success pushes the deadline of
// the pods' monitors ahead.
//
// What the Lease's entries promise to others (api/fence.hpp), and how each step keeps it whatever fails between:
//  - The time is taken (CLOCK_BOOTTIME) before a renewal is sent, and a deadline is told to a monitor only after the
//    server has acknowledged that renewal. So no deadline is later than "N seconds after the Lease last
//    changed", whichever clock on whichever machine measures that change.
//  - A pod gets its entry only after its monitor has acknowledged a first deadline: who has an entry is armed. That
//    first deadline may follow no renewal, but then the Lease says nothing of the pod yet. Whether it does
//    is asked of the server before anything is told to anybody (this program may have been started anew).
//  - A guest that asked for a fence when it was handed over is started only in a pod that has its entry, and only if the instance, read from the
//    server after that entry was acknowledged, is still Scheduled (instances/controller.cpp). So who sets an
//    instance to Failed, and then finds no entry of its pod, knows that nothing was or will be started there.
//  - N of a pod never shrinks, and a monitor is never disarmed: a request that was given up may still arrive late.
//    What changes in the annotation while the guest runs counts if it is more, otherwise at the next start.
//  - A renewal whose answer is lost moves the Lease and no deadline: the guest ends early, others wait long.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "api/fence.hpp"
#include "pkg/base/clock.hpp"
#include "pkg/client/client.hpp"
#include "pkg/rpc/launcher_client.hpp"

namespace nodevirt::virt_handler {

/// One launcher pod of this node that has not ended.
struct FencedLauncher {
  std::string pod_uid;
  std::optional<std::int64_t> seconds;           ///< what its instance asks for
  std::shared_ptr<rpc::LauncherClient> client;   ///< null while it cannot be spoken to
};

using FenceEntries = std::map<std::string, std::int64_t>;   ///< seconds by pod uid

/// The merge patch of one renewal: holder, duration (the shortest), time, and the entries that differ from `before`.
Json fence_lease_patch(const std::string& node, const FenceEntries& before, const FenceEntries& after, Clock::WallTime now);

class FenceRelay {
 public:
  struct Deps {
    client::Client client;
    Clock& clock;
    std::string node;
    std::function<std::vector<FencedLauncher>()> launchers;
    std::function<std::uint64_t()> boottime_ms;
  };
  explicit FenceRelay(Deps deps);
  /// One renewal. Nothing is written while no instance has a fence.
  Awaitable<Result<void>> renew();
  Awaitable<void> run(StopToken stop);
  /// The server has acknowledged this pod's entry.
  bool entered(const std::string& pod_uid) const { return entries_.contains(pod_uid); }
  /// Somebody waits for an entry: not at the next round, now.
  void hurry();

 private:
  /// Shared with what is being told to launchers: one that hangs must not hold up the others.
  struct Told {
    FenceEntries armed;                ///< acknowledged by the monitor, not in the Lease yet
    std::set<std::string> in_flight;   ///< pods that are being told something
    std::shared_ptr<StopSource> wake;  ///< ends the pause before the next renewal
  };
  static Awaitable<void> tell(std::shared_ptr<Told> told, FencedLauncher launcher, std::uint64_t deadline, bool arming);
  Awaitable<Result<void>> load();
  Awaitable<Result<void>> write(FenceEntries after);
  void arm(const Executor& executor, const std::vector<FencedLauncher>& launchers);
  bool must_arm(const FencedLauncher& launcher) const;
  FenceEntries wanted(const std::vector<FencedLauncher>& launchers) const;
  /// A pod is to be armed, or has been and is to get its entry.
  bool news() const;
  std::int64_t shortest() const;

  Deps deps_;
  bool loaded_ = false;
  FenceEntries entries_;   ///< as the Lease has them
  std::shared_ptr<Told> told_ = std::make_shared<Told>();
};

std::uint64_t boottime_ms();

}  // namespace nodevirt::virt_handler
