// A connection whose other end is silent: how long it is waited for. In post-copy it is better kept than made anew. A QEMU before 8.2
// that has said all while the target lacks the end of it waits for ever once its stream breaks; what is in the kernel's hands comes
// when the link is back.
#pragma once
#include <chrono>
#include <optional>

namespace nodevirt::virt_handler::migration {

struct Patience {
  std::chrono::milliseconds ordinary{15000};   ///< of every connection between nodes: a cable that is put back in time is not noticed
  std::chrono::milliseconds longest{150000};   ///< in post-copy; longer than the guest may stand still
  /// The kernel tries again ever more rarely, but not later than the connection's end: while that is always this far ahead, it
  /// tries at least so often.
  std::chrono::milliseconds again{4000};
};

/// TCP_USER_TIMEOUT of a patient connection that has been silent for so long; nothing: it has had its time. `under_way`: something
/// was sent and not answered. What could not even be sent (no route, a firewall) the kernel tries fifteen times and no more
/// (tcp_retries2): these tries grow apart.
std::optional<std::chrono::milliseconds> user_timeout(std::chrono::milliseconds silent, bool under_way, const Patience& patience = {});

/// Keeps it on one TCP connection; on one thread.
class PatientConnection {
 public:
  /// Not an owner.
  explicit PatientConnection(int fd, Patience patience = {}) : fd_(fd), patience_(patience) {}
  /// At least once a second; looks at most twice. How long nothing at all has come from the other end.
  std::chrono::milliseconds look();

 private:
  using Clock = std::chrono::steady_clock;
  int fd_;
  Patience patience_;
  Clock::time_point next_{};
  std::chrono::milliseconds silent_{0};
};

}  // namespace nodevirt::virt_handler::migration
