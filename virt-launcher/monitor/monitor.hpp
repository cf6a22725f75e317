// The pod's first process. It starts libvirtd and virt-launcher and starts them again when they die, reaps
// whatever loses its parent, turns SIGTERM into an orderly shutdown with a limit, holds the fence, and ends
// with the guest.
//
// The fence, once its deadline has passed, is final: every QEMU is killed, a later deadline changes nothing, and the
// pod ends, so that no other QEMU can follow.
//
// It speaks with virt-launcher through a SOCK_SEQPACKET pair (descriptor 3 of the launcher), one message a packet:
//   launcher -> monitor   "qemu PID"       the domain's process; repeated after each start of the launcher
//                         "fence MS"       CLOCK_BOOTTIME in ms at which QEMU is to be killed; 0: never
//                         "keep"           with a descriptor: the next launcher gets it as well; without: no longer
//                         "stopped CODE"   the domain is gone for good: end with CODE
//   monitor -> launcher   "shutdown"       shut the guest down by ACPI
//                         "gone"           the domain's process has been reaped
#pragma once
#include <sys/types.h>

#include "virt-launcher/monitor/child.hpp"
#include "virt-launcher/monitor/options.hpp"

namespace nodevirt::monitor {

class Monitor {
 public:
  explicit Monitor(Options options) : options_(std::move(options)) {}
  Monitor(const Monitor&) = delete;

  /// Returns the process's exit code.
  int run();

 private:
  bool prepare();
  void start_children();
  void loop_once();
  int wait_ms() const;
  void on_signal();
  void reap();
  void on_message();
  void check_fence();
  void keep(int fd);
  void set_fence(unsigned long long boottime_ms);
  void on_deadlines();
  void begin_shutdown();
  void kill_qemu(int signal);
  void end(int code, const char* why);
  int tear_down();

  Options options_;
  Child libvirtd_, launcher_;
  int signals_ = -1, control_ = -1, launcher_end_ = -1, fence_timer_ = -1, door_ = -1;
  pid_t qemu_ = 0;                  // 0: none known
  bool qemu_seen_ = false;
  long long qemu_deadline_ms_ = 0;  // by when one must have been seen; 0: never
  bool shutting_down_ = false;
  long long kill_at_ms_ = 0;        // the next step of an ordered shutdown
  int kill_step_ = 0;
  bool fenced_ = false;
  long long linger_until_ms_ = 0;   // QEMU is gone: how long the launcher may take to say goodbye
  int qemu_code_ = 0;
  bool done_ = false;
  int exit_code_ = 0;
};

}  // namespace nodevirt::monitor
