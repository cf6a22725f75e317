#include "relay.hpp"

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

namespace nodevirt::test {

namespace fs = std::filesystem;

namespace {

Fd unix_socket(const fs::path& path, sockaddr_un& address) {
  address = {};
  address.sun_family = AF_UNIX;
  REQUIRE(path.string().size() < sizeof address.sun_path);
  std::strcpy(address.sun_path, path.c_str());
  return Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

// Moves what there is from one end into the other; false when `from` has ended.
bool pass(int from, int to) {
  char buffer[65536];
  ssize_t n = ::recv(from, buffer, sizeof buffer, MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN;
  if (n == 0) return false;
  for (ssize_t done = 0; done < n;) {
    ssize_t w = ::send(to, buffer + done, static_cast<std::size_t>(n - done), MSG_NOSIGNAL);
    if (w <= 0) return false;
    done += w;
  }
  return true;
}

}  // namespace

Relay::Relay(fs::path listen, fs::path connect) : listen_(std::move(listen)), connect_(std::move(connect)) {
  sockaddr_un address;
  listener_ = unix_socket(listen_, address);
  std::error_code ec;
  fs::remove(listen_, ec);
  REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  ::chmod(listen_.c_str(), 0777);
  REQUIRE(::listen(listener_.get(), 64) == 0);
  wake_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  thread_ = std::thread([this] { run(); });
}

Relay::~Relay() {
  stop_ = true;
  std::uint64_t one = 1;
  [[maybe_unused]] auto n = ::write(wake_.get(), &one, sizeof one);
  thread_.join();
}

void Relay::cut() {
  cut_ = true;
  std::uint64_t one = 1;
  [[maybe_unused]] auto n = ::write(wake_.get(), &one, sizeof one);
}

void Relay::run() {
  std::vector<Link> links;
  while (!stop_) {
    if (cut_) links.clear();
    std::vector<pollfd> fds{{wake_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    bool held = held_, answers_held = held_ || answers_held_;
    for (auto& l : links) {
      fds.push_back({l.a.get(), static_cast<short>(l.a_open && !held ? POLLIN : 0), 0});
      fds.push_back({l.b.get(), static_cast<short>(l.b_open && !answers_held ? POLLIN : 0), 0});
    }
    ::poll(fds.data(), fds.size(), 20);
    std::uint64_t drop;
    if (fds[0].revents) [[maybe_unused]] auto n = ::read(wake_.get(), &drop, sizeof drop);
    for (std::size_t i = 0; i < links.size() && !held; ++i) {
      Link& l = links[i];
      if (l.a_open && fds[2 + 2 * i].revents && !pass(l.a.get(), l.b.get())) {
        l.a_open = false;
        ::shutdown(l.b.get(), SHUT_WR);
      }
      if (l.b_open && !answers_held && fds[3 + 2 * i].revents && !pass(l.b.get(), l.a.get())) {
        l.b_open = false;
        ::shutdown(l.a.get(), SHUT_WR);
      }
    }
    std::erase_if(links, [](auto& l) { return !l.a_open && !l.b_open; });
    if (fds[1].revents) {
      Fd a(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      sockaddr_un address;
      Fd b = unix_socket(connect_, address);
      if (!cut_ && a && ::connect(b.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0)
        links.push_back({std::move(a), std::move(b)});
    }
  }
}

}  // namespace nodevirt::test
