// Who leads, when, and for how long.
#include <catch2/catch.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include "pkg/runtime/identity.hpp"
#include "pkg/runtime/leader_election.hpp"
#include "pkg/runtime/signal.hpp"
#include "tests/support/scripted_transport.hpp"

using namespace nodevirt;
using namespace nodevirt::runtime;
using namespace nodevirt::testing;

namespace {

// One Lease with optimistic concurrency.
struct LeaseServer {
  Json lease;
  int version = 0;
  bool down = false;
  int reads = 0, writes = 0;

  Result<net::Response> answer(const net::Request& r) {
    if (down) return Error(Code::Unavailable, "down");
    if (r.method == "GET") {
      ++reads;
      return lease.is_null() ? error_answer(k8s::not_found("leases", "l")) : json_answer(200, lease);
    }
    Json body = Json::parse(r.body);
    ++writes;
    if (r.method == "POST" && !lease.is_null()) return error_answer(k8s::already_exists("leases", "l"));
    if (r.method == "PUT" && string_at(body, {"metadata", "resourceVersion"}) != std::to_string(version))
      return error_answer(k8s::conflict("leases", "l", "changed"));
    lease = body;
    lease["metadata"]["resourceVersion"] = std::to_string(++version);
    return json_answer(200, lease);
  }
  void hold(const char* who) {
    lease = {{"metadata", {{"name", "l"}, {"resourceVersion", std::to_string(++version)}}},
             {"spec", {{"holderIdentity", who}, {"leaseDurationSeconds", 15}, {"renewTime", std::to_string(version)}}}};
  }
  std::string holder() const { return string_at(lease, {"spec", "holderIdentity"}); }
};

struct Fixture {
  boost::asio::io_context io;
  ManualClock clock;
  LeaseServer server;
  std::shared_ptr<ScriptedTransport> transport = std::make_shared<ScriptedTransport>();
  StopSource stop;
  int leading = 0, led = 0;
  bool returned = false;

  static Awaitable<void> lead(Fixture* f, StopToken stop) {
    ++f->leading;
    ++f->led;
    Signal never;
    while (!stop.stop_requested()) co_await never.wait(stop);
    --f->leading;
  }
  static Awaitable<void> run(Fixture* f, LeaderElectionOptions options) {
    std::function<Awaitable<void>(StopToken)> fn = [f](StopToken s) { return lead(f, s); };
    co_await run_as_leader(client::Client(f->transport), f->clock, std::move(options), fn, f->stop.get_token());
    f->returned = true;
  }
  void start(std::function<bool(const std::string&)> gone = {}) {
    transport->on_send = [this](const net::Request& r) { return server.answer(r); };
    LeaderElectionOptions options{.ns = "kubevirt", .name = "l", .identity = "me", .holder_is_gone = std::move(gone)};
    spawn(io.get_executor(), run(this, options), "election");
    settle(io);
  }
  void advance(Clock::Duration d) {
    for (auto step = d / 10; d > Clock::Duration::zero(); d -= step) {
      clock.advance(step);
      settle(io);
    }
  }
  ~Fixture() {
    server.down = true;
    stop.request_stop();
    settle(io);
  }
};

}  // namespace

TEST_CASE("a sole candidate leads at once, renews, and releases the lease at its end") {
  Fixture f;
  f.start();
  CHECK(f.leading == 1);
  CHECK(f.server.holder() == "me");
  CHECK(string_at(f.server.lease, {"metadata", "name"}) == "l");
  int writes = f.server.writes;
  f.advance(20s);
  CHECK(f.server.writes > writes);
  CHECK(f.server.reads == 1);  // renewing is one write
  CHECK(f.led == 1);
  f.stop.request_stop();
  settle(f.io);
  CHECK(f.leading == 0);
  CHECK(f.returned);
  CHECK(f.server.holder() == "");
}

TEST_CASE("another's lease is waited for until it was not renewed for its whole time, by our clock") {
  Fixture f;
  f.server.hold("other");
  f.start();
  CHECK(f.leading == 0);
  f.advance(10s);
  f.server.hold("other");  // renewed
  f.advance(14s);
  CHECK(f.leading == 0);
  f.advance(6s);
  CHECK(f.leading == 1);
  CHECK(f.server.holder() == "me");
  CHECK(int_at(f.server.lease, {"spec", "leaseTransitions"}) == 1);
}

TEST_CASE("the lease of a process that is known to be dead is taken at once") {
  Fixture f;
  f.server.hold("dead");
  f.start([](const std::string& who) { return who == "dead"; });
  CHECK(f.leading == 1);
}

TEST_CASE("a released lease is taken at the next look") {
  Fixture f;
  f.server.hold("other");
  f.start();
  f.server.hold("");
  f.advance(2s);
  CHECK(f.leading == 1);
}

TEST_CASE("a leader that cannot renew steps down before its lease ends, and comes back") {
  Fixture f;
  f.start();
  f.server.down = true;
  f.advance(8s);
  CHECK(f.leading == 1);
  f.advance(5s);
  CHECK(f.leading == 0);
  f.server.down = false;
  f.advance(3s);
  CHECK(f.leading == 1);
  CHECK(f.led == 2);
}

TEST_CASE("a leader whose lease another took steps down at once") {
  Fixture f;
  f.start();
  f.server.hold("thief");
  f.advance(4500ms);
  CHECK(f.leading == 0);
  CHECK(f.server.holder() == "thief");
}

TEST_CASE("a server that is down at the start is asked again soon") {
  Fixture f;
  f.server.down = true;
  f.start();
  CHECK(f.leading == 0);
  f.server.down = false;
  f.clock.advance(50ms);
  settle(f.io);
  CHECK(f.leading == 1);
}

TEST_CASE("a process knows itself to be alive, and a child that ended to be gone") {
  std::string me = process_identity();
  CHECK_FALSE(process_is_gone(me));
  CHECK_FALSE(process_is_gone("somewhere-else_1.2.3.4"));
  CHECK_FALSE(process_is_gone(""));
  CHECK_FALSE(process_is_gone("me"));
  int out[2];
  REQUIRE(pipe(out) == 0);
  pid_t child = fork();
  if (child == 0) {
    std::string id = process_identity();
    ssize_t n = write(out[1], id.data(), id.size());
    _exit(n > 0 ? 0 : 1);
  }
  close(out[1]);
  char text[256] = {};
  REQUIRE(read(out[0], text, sizeof text - 1) > 0);
  close(out[0]);
  waitpid(child, nullptr, 0);
  CHECK(process_is_gone(text));
}
