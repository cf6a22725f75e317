#include "virt-handler/migration/stream/control_link.hpp"

#include <boost/asio/post.hpp>

#include "virt-handler/migration/stream/connection.hpp"

namespace nodevirt::virt_handler::migration {

constexpr std::size_t kMaxQueued = 64;

ControlLink::ControlLink(Executor executor, std::shared_ptr<net::FdStream> stream) : executor_(std::move(executor)), stream_(std::move(stream)) {}
ControlLink::~ControlLink() { stream_->close(); }

void ControlLink::start(std::function<void(Json)> said, std::function<void(Error)> gone) {
  said_ = std::move(said);
  gone_ = std::move(gone);
  spawn(executor_, read(), "migration control");
}

Awaitable<void> ControlLink::read() {
  auto self = shared_from_this();
  for (;;) {
    auto line = co_await read_line(stream_, kMaxLine);
    if (!line.ok()) {
      end(line.error());
      co_return;
    }
    auto message = parse_json(*line, 32);
    if (!message.ok() || !message->is_object()) {
      end(Error{Code::InvalidArgument, "the other node's virt-handler said what is no JSON object"});
      co_return;
    }
    if (closed_) co_return;
    if (said_) said_(std::move(*message));
  }
}

void ControlLink::say(const Json& message) {
  if (closed_) return;
  if (out_.size() >= kMaxQueued) {
    close();
    return;
  }
  out_.push_back(dump_json(message) + "\n");
  if (writing_) return;
  writing_ = true;
  spawn(executor_, write(), "migration control");
}

Awaitable<void> ControlLink::write() {
  auto self = shared_from_this();
  while (!out_.empty() && !closed_) {
    std::string line = std::move(out_.front());
    out_.pop_front();
    auto written = co_await stream_->write(line);
    if (!written.ok()) {
      end(written.error());
      break;
    }
  }
  writing_ = false;
}

void ControlLink::close() {
  if (closed_) return;
  closed_ = true;
  stream_->close();
  said_ = nullptr;
  auto later = [gone = std::exchange(gone_, nullptr)] {
    if (gone) gone(Error{Code::Cancelled, "closed on this side"});
  };
  boost::asio::post(executor_, later);
}

void ControlLink::end(Error why) {
  if (closed_) return;
  closed_ = true;
  stream_->close();
  auto gone = std::exchange(gone_, nullptr);
  said_ = nullptr;
  if (gone) gone(std::move(why));
}

}  // namespace nodevirt::virt_handler::migration
