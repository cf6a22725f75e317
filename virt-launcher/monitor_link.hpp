// The launcher's end of the monitor's socket pair (the messages: monitor/monitor.hpp).
#pragma once
#include <cstdint>
#include <string>
#include <sys/types.h>

#include "pkg/base/file.hpp"

namespace nodevirt::virt_launcher {

/// Thread-safe. Without a monitor (fd -1) everything is said to nobody.
class MonitorLink {
 public:
  explicit MonitorLink(int fd) : fd_(fd) {}
  void qemu(pid_t pid) const { send("qemu " + std::to_string(pid)); }
  void fence(std::uint64_t boottime_ms) const { send("fence " + std::to_string(boottime_ms)); }
  /// The last word: the monitor ends the pod with `code`.
  void stopped(int code) const { send("stopped " + std::to_string(code)); }
  /// The monitor keeps a copy of `fd` for the next launcher, in place of an earlier one; none for -1.
  void keep(int fd) const;
  /// What an earlier launcher gave it to keep, once; invalid when it is nothing.
  static Fd kept();
  /// The next message without waiting; empty when there is none. `closed` when the monitor is gone.
  std::string receive(bool& closed) const;
  int fd() const { return fd_; }

 private:
  void send(const std::string& message) const;
  int fd_;
};

}  // namespace nodevirt::virt_launcher
