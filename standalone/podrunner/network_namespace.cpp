#include "standalone/podrunner/network_namespace.hpp"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "pkg/base/file.hpp"
#include "standalone/podrunner/process_table.hpp"

namespace nodevirt::podrunner {
namespace {

Result<void> loopback_up() {
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return errno_error(errno, "open a socket");
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return errno_error(errno, "bring up the loopback interface");
  return {};
}

Result<void> make_in_this_thread(const std::string& path) {
  if (::unshare(CLONE_NEWNET) != 0) return errno_error(errno, "make a network namespace");
  NV_TRY_VOID(loopback_up());
  if (::mount("/proc/thread-self/ns/net", path.c_str(), nullptr, MS_BIND, nullptr) != 0)
    return errno_error(errno, "keep a network namespace at " + path);
  return {};
}

}  // namespace

Result<void> create_network_namespace(const std::filesystem::path& path) {
  if (namespace_id(path.string())) return {};
  NV_TRY_VOID(make_dirs(path.parent_path()));
  Fd file(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0444));
  if (!file) return errno_error(errno, "create " + path.string());
  Result<void> result;
  std::thread([&] { result = make_in_this_thread(path.string()); }).join();
  if (!result.ok()) ::unlink(path.c_str());
  return result;
}

Result<void> remove_network_namespace(const std::filesystem::path& path) {
  while (namespace_id(path.string()))
    if (::umount2(path.c_str(), MNT_DETACH) != 0) return errno_error(errno, "unmount " + path.string());
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return errno_error(errno, "remove " + path.string());
  return {};
}

}  // namespace nodevirt::podrunner
