// The QMP client against a scripted monitor, honest and otherwise.
#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include "pkg/libvirt/qmp_client.hpp"
#include "tests/support/scripted_monitor.hpp"

using namespace nodevirt;
using namespace std::chrono_literals;
using libvirt::QmpClient;
using test::kGreeting;
using Script = test::ScriptedMonitor;

TEST_CASE("QMP: commands are answered, events in between are kept in order") {
  Script qemu(kGreeting, {"{\"return\": {}, \"id\": 1}\r\n",
                          "{\"event\": \"STOP\", \"data\": {}}\r\n{\"return\": {\"status\": \"paused\"}, \"id\": 2}\r\n{\"event\": \"RESUME\"}\r\n",
                          "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such thing\"}, \"id\": 3}\r\n{\"event\": \"half"});
  auto c = QmpClient::connect(qemu.path());
  REQUIRE(c.ok());
  auto status = c->execute("query-status");
  REQUIRE(status.ok());
  CHECK(string_at(*status, {"status"}) == "paused");
  auto failed = c->execute("nonsense", {{"a", 1}});
  CHECK(failed.error().code == Code::Internal);
  CHECK_THAT(failed.error().message, Catch::Matchers::Contains("no such thing"));
  auto events = c->drain_events();
  REQUIRE(events.ok());
  CHECK(*events == std::vector<std::string>{"STOP", "RESUME"});
}

TEST_CASE("QMP: what is no monitor, or lies, is an error in time") {
  TempDir dir;
  CHECK(QmpClient::connect(dir.path() / "none").error().code == Code::NotFound);
  CHECK(QmpClient::connect(std::string(200, 'x')).error().code == Code::InvalidArgument);
  struct Case { const char* name; std::string greeting; std::vector<std::string> answers; };
  for (auto& c : {Case{"closes at once", "", {}}, Case{"greets with something else", "{\"hello\":1}\n", {}},
                  Case{"no JSON", "QMP\n", {}}, Case{"never ends a line", std::string((1u << 20) + 4096, 'x'), {}},
                  Case{"closes instead of answering", kGreeting, {""}}, Case{"answers another question", kGreeting, {"{\"return\":{},\"id\":9}\n"}}}) {
    DYNAMIC_SECTION(c.name) {
      Script qemu(c.greeting, c.answers);
      CHECK_FALSE(QmpClient::connect(qemu.path(), 200ms).ok());
    }
  }
}

TEST_CASE("QMP: a command that is not answered is waited for before the next one is sent") {
  // The second answer comes with the third command's, which is out of band.
  Script qemu(kGreeting, {"{\"return\": {}, \"id\": 1}\n", "{\"event\": \"STOP\"}\n",
                          "{\"return\": {\"late\": 1}, \"id\": 2}\n{\"return\": {}, \"id\": 3}\n", "{\"return\": {\"late\": 0}, \"id\": 4}\n"});
  auto c = QmpClient::connect(qemu.path(), 5s, true);
  REQUIRE(c.ok());
  CHECK(c->execute("query-migrate", Json::object(), 100ms).error().code == Code::Unavailable);
  CHECK(c->execute("query-migrate", Json::object(), 100ms).error().code == Code::Unavailable);  // not sent: it has no answer here
  CHECK_FALSE(c->closed());
  CHECK(c->execute_out_of_band("migrate-recover", Json::object(), 5s).ok());
  auto answer = c->execute("query-migrate");
  REQUIRE(answer.ok());
  CHECK(int_at(*answer, {"late"}, 1) == 0);
}

TEST_CASE("QMP: a connection of an earlier process goes on after the rest of a line") {
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  Fd qemu(pair[1]);
  auto c = QmpClient::adopt(Fd(pair[0]));
  std::string said = "est of it\"}}\n{\"event\": \"RESUME\"}\n{\"return\": {}, \"id\": 1}\n";
  REQUIRE(::write(qemu.get(), said.data(), said.size()) == static_cast<ssize_t>(said.size()));
  CHECK(c.execute("query-status", Json::object(), 100ms).error().code == Code::Unavailable);
  auto events = c.drain_events();
  REQUIRE(events.ok());
  CHECK(*events == std::vector<std::string>{"RESUME"});
  qemu.reset();
  CHECK_FALSE(c.execute_out_of_band("migrate-recover", Json::object(), 100ms).ok());
  CHECK(c.closed());
}
