#include "pkg/rpc/socket_path.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "pkg/rpc/launcher_client.hpp"

namespace nodevirt::rpc {

Result<SocketPath> SocketPath::of(const std::filesystem::path& socket) {
  SocketPath out;
  std::string folder = socket.parent_path().empty() ? "." : socket.parent_path().string();
  out.folder_ = Fd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!out.folder_) return errno_error(errno, "open " + folder);
  out.path_ = fmt::format("/proc/self/fd/{}/{}", out.folder_.get(), socket.filename().string());
  if (out.path_.size() >= sizeof(sockaddr_un{}.sun_path))
    return Error(Code::InvalidArgument, fmt::format("the socket's name {} is too long", socket.filename().string()));
  return out;
}

Result<pid_t> peer_pid(const std::filesystem::path& socket) {
  NV_TRY(SocketPath name, SocketPath::of(socket));
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return errno_error(errno, "make a socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name.path().c_str(), name.path().size() + 1);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return errno_error(errno, "connect to " + socket.string());
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return errno_error(errno, "ask who listens at " + socket.string());
  if (peer.pid <= 0) return Error(Code::Unavailable, "the listener at " + socket.string() + " is in a foreign pid namespace");
  return peer.pid;
}

}  // namespace nodevirt::rpc
