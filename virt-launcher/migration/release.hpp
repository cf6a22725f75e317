// The heart of the handover: ends the source's QEMU if, and only if, its guest does not run and can never run again.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <sys/types.h>

#include "api/proto/launcher.pb.h"
#include "pkg/base/file.hpp"

namespace nodevirt::virt_launcher::migration {

namespace v1 = nodevirt::launcher::v1;

/// There may be a process, and it could not be looked for.
inline constexpr pid_t kUnknownProcess = -1;

/// A process, held by a descriptor: its number cannot come to mean another.
class Process {
 public:
  /// NotFound when there is no such process, or its command name does not begin with `name`. Whatever else goes wrong, it may be there.
  static Result<Process> open(pid_t pid, std::string_view name);
  pid_t pid() const { return pid_; }
  /// False when it is gone.
  bool signal(int number) const;
  /// True once it has ended (a zombie has): also its memory is given back.
  bool wait_end(std::chrono::milliseconds timeout) const;
  /// None of its threads runs an instruction of it ever again; what the kernel did for them is done. Its memory may still be there: of a large
  /// guest it takes seconds to give that back.
  bool ends() const;
  bool wait_ends(std::chrono::milliseconds timeout) const;
  /// Waits until every thread stands still (SIGSTOP). False when time is up, or as soon as it ends instead.
  bool wait_stopped(std::chrono::milliseconds timeout) const;
  bool stopped() const;

 private:
  Process(pid_t pid, Fd fd) : pid_(pid), fd_(std::move(fd)) {}
  pid_t pid_;
  Fd fd_;
};

struct Release {
  bool released = false;
  std::string why_kept;
  std::optional<v1::MigrationSample> sample;  ///< the finished job's, as QEMU had it
};

/// `pid` 0: QEMU is known to be gone. `record` is called with QEMU frozen and must make the release durable: from its
/// success on QEMU is killed, whatever happens. Unavailable with reason NotYet: nothing has changed; ask again.
/// An error of `record` lets QEMU go on. Released again: the same answer.
Result<Release> release(pid_t pid, const std::filesystem::path& monitor, const std::function<Result<void>()>& record);

/// Kills a QEMU that is to be no more (released, or given up) and waits until it is gone; fine when it is gone already.
Result<void> end_qemu(pid_t pid);

}  // namespace nodevirt::virt_launcher::migration
