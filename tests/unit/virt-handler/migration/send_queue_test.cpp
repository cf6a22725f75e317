#include "virt-handler/migration/stream/send_queue.hpp"

#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <sys/socket.h>

#include "pkg/base/file.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler::migration;

TEST_CASE("20 ms of the link may wait in the kernel, between 128 KiB and 4 MiB") {
  CHECK(unsent_limit(0) == 128u << 10);
  CHECK(unsent_limit(1'000'000) == 128u << 10);
  CHECK(unsent_limit(50'000'000) == 1'000'000);
  CHECK(unsent_limit(10'000'000'000) == 4u << 20);
  CHECK(unsent_limit(UINT64_MAX) == 4u << 20);
}

TEST_CASE("a connection that has carried something has its limit") {
  Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), out(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
  REQUIRE(::listen(listener.get(), 1) == 0);
  REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&at), &size) == 0);
  REQUIRE(::connect(out.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
  Fd in(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  REQUIRE(in);
  std::string block(64 << 10, 'x');
  for (int i = 0; i < 8; ++i) {
    REQUIRE(::send(out.get(), block.data(), block.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(block.size()));
    REQUIRE(::recv(in.get(), block.data(), block.size(), MSG_WAITALL) == static_cast<ssize_t>(block.size()));
  }

  SendQueue queue(out.get());
  queue.follow();

  std::uint32_t limit = 0;
  size = sizeof limit;
  REQUIRE(::getsockopt(out.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &limit, &size) == 0);
  CHECK(limit >= 128u << 10);
  CHECK(limit <= 4u << 20);
}
