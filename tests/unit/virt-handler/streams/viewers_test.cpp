// Viewers of a console: bytes go both ways, the newest viewer wins, and reasons stand in close frames only.
#include <catch2/catch.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>

#include "virt-handler/streams/viewers.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler;

namespace {

/// A viewer in the test's hands.
class FakeSocket final : public net::WebSocket {
 public:
  explicit FakeSocket(Executor executor) : timer_(executor, std::chrono::hours(1)) {}
  std::string_view subprotocol() const override { return "plain.kubevirt.io"; }
  Awaitable<Result<Message>> read() override {
    while (inbox.empty() && !ended) {
      boost::system::error_code ignored;
      auto token = boost::asio::redirect_error(boost::asio::use_awaitable, ignored);
      co_await timer_.async_wait(token);
    }
    if (inbox.empty()) co_return Error{Code::Cancelled, "ended"};
    Message out = std::move(inbox.front());
    inbox.erase(inbox.begin());
    co_return out;
  }
  Awaitable<Result<void>> write(std::string_view data, bool) override {
    got += data;
    co_return Result<void>{};
  }
  Awaitable<void> close(int code, std::string reason) override {
    if (!close_code) {
      close_code = code;
      close_reason = std::move(reason);
    }
    end();
    co_return;
  }
  void abort() override { end(); }
  void say(std::string data) {
    Message message;
    message.data = std::move(data);
    inbox.push_back(std::move(message));
    timer_.cancel();
  }
  void leave() {
    Message message;
    message.closed = true;
    inbox.push_back(std::move(message));
    timer_.cancel();
  }
  std::vector<Message> inbox;
  std::string got, close_reason;
  int close_code = 0;
  bool ended = false;

 private:
  void end() {
    ended = true;
    timer_.cancel();
  }
  boost::asio::steady_timer timer_;
};

struct Scene {
  boost::asio::io_context io;
  Viewers viewers{io.get_executor()};
  struct Side {
    std::shared_ptr<FakeSocket> socket;
    std::unique_ptr<net::ByteStream> guest;
    std::shared_ptr<bool> done = std::make_shared<bool>(false);
  };
  static Awaitable<void> watch(Viewers* viewers, std::string what, std::shared_ptr<net::WebSocket> socket,
                               std::shared_ptr<net::ByteStream> stream, std::shared_ptr<bool> done) {
    co_await viewers->view(what, socket, stream);
    *done = true;
  }
  Side view(const std::string& what) {
    Side side;
    auto [near, far] = net::memory_pair(io.get_executor());
    side.socket = std::make_shared<FakeSocket>(io.get_executor());
    side.guest = std::move(far);
    spawn(io.get_executor(), watch(&viewers, what, side.socket, std::shared_ptr<net::ByteStream>(std::move(near)), side.done), "view");
    settle();
    return side;
  }
  void settle() {
    io.restart();
    while (io.poll() > 0) {}
  }
  static Awaitable<void> write(net::ByteStream* stream, std::string text) { (void)co_await stream->write(text); }
  static Awaitable<void> read(net::ByteStream* stream, std::string* out) {
    std::string buffer(100, '\0');
    std::span<char> space(buffer);
    auto got = co_await stream->read_some(space);
    *out = got.ok() ? buffer.substr(0, *got) : "error";
  }
  void guest_says(Side& side, std::string text) {
    spawn(io.get_executor(), write(side.guest.get(), std::move(text)), "guest");
    settle();
  }
  std::string guest_hears(Side& side) {
    auto out = std::make_unique<std::string>();
    spawn(io.get_executor(), read(side.guest.get(), out.get()), "guest");
    settle();
    std::string text = *out;
    // Kept alive for a read that is still pending.
    static std::vector<std::unique_ptr<std::string>> pending;
    pending.push_back(std::move(out));
    return text;
  }
};

}  // namespace

TEST_CASE("bytes go both ways") {
  Scene scene;
  auto viewer = scene.view("uid/console");
  scene.guest_says(viewer, "login: ");
  CHECK(viewer.socket->got == "login: ");
  viewer.socket->say("root\n");
  scene.settle();
  CHECK(scene.guest_hears(viewer) == "root\n");
  CHECK(scene.viewers.watched("uid/console"));
  CHECK(scene.viewers.count("console") == 1);
  viewer.socket->leave();
  scene.settle();
  CHECK(*viewer.done);
  CHECK_FALSE(scene.viewers.watched("uid/console"));
}

TEST_CASE("a second viewer takes over, and the first is told why") {
  Scene scene;
  auto first = scene.view("uid/console");
  auto second = scene.view("uid/console");
  CHECK(first.socket->close_code == 1000);
  CHECK(first.socket->close_reason == kTakenOver);
  CHECK(first.socket->got.empty());
  CHECK(*first.done);
  scene.guest_says(second, "still here");
  CHECK(second.socket->got == "still here");
  CHECK(second.socket->close_code == 0);
  CHECK(scene.viewers.watched("uid/console"));
}

TEST_CASE("viewers of different things leave each other alone") {
  Scene scene;
  auto console = scene.view("uid/console");
  auto screen = scene.view("uid/vnc");
  CHECK(console.socket->close_code == 0);
  CHECK(screen.socket->close_code == 0);
}

TEST_CASE("when the guest stops the viewer is told so") {
  Scene scene;
  auto viewer = scene.view("uid/console");
  viewer.guest->close();
  scene.settle();
  CHECK(*viewer.done);
  CHECK(viewer.socket->close_code == 1001);
  CHECK(viewer.socket->close_reason == kStreamEnded);
}
