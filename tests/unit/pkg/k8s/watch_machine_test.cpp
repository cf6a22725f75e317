// The watch protocol, scripted: every failure at every step leads back to a complete store.
#include <catch2/catch.hpp>

#include "pkg/k8s/list_scanner.hpp"
#include "pkg/k8s/watch_machine.hpp"

using namespace nodevirt;
using namespace nodevirt::k8s;
using Next = WatchStep::Next;
using Store = WatchStep::Store;
using std::chrono::milliseconds;

namespace {
const Error kDown(Code::Unavailable, "", "connection refused");
const Error kExpired(Code::OutOfRange, "Expired", "too old resource version");

Json event(const char* type, const char* version) {
  return {{"type", type}, {"object", {{"metadata", {{"name", "x"}, {"resourceVersion", version}}}}}};
}
Json error_event(int code, const char* reason) {
  return {{"type", "ERROR"}, {"object", {{"kind", "Status"}, {"code", code}, {"reason", reason}, {"message", "m"}}}};
}
WatchStep line(WatchMachine& m, Json e) { return m.resume(WatchLine{&e}); }
WatchMachine watching(const char* version = "10") {
  WatchMachine m;
  m.resume(Started{});
  m.resume(PageListed{version, ""});
  m.resume(WatchOpened{});
  return m;
}
}  // namespace

TEST_CASE("the normal path waits nowhere") {
  WatchMachine m;
  auto s = m.resume(Started{});
  CHECK((s.next == Next::List && s.store == Store::Init && s.continue_token.empty()));
  s = m.resume(PageListed{"9", "more"});
  CHECK((s.next == Next::List && s.store == Store::None && s.continue_token == "more"));
  s = m.resume(PageListed{"10", ""});
  CHECK((s.next == Next::Watch && s.store == Store::InitDone && s.resource_version == "10"));
  s = m.resume(WatchOpened{});
  CHECK((s.next == Next::Read && s.store == Store::None));
  s = line(m, event("ADDED", "11"));
  CHECK((s.next == Next::Read && s.store == Store::Apply));
  s = line(m, event("MODIFIED", "12"));
  CHECK(s.store == Store::Apply);
  s = line(m, event("DELETED", "13"));
  CHECK((s.next == Next::Read && s.store == Store::Delete));
  s = line(m, event("BOOKMARK", "20"));
  CHECK((s.next == Next::Read && s.store == Store::None));
  s = m.resume(StreamEnded{std::chrono::minutes(5)});
  CHECK((s.next == Next::Watch && s.resource_version == "20" && s.store == Store::None));
}

TEST_CASE("a server that is not there yet is asked again, ever more slowly, and then without delay") {
  WatchMachine m;
  m.resume(Started{});
  milliseconds want(50);
  for (int i = 0; i < 12; ++i) {
    auto s = m.resume(ListFailed{kDown});
    CHECK((s.next == Next::Wait && s.wait == want));
    CHECK(s.complaint.empty() == (i > 0));  // one log line per outage
    s = m.resume(Waited{});
    CHECK((s.next == Next::List && s.store == Store::Init));
    want = std::min(want * 2, milliseconds(5000));
  }
  m.resume(PageListed{"1", ""});
  m.resume(WatchOpened{});
  line(m, event("ADDED", "2"));
  CHECK(m.resume(StreamEnded{milliseconds(10)}).wait == milliseconds(50));
}

TEST_CASE("410 leads to a new list") {
  SECTION("when the watch is opened") {
    WatchMachine m;
    m.resume(Started{});
    m.resume(PageListed{"10", ""});
    auto s = m.resume(WatchFailed{kExpired});
    CHECK((s.next == Next::List && s.store == Store::Init));
  }
  SECTION("as an event of the stream") {
    auto m = watching();
    line(m, event("ADDED", "11"));
    auto s = line(m, error_event(410, "Expired"));
    CHECK((s.next == Next::List && s.store == Store::Init));
  }
  SECTION("between two pages") {
    WatchMachine m;
    m.resume(Started{});
    m.resume(PageListed{"10", "more"});
    auto s = m.resume(ListFailed{kExpired});
    CHECK((s.next == Next::List && s.continue_token.empty() && s.store == Store::Init));
  }
  SECTION("but a server that says nothing else does not make us spin") {
    auto m = watching();
    line(m, error_event(410, "Expired"));
    for (int i = 0; i < 3; ++i) {
      m.resume(PageListed{"10", ""});
      CHECK(m.resume(WatchFailed{kExpired}).next == Next::Wait);
      CHECK(m.resume(Waited{}).next == Next::List);
    }
  }
}

TEST_CASE("a version that the server never knew leads to a new list") {
  auto m = watching("5000");
  CHECK(line(m, error_event(400, "BadRequest")).next == Next::List);
}

TEST_CASE("other failures of a watch resume from the last version") {
  struct Case { const char* name; WatchInput input; };
  auto m = watching();
  line(m, event("ADDED", "11"));
  Json server_error = error_event(500, "InternalError"), junk = {{"type", "ADDED"}}, number = 7;
  std::vector<Case> cases = {{"an early end", StreamEnded{milliseconds(1)}},
                             {"cannot be opened", WatchFailed{kDown}},
                             {"a server's error", WatchLine{&server_error}},
                             {"an event without object", WatchLine{&junk}},
                             {"something else", WatchLine{&number}}};
  for (auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      auto s = m.resume(c.input);
      CHECK((s.next == Next::Wait && s.wait == milliseconds(50) && !s.complaint.empty()));
      s = m.resume(Waited{});
      CHECK((s.next == Next::Watch && s.resource_version == "11" && s.store == Store::None));
    }
  }
}

TEST_CASE("watches that cannot be opened for long end in a list") {
  auto m = watching();
  int watches = 0;
  while (true) {
    REQUIRE(watches < 20);
    REQUIRE(m.resume(WatchFailed{kDown}).next == Next::Wait);
    if (m.resume(Waited{}).next == Next::List) break;
    ++watches;
  }
  CHECK(watches == 7);
}

TEST_CASE("an unknown event type only moves the version on") {
  auto m = watching();
  auto s = line(m, event("RENAMED", "77"));
  CHECK((s.next == Next::Read && s.store == Store::None));
  CHECK(m.resource_version() == "77");
}

TEST_CASE("lines come whole however the bytes are cut") {
  std::string text = "{\"a\":1}\n\n{\"b\":2}\r\n{\"c\":3}\n{\"d\"";
  for (std::size_t piece : {1u, 2u, 3u, 7u, 100u}) {
    LineSplitter in;
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < text.size(); i += piece) {
      REQUIRE(in.feed(std::string_view(text).substr(i, piece)).ok());
      while (auto l = in.next()) lines.emplace_back(*l);
    }
    CHECK(lines == std::vector<std::string>{"{\"a\":1}", "{\"b\":2}", "{\"c\":3}"});
  }
  LineSplitter small(10);
  CHECK(small.feed("12345").ok());
  CHECK_FALSE(small.feed("678901").ok());
}

TEST_CASE("a list is split into its items") {
  auto page = scan_list(R"( {"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":"c"},
    "items":[ {"a":"]}\"{["}, {"b":[{},[]]} ,{}]} )");
  REQUIRE(page.ok());
  CHECK(page->resource_version == "7");
  CHECK(page->continue_token == "c");
  CHECK(page->items == std::vector<std::string_view>{R"({"a":"]}\"{["})", R"({"b":[{},[]]})", "{}"});
  auto none = scan_list(R"({"metadata":{"resourceVersion":"7"},"items":null})");
  REQUIRE(none.ok());
  CHECK(none->items.empty());
  for (const char* wrong : {"", "[]", "{", "{}", R"({"items":[]})", R"({"metadata":{},"items":[{])", R"({"metadata":{},"items":[{}})",
                            R"({"metadata":{},"items":7})", R"({"metadata":{},"items":[]}x)", R"({"metadata":{},"items":["a)",
                            R"({"metadata":{},"items":[,]})", R"({7:1})", R"({"a")", R"({"a":)"}) {
    CAPTURE(wrong);
    CHECK_FALSE(scan_list(wrong).ok());
  }
}
