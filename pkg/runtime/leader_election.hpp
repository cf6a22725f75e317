// Leader election on a coordination.k8s.io Lease, with client-go's timing. It makes two leaders
// unlikely, not impossible: every write still carries a precondition.
#pragma once
#include <functional>
#include <string>

#include "pkg/base/clock.hpp"
#include "pkg/client/client.hpp"

namespace nodevirt::runtime {

struct LeaderElectionOptions {
  std::string ns, name, identity;
  Clock::Duration lease = std::chrono::seconds(15), renew = std::chrono::seconds(10), retry = std::chrono::seconds(2);
  /// Whether the holder of a lease is known to be dead, so that its lease need not be waited for
  /// (process_is_gone for identities of process_identity); may be empty.
  std::function<bool(const std::string& identity)> holder_is_gone;
};

/// Runs `lead` while this identity holds the lease; its token stops when the lease is lost. Returns when
/// `stop` is requested (the lease is then released). A sole candidate leads within one round trip.
Awaitable<void> run_as_leader(client::Client client, Clock& clock, LeaderElectionOptions options,
                              std::function<Awaitable<void>(StopToken)> lead, StopToken stop);

}  // namespace nodevirt::runtime
