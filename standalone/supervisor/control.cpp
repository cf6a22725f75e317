#include "standalone/supervisor/control.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace nodevirt::supervisor {
namespace {

/// The address goes through the folder's descriptor: a data directory's path may be longer than sun_path.
Result<sockaddr_un> address_through(const Fd& folder, const std::string& name) {
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  std::string path = fmt::format("/proc/self/fd/{}/{}", folder.get(), name);
  if (path.size() >= sizeof a.sun_path) return Error{Code::InvalidArgument, "socket name too long: " + path};
  path.copy(a.sun_path, path.size());
  return a;
}

Result<Fd> open_folder(const std::filesystem::path& path) {
  Fd fd(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return errno_error(errno, "open " + path.string());
  return fd;
}

/// The whole file, by open file description: inherited over fork, gone with the last copy.
struct flock lock_request() {
  struct flock l{};
  l.l_type = F_WRLCK;
  l.l_whence = SEEK_SET;
  return l;
}

}  // namespace

Result<Fd> listen_control(const DataDir& data) {
  NV_TRY(Fd folder, open_folder(data.run()));
  NV_TRY(sockaddr_un a, address_through(folder, data.control().filename()));
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  unlink(data.control().c_str());   // whoever held it is gone: we have the lock
  mode_t old = umask(0177);
  int bound = fd ? bind(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) : -1;
  int e = errno;
  umask(old);
  if (bound != 0 || listen(fd.get(), 16) != 0) return errno_error(bound != 0 ? e : errno, "listen on " + data.control().string());
  return fd;
}

Result<Json> ask_control(const DataDir& data, const std::string& request, std::chrono::milliseconds timeout) {
  auto unavailable = [&](int e) {
    return Error{Code::Unavailable, fmt::format("the supervisor of {} does not answer: {}", data.root.string(), strerror(e))};
  };
  auto folder = open_folder(data.run());
  if (!folder.ok()) return unavailable(ENOENT);
  NV_TRY(sockaddr_un a, address_through(*folder, data.control().filename()));
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  timeval t{.tv_sec = static_cast<time_t>(timeout.count() / 1000), .tv_usec = static_cast<suseconds_t>(timeout.count() % 1000 * 1000)};
  if (!fd || setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) != 0 || setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t) != 0)
    return errno_error(errno, "make a socket");
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) != 0) {
    if (errno == EACCES) return Error{Code::PermissionDenied, fmt::format("{} is root's: run this with sudo", data.control().string())};
    return unavailable(errno);
  }
  std::string line = request + "\n";
  if (send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size())) return unavailable(errno);
  std::string answer;
  char buffer[4096];
  while (answer.size() < (1u << 20)) {
    ssize_t n = recv(fd.get(), buffer, sizeof buffer, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return unavailable(errno);
    if (n == 0) break;
    answer.append(buffer, static_cast<std::size_t>(n));
  }
  return parse_json(answer);
}

Result<Fd> take_lock(const DataDir& data) {
  Fd fd(open(data.lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return errno_error(errno, "open " + data.lock().string());
  struct flock whole = lock_request();
  if (fcntl(fd.get(), F_OFD_SETLK, &whole) == 0) return fd;
  if (errno != EAGAIN && errno != EACCES) return errno_error(errno, "lock " + data.lock().string());
  char pid[32] = "";
  ssize_t n = pread(fd.get(), pid, sizeof pid - 1, 0);
  std::string who = n > 0 ? std::string(pid, static_cast<std::size_t>(n)) : "?";
  while (!who.empty() && who.back() == '\n') who.pop_back();
  return Error{Code::AlreadyExists, "Running", fmt::format("{} is in use: nodevirt runs there already (pid {}); `nodevirt status` shows it, "
                                                "`nodevirt down` stops it, --data-dir names another place", data.root.string(), who)};
}

int lock_holder(const DataDir& data) {
  Fd fd(open(data.lock().c_str(), O_RDONLY | O_CLOEXEC));
  struct flock whole = lock_request();
  if (!fd || fcntl(fd.get(), F_OFD_GETLK, &whole) != 0 || whole.l_type == F_UNLCK) return 0;
  char pid[32] = "";
  return pread(fd.get(), pid, sizeof pid - 1, 0) > 0 ? std::atoi(pid) : 0;
}

Result<void> note_holder(const Fd& lock, int pid) {
  std::string text = fmt::format("{}\n", pid);
  if (ftruncate(lock.get(), 0) != 0 || pwrite(lock.get(), text.data(), text.size(), 0) < 0) return errno_error(errno, "write the pid file");
  return {};
}

}  // namespace nodevirt::supervisor
