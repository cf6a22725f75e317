// Registration against a store: made once, mended when it differs, patient with a server that is not there yet.
#include "pkg/base/clock.hpp"
#include "tests/support/memory_api.hpp"
#include "tests/unit/pkg/net/net_testing.hpp"
#include "virt-api/registration/register.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_api;

namespace {

std::size_t writes(const nodevirt::testing::MemoryApi& api) {
  return static_cast<std::size_t>(std::count_if(api.requests.begin(), api.requests.end(), [](const std::string& r) { return !r.starts_with("GET "); }));
}

}  // namespace

TEST_CASE("registration is made once and mended when it differs", "[virt-api]") {
  boost::asio::io_context io;
  auto api = std::make_shared<nodevirt::testing::MemoryApi>();
  for (const char* crd : {"virtualmachines.kubevirt.io", "virtualmachineinstances.kubevirt.io"})
    api->put(k8s::resources::kCustomResourceDefinitions, {{"metadata", {{"name", crd}}}, {"spec", {{"conversion", {{"strategy", "None"}}}}}});
  auto body = [](std::shared_ptr<nodevirt::testing::MemoryApi> store) -> Awaitable<void> {
    client::Client client(store);
    StopSource stop;
    auto done = std::make_shared<bool>(false);
    int failures = 3;
    store->fault = [&failures](const net::Request&) -> std::optional<Error> {
      if (failures-- > 0) return Error(Code::Unavailable, "connection refused");
      return std::nullopt;
    };
    ManualClock clock;
    auto executor = co_await boost::asio::this_coro::executor;
    auto all = registrations("CA");
    spawn(executor, register_all(client, clock, all, done, stop.get_token()), "register");
    std::function<bool()> registered = [&] {
      clock.advance(std::chrono::seconds(2));
      return *done;
    };
    bool ok = co_await net::testing::eventually(registered);
    REQUIRE(ok);
    CHECK(writes(*store) == 6);
    CHECK(string_at(*store->get(k8s::resources::kCustomResourceDefinitions, "", "virtualmachines.kubevirt.io"), {"spec", "conversion", "strategy"}) == "Webhook");
    *done = false;
    co_await register_all(client, clock, all, done, stop.get_token());
    CHECK(*done);
    CHECK(writes(*store) == 6);
    auto renewed = registrations("CA of tomorrow");
    co_await register_all(client, clock, renewed, done, stop.get_token());
    CHECK(writes(*store) == 12);
  };
  net::testing::run(io, body(api));
}
