// How long a silent connection is waited for; a silence is made by a filter that lets nothing in.
#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <thread>

#include "pkg/base/file.hpp"
#include "virt-handler/migration/stream/patience.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler::migration;
using namespace std::chrono_literals;

namespace {

struct Connection {
  Fd near, far;
  Connection() {
    Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&at), size) == 0);
    REQUIRE(::listen(listener.get(), 1) == 0);
    REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&at), &size) == 0);
    near = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ::connect(near.get(), reinterpret_cast<sockaddr*>(&at), size);
    far = Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    REQUIRE(far);
  }
  void cut(bool on) {
    sock_filter drop{BPF_RET | BPF_K, 0, 0, 0};
    sock_fprog program{1, &drop};
    for (const Fd* end : {&near, &far})
      REQUIRE(::setsockopt(end->get(), SOL_SOCKET, on ? SO_ATTACH_FILTER : SO_DETACH_FILTER, &program, sizeof program) == 0);
  }
};

int error_of(const Fd& fd) {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

}  // namespace

TEST_CASE("a patient connection ends ever later while the other end is silent, up to a bound") {
  Patience p{.ordinary = 15s, .longest = 150s, .again = 4s};
  for (bool under_way : {true, false}) {
    CHECK(user_timeout(0ms, under_way, p) == 15s);
    CHECK(user_timeout(1999ms, under_way, p) == 15s);
    CHECK(user_timeout(2s, under_way, p) == 6s);
    CHECK_FALSE(user_timeout(150s, under_way, p));
  }
  CHECK(user_timeout(60s, true, p) == 64s);
  CHECK(user_timeout(149999ms, true, p) == 153999ms);
}

TEST_CASE("what cannot even be sent outlives the wait with the fifteen tries that the kernel makes") {
  std::chrono::milliseconds at{0}, backoff = 200ms;
  for (int tries = 0; tries < 15; ++tries) {
    at += std::min(backoff, *user_timeout(at, false) - at);
    backoff *= 2;
  }
  CHECK(at > 130s);
}

TEST_CASE("what was written to a patient connection comes when the link is back; an ordinary one has ended") {
  constexpr std::chrono::milliseconds kOrdinary = 3s;
  Patience p{.ordinary = 10s, .longest = 60s, .again = 6s};  // a machine that stands still for seconds is no failure
  Connection patient, ordinary;
  PatientConnection kept(patient.near.get(), p);
  unsigned limit = static_cast<unsigned>(kOrdinary.count());
  for (auto* c : {&patient, &ordinary}) {
    ::setsockopt(c->near.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, sizeof limit);
    c->cut(true);
    REQUIRE(::send(c->near.get(), "all", 3, MSG_NOSIGNAL) == 3);
  }
  int ended = 0;
  auto until = std::chrono::steady_clock::now() + 30s;
  std::chrono::milliseconds silent{0};
  while ((ended == 0 || silent < 2 * kOrdinary) && std::chrono::steady_clock::now() < until) {
    silent = kept.look();
    if (ended == 0) ended = error_of(ordinary.near);
    std::this_thread::sleep_for(10ms);
  }
  CHECK(ended == ETIMEDOUT);
  CHECK(silent >= 2 * kOrdinary);
  CHECK(error_of(patient.near) == 0);
  patient.cut(false);
  char got[4] = {};
  ssize_t n = -1;
  while ((n = ::recv(patient.far.get(), got, sizeof got, 0)) < 0 && std::chrono::steady_clock::now() < until) {
    kept.look();
    std::this_thread::sleep_for(10ms);
  }
  CHECK(n == 3);
}
