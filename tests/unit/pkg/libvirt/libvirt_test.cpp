// The wrappers against libvirt's test driver: no daemon, no QEMU.
#include <catch2/catch.hpp>

#include <condition_variable>
#include <mutex>

#include <libvirt/virterror.h>

#include "pkg/libvirt/connection.hpp"
#include "pkg/libvirt/domain_events.hpp"
#include "pkg/libvirt/domain_state.hpp"
#include "pkg/libvirt/error.hpp"
#include "pkg/libvirt/event_loop.hpp"

using namespace nodevirt;
using namespace nodevirt::libvirt;

namespace {
Connection connect() {
  start_event_loop();
  auto c = Connection::open("test:///default");
  REQUIRE(c.ok());
  return std::move(c).value();
}
constexpr const char* kXml =
    "<domain type='test'><name>fresh</name><memory>65536</memory><os><type>hvm</type></os></domain>";
}  // namespace

TEST_CASE("a domain goes through its life") {
  Connection c = connect();
  auto d = c.define(kXml);
  REQUIRE(d.ok());
  CHECK(d->name() == "fresh");
  CHECK(d->uuid().size() == 36);
  CHECK_FALSE(d->state()->active());
  REQUIRE(d->start().ok());
  CHECK(state_word(d->state()->state) == "Running");
  REQUIRE(d->suspend().ok());
  CHECK(state_word(d->state()->state) == "Paused");
  REQUIRE(d->resume().ok());
  REQUIRE(d->destroy().ok());
  auto end = d->state();
  CHECK(state_word(end->state) == "Shutoff");
  CHECK(reason_word(end->state, end->reason) == "Destroyed");
  REQUIRE(d->undefine().ok());
  CHECK(c.lookup("fresh").error().code == Code::NotFound);
}

TEST_CASE("failures carry libvirt's words and a canonical code") {
  Connection c = connect();
  CHECK(c.lookup("nobody").error().code == Code::NotFound);
  CHECK_THAT(c.lookup("nobody").error().message, Catch::Matchers::StartsWith("look up domain nobody: "));
  auto bad = c.define("<domain");
  REQUIRE_FALSE(bad.ok());
  CHECK(bad.error().code == Code::InvalidArgument);
  auto d = c.define(kXml);
  REQUIRE(d.ok());
  auto paused = d->suspend();
  REQUIRE_FALSE(paused.ok());
  CHECK_THAT(paused.error().message, Catch::Matchers::Contains("not running"));  // libvirt's words, not lost on the way
  CHECK_FALSE(Connection::open("qemu+unix:///session?socket=/nonexistent/s").ok());
}

// The thread's last error is wiped by the next call into libvirt, even one that only asks for a name.
TEST_CASE("no verb loses libvirt's words on the way") {
  Connection c = connect();
  auto d = c.define(kXml);
  REQUIRE(d.ok());
  struct Case { const char* name; bool running; std::function<Result<void>(const Domain&)> act; };
  const Case cases[] = {
      {"start", true, [](const Domain& x) { return x.start(); }},
      {"pause", false, [](const Domain& x) { return x.suspend(); }},
      {"resume", false, [](const Domain& x) { return x.resume(); }},
      {"shut down", false, [](const Domain& x) { return x.shutdown(); }},
      {"reboot", false, [](const Domain& x) { return x.reboot(); }},
      {"reset", false, [](const Domain& x) { return x.reset(); }},
      {"destroy", false, [](const Domain& x) { return x.destroy(); }},
  };
  for (auto& k : cases) {
    DYNAMIC_SECTION(k.name) {
      if (k.running) REQUIRE(d->start().ok());
      auto failed = k.act(*d);
      REQUIRE_FALSE(failed.ok());
      CHECK_THAT(failed.error().message, Catch::Matchers::StartsWith(std::string(k.name) + " domain fresh: "));
      CHECK_THAT(failed.error().message, !Catch::Matchers::Contains("gave no reason"));
    }
  }
}

TEST_CASE("lifecycle events arrive, and none after the subscription is gone") {
  Connection c = connect();
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> seen;
  auto events = DomainEvents::subscribe(c, [&](DomainEvent e) {
    std::lock_guard lock(mutex);
    seen.push_back(e.domain + " " + e.lifecycle + " " + e.detail);
    changed.notify_all();
  });
  REQUIRE(events.ok());
  auto d = c.define(kXml);
  REQUIRE(d->start().ok());
  REQUIRE(d->destroy().ok());
  {
    std::unique_lock lock(mutex);
    REQUIRE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return seen.size() >= 3; }));
    CHECK(seen[1] == "fresh Started Booted");
    CHECK(seen[2] == "fresh Stopped Destroyed");
  }
  events->reset();
  auto before = seen.size();
  REQUIRE(d->start().ok());
  REQUIRE(d->destroy().ok());
  CHECK(seen.size() == before);
}

TEST_CASE("libvirt's error numbers have canonical codes") {
  struct Case { int in; Code want; };
  const Case cases[] = {{VIR_ERR_NO_DOMAIN, Code::NotFound}, {VIR_ERR_OPERATION_INVALID, Code::FailedPrecondition},
                        {VIR_ERR_XML_ERROR, Code::InvalidArgument}, {VIR_ERR_AUTH_FAILED, Code::PermissionDenied},
                        {VIR_ERR_RPC, Code::Unavailable}, {VIR_ERR_CONFIG_UNSUPPORTED, Code::Unimplemented},
                        {VIR_ERR_OPERATION_TIMEOUT, Code::DeadlineExceeded}, {99999, Code::Unknown}};
  for (auto& c : cases) CHECK(code_of(c.in) == c.want);
}
