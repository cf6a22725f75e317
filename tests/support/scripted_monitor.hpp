// A QMP monitor that says what a test tells it to.
#pragma once
#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

#include "pkg/base/file.hpp"

namespace nodevirt::test {

inline constexpr const char* kGreeting = "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n";

/// Accepts one connection; sends the greeting, then an answer for each line that comes; then closes it, or keeps it until
/// the end when the last answer is empty.
class ScriptedMonitor {
 public:
  ScriptedMonitor(std::string greeting, std::vector<std::string> answers) : path_(dir_.path() / "qmp") {
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
        char byte = 0;
        std::string line;
        while (::recv(c.get(), &byte, 1, 0) == 1 && byte != '\n') line += byte;
        if (byte != '\n') return;
        lines.push_back(line);
        send(c, answer);
      }
    });
  }
  ~ScriptedMonitor() { thread_.join(); }
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

}  // namespace nodevirt::test
