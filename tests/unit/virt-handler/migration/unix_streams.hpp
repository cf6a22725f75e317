// Unix sockets as QEMU and libvirtd use them: blocking.
#pragma once
#include <cstring>
#include <filesystem>
#include <sys/socket.h>
#include <sys/un.h>

#include <catch2/catch.hpp>

#include "pkg/base/file.hpp"

namespace nodevirt::test {

inline sockaddr_un unix_address(const std::filesystem::path& path) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  std::string text = path.string();
  REQUIRE(text.size() < sizeof out.sun_path);
  std::memcpy(out.sun_path, text.c_str(), text.size() + 1);
  return out;
}

inline Fd listen_at(const std::filesystem::path& path) {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = unix_address(path);
  REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(fd.get(), 64) == 0);
  return fd;
}

inline Fd connect_to(const std::filesystem::path& path) {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = unix_address(path);
  REQUIRE(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

inline Fd accept_at(const Fd& listener) { return Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)); }

}  // namespace nodevirt::test
