#include "virt-handler/streams/viewers.hpp"

namespace nodevirt::virt_handler {
namespace {

constexpr std::size_t kChunk = 16u << 10;

/// Both directions of one viewer. The first one that ends decides the reason.
struct Link {
  std::shared_ptr<net::WebSocket> socket;
  std::shared_ptr<net::ByteStream> stream;
  bool dismissed = false;  ///< somebody else closes the socket with a reason of his own
  bool viewer_left = false;
};

Awaitable<void> close_socket(std::shared_ptr<net::WebSocket> socket, int code, std::string reason) {
  co_await socket->close(code, std::move(reason));
}

Awaitable<void> to_guest(std::shared_ptr<Link> link) {
  for (;;) {
    auto message = co_await link->socket->read();
    if (!message.ok() || message->closed) break;
    if (message->data.empty()) continue;
    std::string data = std::move(message->data);
    auto written = co_await link->stream->write(data);
    if (!written.ok()) break;
  }
  link->viewer_left = true;
  link->stream->close();
}

Awaitable<void> to_viewer(std::shared_ptr<Link> link, std::string end_reason) {
  std::string buffer(kChunk, '\0');
  for (;;) {
    std::span<char> space(buffer);
    auto got = co_await link->stream->read_some(space);
    if (!got.ok() || *got == 0) break;
    std::string_view data(buffer.data(), *got);
    auto written = co_await link->socket->write(data, true);
    if (!written.ok()) break;
  }
  link->stream->close();
  if (link->dismissed) co_return;
  if (link->viewer_left) link->socket->abort();
  else co_await close_socket(link->socket, kCloseGoingAway, std::move(end_reason));
}

Awaitable<void> run_link(std::shared_ptr<Link> link, std::string end_reason) {
  Executor executor = co_await boost::asio::this_coro::executor;
  spawn(executor, to_guest(link), "viewer's input");
  co_await to_viewer(link, std::move(end_reason));
}

}  // namespace

struct Viewers::Impl {
  explicit Impl(Executor e) : executor(std::move(e)) {}
  Executor executor;
  std::map<std::string, std::shared_ptr<Link>> links;

  void dismiss(const std::shared_ptr<Link>& link, int code, std::string_view reason) {
    link->dismissed = true;
    spawn(executor, close_socket(link->socket, code, std::string(reason)), "dismissed viewer");
    link->stream->close();
  }
};

Viewers::Viewers(Executor executor) : impl_(std::make_shared<Impl>(std::move(executor))) {}
Viewers::~Viewers() = default;

bool Viewers::watched(const std::string& what) const { return impl_->links.contains(what); }

std::size_t Viewers::count(std::string_view kind) const {
  std::size_t out = 0;
  for (const auto& [what, link] : impl_->links) out += what.ends_with("/" + std::string(kind));
  return out;
}

Awaitable<void> Viewers::view(std::string what, std::shared_ptr<net::WebSocket> socket, std::shared_ptr<net::ByteStream> stream) {
  std::shared_ptr<Impl> impl = impl_;
  if (auto old = impl->links.find(what); old != impl->links.end()) impl->dismiss(old->second, kCloseNormal, kTakenOver);
  auto link = std::make_shared<Link>();
  link->socket = std::move(socket);
  link->stream = std::move(stream);
  impl->links[what] = link;
  co_await run_link(link, std::string(kStreamEnded));
  if (auto mine = impl->links.find(what); mine != impl->links.end() && mine->second == link) impl->links.erase(mine);
}

Awaitable<void> Viewers::relay(std::shared_ptr<net::WebSocket> socket, std::shared_ptr<net::ByteStream> stream, std::string end_reason) {
  auto link = std::make_shared<Link>();
  link->socket = std::move(socket);
  link->stream = std::move(stream);
  co_await run_link(link, std::move(end_reason));
}

void Viewers::close_all() {
  for (const auto& [what, link] : impl_->links) impl_->dismiss(link, kCloseGoingAway, kHandlerStops);
}

}  // namespace nodevirt::virt_handler
