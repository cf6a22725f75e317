#include "virt-handler/streams/safe_path.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

namespace nodevirt::virt_handler {
namespace {

int open_resolved(int dir, const char* relative, std::uint64_t flags, std::uint64_t resolve) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = resolve;
  return static_cast<int>(syscall(SYS_openat2, dir, relative, &how, sizeof how));
}

}  // namespace

Result<std::string> read_in_root(pid_t pid, const std::string& relative, std::size_t max_bytes) {
  std::string root_path = fmt::format("/proc/{}/root", pid);
  Fd root(open(root_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return errno_error(errno, "open " + root_path);
  Fd file(open_resolved(root.get(), relative.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS));
  if (!file) return errno_error(errno, fmt::format("open {} of process {}", relative, pid));
  struct stat info {};
  if (fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return Error{Code::InvalidArgument, fmt::format("{} of process {} is no regular file", relative, pid)};
  std::string out;
  char buffer[4096];
  for (;;) {
    ssize_t n = read(file.get(), buffer, sizeof buffer);
    if (n < 0) return errno_error(errno, fmt::format("read {} of process {}", relative, pid));
    if (n == 0) return out;
    out.append(buffer, static_cast<std::size_t>(n));
    if (out.size() > max_bytes)
      return Error{Code::InvalidArgument, fmt::format("{} of process {} is larger than {} bytes", relative, pid, max_bytes)};
  }
}

Result<Fd> connect_beneath(const std::filesystem::path& base, const std::string& relative) {
  Fd dir(open(base.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!dir) return errno_error(errno, "open " + base.string());
  Fd file(open_resolved(dir.get(), relative.c_str(), O_PATH | O_NOFOLLOW, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS));
  if (!file) {
    if (errno == ELOOP || errno == EXDEV)
      return Error{Code::FailedPrecondition, fmt::format("{} is reached through a link, which is not followed", relative)};
    return errno_error(errno, fmt::format("open {} below {}", relative, base.string()));
  }
  struct stat info {};
  if (fstat(file.get(), &info) != 0 || !S_ISSOCK(info.st_mode))
    return Error{Code::FailedPrecondition, fmt::format("{} is no socket", relative)};

  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return errno_error(errno, "make a socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string path = fmt::format("/proc/self/fd/{}", file.get());
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return Error{Code::Unavailable, fmt::format("connect to {}: {}", relative, std::strerror(errno))};
  return socket;
}

}  // namespace nodevirt::virt_handler
