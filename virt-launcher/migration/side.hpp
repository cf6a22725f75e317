// What both sides of a migration stand on.
#pragma once
#include <functional>

#include "pkg/libvirt/domain.hpp"
#include "pkg/libvirt/domain_state.hpp"
#include "virt-launcher/migration/events.hpp"
#include "virt-launcher/migration/monitor.hpp"
#include "virt-launcher/options.hpp"

namespace nodevirt::virt_launcher::migration {

/// An answer of migration.hpp's list.
inline Error refuse(std::string reason, std::string message) { return {Code::FailedPrecondition, std::move(reason), std::move(message)}; }

inline bool paused(const libvirt::StateAndReason& s) { return libvirt::state_word(s.state) == "Paused"; }
/// A domain stands so on the source from the switch-over on, and on the target until it is whole.
inline bool paused_by_migration(const libvirt::StateAndReason& s) {
  auto why = libvirt::reason_word(s.state, s.reason);
  return paused(s) && (why == "Migration" || why.starts_with("Postcopy"));
}

/// On the source: its vCPUs will never run again, and what the target lacks of its memory is here.
inline bool stopped_by_post_copy(const libvirt::StateAndReason& s) { return paused(s) && libvirt::reason_word(s.state, s.reason).starts_with("Postcopy"); }

struct Context {
  Paths paths;
  std::string domain_name;
  /// Waits for libvirtd as long; NotFound without the domain.
  std::function<Result<libvirt::Domain>(std::chrono::milliseconds)> domain;
  /// QEMU's process by libvirt's pid file; 0 when there is none, kUnknownProcess when that cannot be told.
  std::function<pid_t()> qemu_pid;
  /// Work for the launcher's own thread.
  std::function<void(std::function<void()>, std::chrono::milliseconds)> post;
  Events& events;
  Monitor& monitor;
};

}  // namespace nodevirt::virt_launcher::migration
