#include "virt-handler/network/netns.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <thread>

#include <fmt/format.h>

namespace nodevirt::virt_handler {

Result<Fd> open_pod_netns(pid_t pid) {
  std::string path = fmt::format("/proc/{}/ns/net", pid);
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    if (errno == ENOENT) return Error{Code::Unavailable, fmt::format("the launcher's process {} is gone", pid)};
    return errno_error(errno, "open " + path);
  }
  struct stat theirs {}, ours {};
  if (fstat(fd.get(), &theirs) != 0 || stat("/proc/self/ns/net", &ours) != 0) return errno_error(errno, "stat " + path);
  if (theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev)
    return Error{Code::FailedPrecondition,
                 fmt::format("the launcher's process {} is in the node's own network namespace", pid)};
  return fd;
}

Result<void> in_netns(int netns_fd, const std::function<Result<void>()>& work) {
  Result<void> result;
  std::thread thread([&] {
    if (setns(netns_fd, CLONE_NEWNET) != 0) {
      result = errno_error(errno, "enter the pod's network namespace");
      return;
    }
    result = work();
  });
  thread.join();
  return result;
}

}  // namespace nodevirt::virt_handler
