// What to do next for one instance. Pure: everything that matters stands in the Observation, and nothing
// is remembered, so that any step may be repeated after any crash.
#pragma once
#include <optional>

#include "api/proto/launcher.pb.h"
#include "api/vmi.hpp"
#include "pkg/base/clock.hpp"

namespace nodevirt::virt_handler {

enum class NetworkState { Pending, Ready, Failed };

struct Observation {
  const api::Instance* vmi = nullptr;
  bool pod_found = false;      ///< a pod of this instance is on this node
  bool pod_deleting = false;
  std::string pod_phase, pod_uid, pod_ip, pod_ip6;
  bool connected = false;      ///< the launcher's stream is open, `domain` is what it says now
  Clock::Duration unreachable_for{};                 ///< since the stream broke or the pod began to run
  NetworkState network = NetworkState::Pending;
  const launcher::v1::DomainState* domain = nullptr; ///< the last one told; null: never told
  Clock::Duration absent_for{};                      ///< the launcher sees no domain since then
  std::string domain_message;                        ///< what went wrong with it
  /// The guest is on its way to another node: what its domain does here is the migration's to judge.
  bool migrating = false;
  Clock::WallTime now;
};

enum class Step {
  None,
  ConfirmPodGone,  ///< ask the API server itself whether the pod is gone
  PrepareNetwork,  ///< it failed before
  Sync,            ///< SyncVirtualMachine: define and start
  Shutdown,        ///< ACPI
  Kill,
  Undefine,
};

struct Plan {
  Step step = Step::None;
  std::optional<Clock::Duration> again;  ///< look again after this long, if nothing happens before
};

/// A launcher that cannot be reached for this long, though its pod runs, is given up. It is restarted by its
/// monitor within a second.
inline constexpr Clock::Duration kUnreachableLimit = std::chrono::seconds(60);
inline constexpr std::int64_t kDefaultGraceSeconds = 30;

Plan plan(const Observation& seen);

/// The domain has a QEMU process.
bool is_active(const launcher::v1::DomainState& domain);
/// The domain ran and has ended for good (a domain that is only defined, or failed to start, has not).
/// `ran`: the instance was seen running before.
bool has_ended(const launcher::v1::DomainState& domain, bool ran);

}  // namespace nodevirt::virt_handler
