// What a migration is asked for reaches QEMU, and the bandwidth's limit is kept.
#include <catch2/catch.hpp>

#include <set>

#include "api/names.hpp"
#include "migrating_pair.hpp"
#include "pkg/libvirt/qmp_client.hpp"

using namespace nodevirt;
using namespace nodevirt::test;
using Event = rpc::v1::MigrationEvent;

namespace {

Json ask_qemu(Pod& pod, std::string_view command) {
  // The launcher holds the monitor for moments only.
  Result<Json> answer;
  auto path = pod.path(api::kPrivateDir) / Pod::kUid / "qmp";
  REQUIRE(Pod::eventually([&] {
    auto client = libvirt::QmpClient::connect(path);
    answer = client.ok() ? client->execute(command) : Result<Json>(client.error());
    return answer.ok();
  }));
  return *answer;
}

std::set<std::string> capabilities(Pod& pod) {
  std::set<std::string> on;
  for (const Json& c : ask_qemu(pod, "query-migrate-capabilities"))
    if (bool_at(c, {"state"})) on.insert(string_at(c, {"capability"}));
  return on;
}

void await_memory(MigratingPair& pair) {
  while (pair.await_source(Event::SAMPLE).sample().memory_processed_bytes() == 0) {}
}

}  // namespace

TEST_CASE("a migration's settings reach QEMU, and are taken back when it fails", "[migration]") {
  struct Case {
    const char* compression;
    unsigned parallel;
    std::vector<std::string> on, off;
  };
  for (auto& c : {Case{"zstd", 3, {"multifd"}, {"xbzrle"}}, Case{"zlib", 2, {"multifd"}, {"xbzrle"}}, Case{"xbzrle", 0, {"xbzrle"}, {"multifd"}}}) {
    DYNAMIC_SECTION(c.compression) {
      MigratingPair pair({16u << 20});
      pair.start();
      auto q = pair.migrate_request();
      q.set_compression(c.compression);
      q.set_parallel_connections(c.parallel);
      q.set_bandwidth_mib_per_second(1);
      q.set_max_downtime_ms(7);
      q.set_auto_converge(true);
      q.set_throttle_initial_percent(11);
      q.set_throttle_increment_percent(13);
      q.set_throttle_maximum_percent(47);
      q.set_throttle_trigger_percent(83);
      auto begun = pair.migrate(q);
      INFO((begun.ok() ? "" : begun.error().message));
      REQUIRE(begun.ok());
      await_memory(pair);
      auto on = capabilities(pair.source);
      for (auto& name : c.on) CHECK(on.count(name) == 1);
      for (auto& name : c.off) CHECK(on.count(name) == 0);
      CHECK(on.count("auto-converge") == 1);
      Json p = ask_qemu(pair.source, "query-migrate-parameters");
      INFO(dump_json(p));
      CHECK(int_at(p, {"max-bandwidth"}) == 1 << 20);
      CHECK(int_at(p, {"downtime-limit"}) == 7);
      CHECK(int_at(p, {"cpu-throttle-initial"}) == 11);
      CHECK(int_at(p, {"cpu-throttle-increment"}) == 13);
      CHECK(int_at(p, {"max-cpu-throttle"}) == 47);
      CHECK(int_at(p, {"throttle-trigger-threshold"}) == 83);
      CHECK(string_at(p, {"multifd-compression"}) == (c.parallel ? c.compression : "none"));
      if (c.parallel) CHECK(int_at(p, {"multifd-channels"}) == c.parallel);
      REQUIRE(pair.cancel().ok());
      CHECK(pair.await_end().error() == "cancelled");
      for (const char* name : {"multifd", "xbzrle", "auto-converge"}) CHECK(capabilities(pair.source).count(name) == 0);
      p = ask_qemu(pair.source, "query-migrate-parameters");
      INFO(dump_json(p));
      CHECK(int_at(p, {"max-cpu-throttle"}) == 99);
      CHECK(int_at(p, {"throttle-trigger-threshold"}) == 50);
      CHECK(string_at(p, {"multifd-compression"}) == "none");
    }
  }
}

TEST_CASE("no more is sent than the bandwidth's limit allows", "[migration][long]") {
  struct Case {
    const char* name;
    std::uint64_t limit;
    unsigned parallel;
    bool auto_converge;
  };
  for (auto& c : {Case{"one stream", 8, 0, false}, Case{"a small limit, parallel streams wanted", 8, 4, false},
                  Case{"parallel streams", 64, 4, false}, Case{"while the guest is slowed down", 8, 0, true}}) {
    DYNAMIC_SECTION(c.name) {
      MigratingPair pair({24u << 20, "64Mi"});  // rewritten without end: it never comes to rest
      pair.start();
      auto q = pair.migrate_request();
      q.set_bandwidth_mib_per_second(c.limit);
      q.set_parallel_connections(c.parallel);
      q.set_auto_converge(c.auto_converge);
      q.set_max_downtime_ms(1);
      REQUIRE(pair.migrate(q).ok());
      await_memory(pair);
      auto first = pair.await_source(Event::SAMPLE).sample(), last = first;
      while (last.elapsed_ms() < first.elapsed_ms() + 3000) last = pair.await_source(Event::SAMPLE).sample();
      double seconds = static_cast<double>(last.elapsed_ms() - first.elapsed_ms()) / 1000;
      double sent = static_cast<double>(last.memory_processed_bytes() - first.memory_processed_bytes());
      double most = static_cast<double>(c.limit << 20) * seconds;
      INFO(sent / most << " of the limit in " << seconds << " s");
      if (std::getenv("NV_SHOW_RATES")) WARN(c.name << ": " << sent / most << " of the limit in " << seconds << " s");
      CHECK(sent > 0);
      CHECK(sent <= most * 1.1);  // a machine under load makes it less, never more
      REQUIRE(pair.cancel().ok());
      CHECK(pair.await_end().error() == "cancelled");
    }
  }
}

TEST_CASE("disks that are copied at once have the limit together", "[migration]") {
  MigratingPair::Options o;
  o.same_image = false;
  o.disk_bytes = 24u << 20;
  o.empty_disk = true;
  MigratingPair pair(o);
  pair.start();
  auto q = pair.migrate_request();
  q.set_bandwidth_mib_per_second(2);
  REQUIRE(pair.migrate(q).ok());
  auto speeds = [&] {
    std::vector<std::int64_t> out;
    for (const Json& job : ask_qemu(pair.source, "query-block-jobs")) out.push_back(int_at(job, {"speed"}));
    return out;
  };
  CHECK(Pod::eventually([&] { return speeds() == std::vector<std::int64_t>(2, 1 << 20); }));
  rpc::v1::SteerRequest s;
  *s.mutable_domain() = pair.source.domain_request();
  s.set_migration_uid(pair.uid);
  s.set_bandwidth_mib_per_second(0);
  REQUIRE(pair.source.wait(pair.client(pair.source).steer(s)).ok());
  for (auto speed : speeds()) CHECK(speed == 0);
  pair.hand_over();
  pair.check_moved();
}
