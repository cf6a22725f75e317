// The QMP client against a scripted monitor, honest and otherwise.
#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

#include "pkg/libvirt/qmp_client.hpp"

using namespace nodevirt;
using namespace std::chrono_literals;
using libvirt::QmpClient;

namespace {

constexpr const char* kGreeting = "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n";

// Accepts one connection; sends the greeting, then each answer when a line came; then closes or stays.
class Script {
 public:
  Script(std::string greeting, std::vector<std::string> answers) : path_(dir_.path() / "qmp") {
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::snprintf(a.sun_path, sizeof a.sun_path, "%s", path_.c_str());
    listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) == 0);
    REQUIRE(::listen(listener_.get(), 1) == 0);
    thread_ = std::thread([this, greeting, answers] {
      Fd c(::accept(listener_.get(), nullptr, nullptr));
      send(c, greeting);
      for (auto& answer : answers) {
        char byte;
        std::string line;
        while (::recv(c.get(), &byte, 1, 0) == 1 && byte != '\n') line += byte;
        lines.push_back(line);
        send(c, answer);
      }
    });
  }
  ~Script() { thread_.join(); }
  const std::filesystem::path& path() const { return path_; }
  std::vector<std::string> lines;

 private:
  static void send(const Fd& c, const std::string& text) {
    [[maybe_unused]] auto n = ::send(c.get(), text.data(), text.size(), MSG_NOSIGNAL);
  }
  TempDir dir_;
  std::filesystem::path path_;
  Fd listener_;
  std::thread thread_;
};

}  // namespace

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
