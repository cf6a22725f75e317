// The store is what the server has: after any list, event, outage or repetition.
#include <catch2/catch.hpp>

#include "pkg/runtime/informer.hpp"
#include "tests/support/scripted_transport.hpp"

using namespace nodevirt;
using namespace nodevirt::runtime;
using namespace nodevirt::testing;

namespace {

struct Thing {
  ObjectMeta meta;
  std::string color;
  static Result<Thing> decode(const Json& o) {
    if (string_at(o, {"color"}) == "broken") return Error(Code::InvalidArgument, "broken");
    return Thing{ObjectMeta::from_json(o), string_at(o, {"color"})};
  }
};

Json thing(const char* name, const char* version, const char* color, const char* uid = "") {
  return {{"metadata", {{"namespace", "n"}, {"name", name}, {"uid", *uid ? uid : name}, {"resourceVersion", version}}}, {"color", color}};
}

struct Fixture {
  boost::asio::io_context io;
  ManualClock clock;
  std::shared_ptr<ScriptedTransport> transport = std::make_shared<ScriptedTransport>();
  std::vector<std::shared_ptr<ScriptedStream>> streams;
  std::vector<std::string> watched;                 ///< targets
  Json items = Json::array();
  std::string version = "10";
  std::optional<Error> list_error, watch_error;
  std::vector<std::string> told;
  StopSource stop;
  Informer<Thing> informer;

  Fixture() : informer(client::Client(transport), clock, {.resource = k8s::resources::kPods, .label_selector = "a=b"}) {
    transport->on_send = [this](const net::Request&) -> Result<net::Response> {
      if (list_error) return *list_error;
      return json_answer(200, {{"metadata", {{"resourceVersion", version}}}, {"items", items}});
    };
    transport->on_open = [this](const net::Request& r) -> Result<std::shared_ptr<ScriptedStream>> {
      watched.push_back(r.target);
      if (watch_error) return *watch_error;
      streams.push_back(std::make_shared<ScriptedStream>());
      return streams.back();
    };
    informer.on_change([this](const Informer<Thing>::Ptr& old, const Informer<Thing>::Ptr& now) {
      told.push_back((old ? old->color : "-") + ">" + (now ? now->color : "-"));
    });
    informer.add_index("color", [](const Thing& t) { return std::vector<std::string>{t.color}; });
  }
  void start() {
    spawn(io.get_executor(), informer.run(stop.get_token()), "informer");
    settle(io);
  }
  ~Fixture() {
    stop.request_stop();
    settle(io);
  }
  std::vector<std::string> take() { return std::exchange(told, {}); }
  using Told = std::vector<std::string>;
};
using Told = Fixture::Told;

}  // namespace

TEST_CASE("a list fills the store, and each object is told once") {
  Fixture f;
  f.items = {thing("a", "1", "red"), thing("b", "2", "blue")};
  CHECK_FALSE(f.informer.has_synced());
  f.start();
  CHECK(f.informer.has_synced());
  CHECK(f.take() == Told{"->red", "->blue"});
  CHECK(f.informer.list().size() == 2);
  REQUIRE(f.informer.get("n/a"));
  CHECK(f.informer.get("n/a")->color == "red");
  CHECK_FALSE(f.informer.get("n/c"));
  CHECK_THAT(f.transport->requests[0].target, Catch::Contains("labelSelector=a"));
  REQUIRE(f.watched.size() == 1);
  CHECK_THAT(f.watched[0], Catch::Contains("resourceVersion=10") && Catch::Contains("allowWatchBookmarks=true"));
}

TEST_CASE("events of the watch change the store and its index at once") {
  Fixture f;
  f.items = {thing("a", "1", "red")};
  f.start();
  f.take();
  f.streams[0]->event("ADDED", thing("b", "11", "blue"));
  f.streams[0]->event("MODIFIED", thing("a", "12", "blue"));
  settle(f.io);
  CHECK(f.take() == Told{"->blue", "red>blue"});
  CHECK(f.informer.by_index("color", "blue").size() == 2);
  CHECK(f.informer.by_index("color", "red").empty());
  f.streams[0]->event("DELETED", thing("b", "13", "blue"));
  settle(f.io);
  CHECK(f.take() == Told{"blue>-"});
  CHECK(f.informer.by_index("color", "blue").size() == 1);
}

TEST_CASE("the same version is not told twice") {
  Fixture f;
  f.items = {thing("a", "1", "red")};
  f.start();
  f.take();
  f.streams[0]->event("MODIFIED", thing("a", "1", "red"));
  settle(f.io);
  CHECK(f.take().empty());
}

TEST_CASE("pages are followed to the last") {
  Fixture f;
  f.transport->on_send = [](const net::Request& r) -> Result<net::Response> {
    bool second = r.target.find("continue=next") != std::string::npos;
    Json meta = {{"resourceVersion", "10"}};
    if (!second) meta["continue"] = "next";
    return json_answer(200, {{"metadata", meta}, {"items", {second ? thing("b", "2", "blue") : thing("a", "1", "red")}}});
  };
  f.start();
  CHECK(f.take() == Told{"->red", "->blue"});
  CHECK(f.informer.has_synced());
}

TEST_CASE("a watch that ends is resumed from the last version, bookmarks count") {
  Fixture f;
  f.start();
  f.streams[0]->event("BOOKMARK", {{"metadata", {{"resourceVersion", "77"}}}});
  settle(f.io);
  f.clock.advance(400s);
  f.streams[0]->end();
  settle(f.io);
  REQUIRE(f.watched.size() == 2);
  CHECK_THAT(f.watched[1], Catch::Contains("resourceVersion=77"));
}

TEST_CASE("after 410 the new list is turned into the differences") {
  Fixture f;
  f.items = {thing("a", "1", "red"), thing("b", "2", "blue"), thing("c", "3", "grey")};
  f.start();
  f.take();
  f.items = {thing("a", "1", "red"), thing("b", "20", "green"), thing("d", "21", "white")};
  f.streams[0]->event("ERROR", k8s::status_object(Error(Code::OutOfRange, "Expired", "too old")));
  settle(f.io);
  CHECK(f.take() == Told{"blue>green", "->white", "grey>-"});
  CHECK(f.informer.list().size() == 3);
}

TEST_CASE("an object that was made anew under its name is told as gone and as new") {
  Fixture f;
  f.items = {thing("a", "1", "red", "uid1")};
  f.start();
  f.take();
  SECTION("by a list") {
    f.items = {thing("a", "9", "blue", "uid2")};
    f.streams[0]->event("ERROR", k8s::status_object(Error(Code::OutOfRange, "Expired", "too old")));
  }
  SECTION("by the watch") { f.streams[0]->event("MODIFIED", thing("a", "9", "blue", "uid2")); }
  settle(f.io);
  CHECK(f.take() == Told{"red>-", "->blue"});
}

TEST_CASE("an object that does not decode stays out, harms nobody, and what was known of it stays") {
  Fixture f;
  f.items = {thing("x", "1", "broken"), thing("a", "2", "red")};
  f.start();
  CHECK(f.take() == Told{"->red"});
  f.streams[0]->event("MODIFIED", thing("a", "3", "broken"));
  settle(f.io);
  CHECK(f.take().empty());
  REQUIRE(f.informer.get("n/a"));
  CHECK(f.informer.get("n/a")->color == "red");
  f.items = {thing("a", "3", "broken")};
  f.streams[0]->event("ERROR", k8s::status_object(Error(Code::OutOfRange, "Expired", "too old")));
  settle(f.io);
  CHECK(f.informer.get("n/a"));
}

TEST_CASE("a server that is down at the start is waited for, 50 ms at first") {
  Fixture f;
  f.list_error = Error(Code::Unavailable, "connection refused");
  f.start();
  CHECK_FALSE(f.informer.has_synced());
  f.clock.advance(50ms);
  settle(f.io);
  CHECK(f.transport->requests.size() == 2);
  f.list_error.reset();
  f.items = {thing("a", "1", "red")};
  f.clock.advance(99ms);
  settle(f.io);
  CHECK_FALSE(f.informer.has_synced());
  f.clock.advance(1ms);
  settle(f.io);
  CHECK(f.informer.has_synced());
  CHECK(f.take() == Told{"->red"});
}

TEST_CASE("a stream of garbage is dropped and opened again; the store stays") {
  Fixture f;
  f.items = {thing("a", "1", "red")};
  f.start();
  f.take();
  f.streams[0]->push("{\"type\":\n");
  settle(f.io);
  CHECK(f.informer.list().size() == 1);
  f.clock.advance(50ms);
  settle(f.io);
  REQUIRE(f.streams.size() == 2);
  f.streams[1]->event("MODIFIED", thing("a", "5", "blue"));
  settle(f.io);
  CHECK(f.take() == Told{"red>blue"});
}

TEST_CASE("a stop ends a waiting watch") {
  Fixture f;
  f.start();
  f.stop.request_stop();
  settle(f.io);
  CHECK(f.streams[0]->aborted);
}
