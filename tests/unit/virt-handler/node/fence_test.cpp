// The relay keeps what the Lease promises: no deadline is later than N seconds after the Lease last changed, and
// who has an entry is armed. Whatever request fails, whatever answer is lost, whenever the program starts anew.
#include <catch2/catch.hpp>

#include <boost/asio/io_context.hpp>

#include "api/names.hpp"
#include "pkg/runtime/informer.hpp"
#include "tests/support/memory_api.hpp"
#include "virt-handler/node/fence.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler;

namespace {

const k8s::Resource& kLeases = k8s::resources::kLeases;

/// A launcher with its monitor: it remembers the deadline.
class Monitored final : public rpc::LauncherClient {
 public:
  std::uint64_t deadline = 0;
  int told = 0;
  bool deaf = false, mute = false;   ///< deaf: nothing arrives; mute: its answer is lost

  Awaitable<Result<void>> renew_fence(std::uint64_t at) override {
    if (!deaf) {
      deadline = at;
      ++told;
    }
    if (deaf || mute) co_return Error(Code::DeadlineExceeded, "no answer");
    co_return Result<void>{};
  }
  Awaitable<Result<rpc::v1::InfoResponse>> info() override { co_return rpc::v1::InfoResponse(); }
  Awaitable<Result<rpc::v1::DomainState>> sync(rpc::v1::SyncRequest) override { co_return rpc::v1::DomainState(); }
  Awaitable<Result<void>> command(rpc::DomainCommand, rpc::v1::DomainRequest) override { co_return Result<void>{}; }
  Awaitable<Result<rpc::v1::DomainState>> get_domain(rpc::v1::DomainRequest) override { co_return rpc::v1::DomainState(); }
  Awaitable<Result<rpc::v1::DomainStats>> get_stats(rpc::v1::DomainRequest) override { co_return rpc::v1::DomainStats(); }
  Awaitable<Result<rpc::v1::Screenshot>> get_screenshot(rpc::v1::DomainRequest) override { co_return rpc::v1::Screenshot(); }
  Awaitable<Result<rpc::v1::GuestInfo>> get_guest_info(rpc::v1::DomainRequest) override { co_return rpc::v1::GuestInfo(); }
  Awaitable<Result<void>> ping() override { co_return Result<void>{}; }
  std::unique_ptr<rpc::DomainWatch> watch() override { return nullptr; }
};

/// Loses answers of writes that were done.
class Api final : public testing::MemoryApi {
 public:
  bool down = false, lose_answers = false;
  int writes = 0;
  Awaitable<Result<net::Response>> send(net::Request request) override {
    if (down) co_return Error(Code::Unavailable, "down");
    bool write = request.method != "GET";
    writes += write;
    auto done = co_await MemoryApi::send(std::move(request));
    if (write && lose_answers) co_return Error(Code::Unavailable, "the answer was lost");
    co_return done;
  }
};

struct Node {
  boost::asio::io_context io;
  ManualClock clock{*parse_time("2026-01-01T00:00:00Z")};
  std::shared_ptr<Api> api = std::make_shared<Api>();
  std::map<std::string, std::optional<std::int64_t>> asks;    ///< by pod
  std::map<std::string, std::shared_ptr<Monitored>> pods;
  std::map<std::string, std::uint64_t> changed;               ///< by Lease version: when it was first seen
  std::unique_ptr<FenceRelay> relay;

  Node() { start(); }
  void start() {
    relay = std::make_unique<FenceRelay>(FenceRelay::Deps{client::Client(api), clock, "node1", [this] { return launchers(); }, [this] { return ms(); }});
  }
  std::vector<FencedLauncher> launchers() const {
    std::vector<FencedLauncher> out;
    for (const auto& [uid, pod] : pods) out.push_back({uid, asks.at(uid), pod});
    return out;
  }
  void pod(const std::string& uid, std::optional<std::int64_t> seconds) {
    asks[uid] = seconds;
    pods.emplace(uid, std::make_shared<Monitored>());
  }
  std::uint64_t ms() const {
    return 1000000 + static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(clock.now().time_since_epoch()).count());
  }
  FenceEntries entries() const {
    const Json* lease = api->get(kLeases, "kubevirt", "virt-handler-node1");
    return lease ? api::fence_entries(runtime::ObjectMeta::from_json(*lease).annotations) : FenceEntries();
  }
  static Awaitable<void> renewed(FenceRelay* relay, bool* ok) {
    auto done = co_await relay->renew();
    *ok = done.ok();
  }
  /// One renewal, and what the Lease promises is looked at.
  bool renew() {
    bool ok = false;
    spawn(io.get_executor(), renewed(relay.get(), &ok), "renew");
    io.restart();
    while (io.poll() > 0) io.restart();
    check_promise();
    return ok;
  }
  void check_promise() {
    const Json* lease = api->get(kLeases, "kubevirt", "virt-handler-node1");
    if (!lease) return;
    std::uint64_t since = changed.emplace(string_at(*lease, {"metadata", "resourceVersion"}), ms()).first->second;
    for (const auto& [uid, seconds] : entries()) {
      INFO("pod " << uid);
      if (!pods.contains(uid)) continue;
      CHECK(pods[uid]->deadline != 0);                                                   // armed
      CHECK(pods[uid]->deadline <= since + static_cast<std::uint64_t>(seconds) * 1000);  // and not for longer
    }
  }
};

}  // namespace

TEST_CASE("without a fence nothing is written") {
  Node n;
  n.pod("plain", std::nullopt);
  CHECK(n.renew());
  CHECK(n.renew());
  CHECK(n.api->writes == 0);
  CHECK(n.pods["plain"]->told == 0);
}

TEST_CASE("a fence: armed first, then entered, then renewed") {
  Node n;
  n.pod("p", 30);
  n.pod("plain", std::nullopt);
  CHECK(n.renew());
  CHECK(n.pods["p"]->deadline == n.ms() + 30000);
  n.clock.advance(10s);
  CHECK(n.renew());
  CHECK(n.entries() == FenceEntries{{"p", 30}});
  const Json lease = *n.api->get(kLeases, "kubevirt", "virt-handler-node1");
  CHECK(string_at(lease, {"metadata", "labels", "nodevirt.io/fence"}) == "true");
  CHECK(string_at(lease, {"spec", "holderIdentity"}) == "node1");
  CHECK(int_at(lease, {"spec", "leaseDurationSeconds"}) == 30);
  CHECK(string_at(lease, {"spec", "renewTime"}) == "2026-01-01T00:00:10.000000Z");
  n.clock.advance(10s);
  CHECK(n.renew());
  CHECK(n.pods["p"]->deadline == n.ms() + 30000);
  CHECK(n.pods["plain"]->told == 0);

  SECTION("the pod ends, and its entry goes") {
    n.pods.erase("p");
    CHECK(n.renew());
    CHECK(n.entries().empty());
    int writes = n.api->writes;
    CHECK(n.renew());
    CHECK(n.api->writes == writes);
  }
  SECTION("the API server is away: the deadline stays where it is") {
    std::uint64_t before = n.pods["p"]->deadline;
    n.api->down = true;
    n.clock.advance(10s);
    CHECK_FALSE(n.renew());
    CHECK(n.pods["p"]->deadline == before);
    n.api->down = false;
    CHECK(n.renew());
    CHECK(n.pods["p"]->deadline == n.ms() + 30000);
  }
  SECTION("an answer is lost: nothing is told to the monitor") {
    std::uint64_t before = n.pods["p"]->deadline;
    n.api->lose_answers = true;
    n.clock.advance(10s);
    CHECK_FALSE(n.renew());
    CHECK(n.pods["p"]->deadline == before);
  }
  SECTION("the program starts anew while the API server is away: no deadline is told") {
    std::uint64_t before = n.pods["p"]->deadline;
    n.start();
    n.api->down = true;
    n.clock.advance(10s);
    CHECK_FALSE(n.renew());
    CHECK(n.pods["p"]->deadline == before);
    n.api->down = false;
    CHECK(n.renew());
    CHECK(n.pods["p"]->deadline == n.ms() + 30000);
    CHECK(n.entries() == FenceEntries{{"p", 30}});
  }
  SECTION("more is asked for: entered before it is told") {
    n.asks["p"] = 90;
    CHECK(n.renew());
    CHECK(n.entries() == FenceEntries{{"p", 90}});
    CHECK(n.pods["p"]->deadline == n.ms() + 90000);
  }
  SECTION("less, or none, is asked for: not for this guest") {
    for (std::optional<std::int64_t> less : {std::optional<std::int64_t>(10), std::optional<std::int64_t>()}) {
      n.asks["p"] = less;
      n.clock.advance(10s);
      CHECK(n.renew());
      CHECK(n.entries() == FenceEntries{{"p", 30}});
      CHECK(n.pods["p"]->deadline == n.ms() + 30000);
    }
  }
  SECTION("somebody takes the Lease away: it is made again") {
    n.api->erase(kLeases, "kubevirt", "virt-handler-node1");
    n.clock.advance(10s);
    CHECK(n.renew());
    CHECK(n.entries() == FenceEntries{{"p", 30}});
  }
}

TEST_CASE("who waits for an entry does not wait for the next round") {
  Node n;
  StopSource stop;
  auto poll = [&] {
    n.io.restart();
    while (n.io.poll() > 0) n.io.restart();
  };
  spawn(n.io.get_executor(), n.relay->run(stop.get_token()), "relay");
  poll();
  n.pod("p", 30);
  CHECK_FALSE(n.relay->entered("p"));
  SECTION("acknowledged") {
    n.relay->hurry();
    poll();
    CHECK(n.relay->entered("p"));
    CHECK(n.entries() == FenceEntries{{"p", 30}});
  }
  SECTION("its answer is lost") {
    n.api->lose_answers = true;
    n.relay->hurry();
    poll();
    CHECK_FALSE(n.relay->entered("p"));
    n.api->lose_answers = false;
    n.clock.advance(1s);
    poll();
    CHECK(n.relay->entered("p"));
  }
  n.check_promise();
  stop.request_stop();
  poll();
}

TEST_CASE("a launcher that does not answer has no entry, and holds up nobody") {
  Node n;
  n.pod("deaf", 30);
  n.pod("p", 60);
  n.pods["deaf"]->deaf = true;
  for (int i = 0; i < 3; ++i) CHECK(n.renew());
  CHECK(n.entries() == FenceEntries{{"p", 60}});
  n.pods["deaf"]->deaf = false;
  for (int i = 0; i < 2; ++i) CHECK(n.renew());
  CHECK(n.entries() == FenceEntries{{"deaf", 30}, {"p", 60}});
}

TEST_CASE("the promise holds whatever fails, in any order") {
  unsigned seed = GENERATE(range(1u, 60u));
  DYNAMIC_SECTION("seed " << seed) {
    Node n;
    unsigned state = seed * 2654435761u;
    auto random = [&](unsigned below) { return (state = state * 1664525u + 1013904223u, (state >> 16) % below); };
    n.pod("a", 30);
    n.pod("b", std::nullopt);
    for (int i = 0; i < 60; ++i) {
      n.api->down = random(4) == 0;
      n.api->lose_answers = random(4) == 0;
      for (auto& [uid, pod] : n.pods) {
        pod->deaf = random(5) == 0;
        pod->mute = random(5) == 0;
        if (random(6) == 0) n.asks[uid] = std::vector<std::optional<std::int64_t>>{std::nullopt, 5, 30, 90}[random(4)];
      }
      if (random(10) == 0) n.start();
      if (random(15) == 0 && n.api->get(kLeases, "kubevirt", "virt-handler-node1")) n.api->erase(kLeases, "kubevirt", "virt-handler-node1");
      n.renew();
      n.clock.advance(std::chrono::milliseconds(500 + random(9000)));
    }
  }
}
