#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "pkg/base/file.hpp"
#include "standalone/apiserver/store/database.hpp"
#include "standalone/apiserver/store/store.hpp"

using namespace nodevirt;
using namespace nodevirt::apiserver;

namespace {

struct Fixture {
  TempDir dir{"store"};
  boost::asio::io_context io;
  std::unique_ptr<Store> store;

  explicit Fixture(std::size_t max_resident = 64u << 10) { open(max_resident); }
  void open(std::size_t max_resident = 64u << 10) {
    store.reset();
    Store::Options o;
    o.path = dir.path() / "state.db";
    o.max_resident = max_resident;
    auto opened = Store::open(io.get_executor(), o);
    REQUIRE(opened.ok());
    store = std::move(*opened);
  }
  Store::Write write(const std::string& name, std::int64_t expected, Json value = Json::object()) {
    Store::Write w;
    w.resource = "things";
    w.ns = "ns";
    w.name = name;
    w.expected = expected;
    w.value = std::move(value);
    w.index.labels["name"] = name;
    return w;
  }
  Result<StoredPtr> commit(Store::Write w) {
    std::optional<Result<StoredPtr>> out;
    boost::asio::co_spawn(io, store->commit(std::move(w)), [&](std::exception_ptr, Result<StoredPtr> r) { out = std::move(r); });
    while (!out) { io.restart(); io.run_one(); }
    return std::move(*out);
  }
};

}  // namespace

TEST_CASE("what was committed is there when the store is opened again, with its revision") {
  Fixture f;
  auto a = f.commit(f.write("a", 0, {{"v", 1}}));
  REQUIRE(a.ok());
  auto b = f.commit(f.write("b", 0, {{"v", 2}}));
  REQUIRE(b.ok());
  auto gone = f.write("a", (*a)->revision);
  gone.remove = true;
  REQUIRE(f.commit(std::move(gone)).ok());
  auto last = f.store->revision();
  CHECK(last > (*b)->revision);
  f.open();
  CHECK(f.store->revision() == last);
  CHECK(!f.store->get("things", "ns", "a"));
  auto read = f.store->get("things", "ns", "b");
  REQUIRE(read);
  CHECK(*read->text == *(*b)->text);
  CHECK(read->index.labels.at("name") == "b");
  auto next = f.commit(f.write("c", 0));
  REQUIRE(next.ok());
  CHECK((*next)->revision == last + 1);
}

TEST_CASE("room for the log belongs to it before it is written, also when it was written and is opened again") {
  Fixture f;
  auto allocated = [&] {
    struct stat s{};
    REQUIRE(stat((f.dir.path() / "state.db-wal").c_str(), &s) == 0);
    return std::int64_t{s.st_blocks} * 512;
  };
  CHECK(allocated() >= Database::kReserve);
  // More than the log holds: it is emptied into the database several times.
  for (int i = 0; i < 400; ++i) REQUIRE(f.commit(f.write("n" + std::to_string(i), 0, {{"text", std::string(60000, 'x')}})).ok());
  CHECK(allocated() >= Database::kReserve);
  f.open();
  CHECK(allocated() >= Database::kReserve);
}

TEST_CASE("a write is based on the latest accepted state") {
  Fixture f;
  auto a = f.commit(f.write("a", 0));
  REQUIRE(a.ok());
  CHECK(f.commit(f.write("a", 0)).error().reason == "AlreadyExists");
  CHECK(f.commit(f.write("a", (*a)->revision + 7)).error().reason == "Conflict");
  CHECK(f.commit(f.write("b", 3)).error().reason == "NotFound");
}

TEST_CASE("writes that wait together share commits, and are published in order") {
  Fixture f;
  auto follower = f.store->history().follow("things", nullptr);
  constexpr int kWrites = 200;
  int done = 0;
  std::vector<std::int64_t> revisions(kWrites);
  for (int i = 0; i < kWrites; ++i)
    boost::asio::co_spawn(f.io, f.store->commit(f.write("w" + std::to_string(i), 0)), [&, i](std::exception_ptr, Result<StoredPtr> r) {
      REQUIRE(r.ok());
      revisions[std::size_t(i)] = (*r)->revision;
      ++done;
    });
  while (done < kWrites) { f.io.restart(); f.io.run_one(); }
  CHECK(f.store->commits() < kWrites / 2);
  CHECK(std::is_sorted(revisions.begin(), revisions.end()));
  REQUIRE(follower->queue.size() == kWrites);
  for (int i = 0; i < kWrites; ++i) CHECK(follower->queue[std::size_t(i)]->revision() == revisions[std::size_t(i)]);
}

TEST_CASE("of two writes on the same state one wins") {
  Fixture f;
  auto a = f.commit(f.write("a", 0));
  int won = 0, lost = 0;
  for (int i = 0; i < 2; ++i)
    boost::asio::co_spawn(f.io, f.store->commit(f.write("a", (*a)->revision, {{"i", i}})),
                          [&](std::exception_ptr, Result<StoredPtr> r) { r.ok() ? ++won : ++lost; });
  while (won + lost < 2) { f.io.restart(); f.io.run_one(); }
  CHECK(won == 1);
  CHECK(lost == 1);
}

TEST_CASE("large objects stay on disk and are read when asked for") {
  Fixture f(100);
  std::string big(5000, 'x');
  auto a = f.commit(f.write("a", 0, {{"big", big}}));
  REQUIRE(a.ok());
  auto stored = f.store->get("things", "ns", "a");
  CHECK(!stored->text);
  auto text = f.store->text("things", stored);
  REQUIRE(text.ok());
  CHECK((*text)->find(big) != std::string::npos);
  REQUIRE(f.commit(f.write("a", stored->revision, {{"big", "no"}})).ok());
  CHECK(f.store->text("things", stored).error().reason == "NotFound");
}

TEST_CASE("lists are in the order of namespace and name") {
  Fixture f;
  for (const char* key : {"b", "a", "a-b", "ab"}) REQUIRE(f.commit(f.write(key, 0)).ok());
  auto other = f.write("z", 0);
  other.ns = "n";
  REQUIRE(f.commit(std::move(other)).ok());
  std::vector<std::string> keys;
  f.store->list("things", "", "", [&](const StoredPtr& o) { keys.push_back(o->key()); return true; });
  CHECK(keys == std::vector<std::string>{"n/z", "ns/a", "ns/a-b", "ns/ab", "ns/b"});
  keys.clear();
  f.store->list("things", "ns", "ns/a-b", [&](const StoredPtr& o) { keys.push_back(o->key()); return true; });
  CHECK(keys == std::vector<std::string>{"ns/ab", "ns/b"});
}

TEST_CASE("the history forgets from its beginning") {
  History h(10, {.max_events = 3});
  for (int i = 11; i <= 15; ++i) {
    auto e = std::make_shared<Event>();
    auto o = std::make_shared<StoredObject>();
    o->revision = i;
    e->type = EventType::Added;
    e->resource = i % 2 ? "odd" : "even";
    e->object = o;
    h.publish(e);
  }
  CHECK(h.start() == 12);
  CHECK(h.since(12, "", nullptr).size() == 3);
  CHECK(h.since(13, "odd", nullptr).size() == 1);
}

TEST_CASE("a follower that does not keep up is cut off, the others are not") {
  History h(0, {.max_queue = 2});
  auto slow = h.follow("x", nullptr), fast = h.follow("x", nullptr);
  for (int i = 1; i <= 4; ++i) {
    auto e = std::make_shared<Event>();
    auto o = std::make_shared<StoredObject>();
    o->revision = i;
    e->type = EventType::Added;
    e->resource = "x";
    e->object = o;
    h.publish(e);
    fast->queue.clear();
  }
  CHECK(slow->lagging);
  CHECK(!fast->lagging);
}
