#include "pkg/net/client_connection.hpp"

namespace nodevirt::net {

namespace {

constexpr std::size_t kPiece = 64 * 1024;
constexpr auto kMaxIdleTime = std::chrono::seconds(90);

/// True when nothing has come on an idle connection: neither an end nor bytes nobody asked for.
bool still_idle(FdStream& stream) {
  char byte;
  return stream.read_now(std::span<char>(&byte, 1)).state == FdStream::State::Wait;
}

/// Closes the stream at the deadline, for as long as it lives.
void arm(boost::asio::steady_timer& timer, std::chrono::steady_clock::time_point deadline,
         std::weak_ptr<FdStream> stream, std::shared_ptr<bool> expired) {
  timer.expires_at(deadline);
  timer.async_wait([stream, expired](boost::system::error_code ec) {
    auto s = stream.lock();
    if (ec || !s) return;
    *expired = true;
    s->close();
  });
}

Error too_late() { return Error(Code::DeadlineExceeded, "no answer in time"); }

}  // namespace

Awaitable<Result<std::unique_ptr<ByteStream>>> ClientPool::connect() {
  if (options_.dial) {
    auto dial = options_.dial;
    co_return co_await dial();
  }
  if (!options_.unix_path.empty()) co_return co_await connect_unix(options_.unix_path);
  co_return co_await connect_tcp(options_.host, options_.port, options_.connect_timeout);
}

Awaitable<Result<ClientPool::Borrowed>> ClientPool::borrow(bool may_reuse,
                                                          std::chrono::steady_clock::time_point deadline) {
  auto now = std::chrono::steady_clock::now();
  std::erase_if(idle_, [&](const Idle& i) { return now - i.since > kMaxIdleTime; });
  while (may_reuse && !idle_.empty()) {
    auto stream = std::move(idle_.back().stream);
    idle_.pop_back();
    if (still_idle(*stream)) co_return Borrowed{std::move(stream), true};
  }
  NV_CO_TRY(auto connected, co_await connect());
  auto stream = take_fd_stream(executor_, std::move(connected));
  if (options_.tls) {
    boost::asio::steady_timer timer(executor_);
    auto expired = std::make_shared<bool>(false);
    arm(timer, std::min(deadline, now + options_.connect_timeout), stream, expired);
    auto host = options_.server_name.empty() ? options_.host : options_.server_name;
    auto tls = options_.tls;
    auto shaken = co_await stream->handshake(tls, host);
    timer.cancel();
    if (*expired) co_return Error(Code::DeadlineExceeded, "TLS handshake: no answer in time");
    if (!shaken.ok()) co_return shaken.error();
  }
  co_return Borrowed{std::move(stream), false};
}

void ClientPool::give_back(std::shared_ptr<FdStream> stream) {
  if (closed_ || idle_.size() >= options_.max_idle) return;
  idle_.push_back({std::move(stream), std::chrono::steady_clock::now()});
}

void ClientPool::close() {
  closed_ = true;
  idle_.clear();
}

ClientExchange::ClientExchange(std::shared_ptr<ClientPool> pool, std::shared_ptr<FdStream> stream, bool head_only,
                               std::optional<std::size_t> max_body)
    : pool_(std::move(pool)),
      stream_(std::move(stream)),
      parser_(head_only ? Http1Parser::Kind::ResponseToHead : Http1Parser::Kind::Response,
              {256u << 10, max_body ? std::optional<std::uint64_t>(*max_body) : std::nullopt}),
      timer_(pool_->executor()) {}

ClientExchange::~ClientExchange() {
  if (stream_) stream_->close();
}

void ClientExchange::limit_time(std::chrono::steady_clock::time_point deadline) {
  arm(timer_, deadline, stream_, timed_out_);
}

void ClientExchange::no_time_limit() { timer_.cancel(); }

Error ClientExchange::explain(const Error& error) const { return *timed_out_ ? too_late() : error; }

Awaitable<Result<void>> ClientExchange::read_more() {
  auto stream = stream_;
  if (!stream) co_return Error(Code::Cancelled, "the exchange has ended");
  auto n = co_await stream->read_append(in_, kPiece);
  if (!n.ok()) co_return explain(n.error());
  if (*n == 0) co_return parser_.feed_end();
  answered_ = true;
  co_return Result<void>{};
}

Awaitable<Result<void>> ClientExchange::send_and_read_head(const Request& request) {
  auto head = write_head(request);
  auto stream = stream_;
  auto sent = co_await stream->write(head, request.body);
  // A server that refuses early (413, 401) may end while we still write: its answer counts.
  if (!sent.ok() && (sent.error().code == Code::Cancelled || *timed_out_)) co_return explain(sent.error());
  for (;;) {
    auto used = parser_.feed(in_);
    if (!used.ok()) co_return used.error().with_context("the server's answer");
    in_.erase(0, *used);
    if (parser_.head_done()) {
      int status = parser_.response().status;
      if (status < 100 || status >= 200 || status == 101) co_return Result<void>{};
      // An interim answer (100, 103): the real one follows.
      parser_ = Http1Parser(Http1Parser::Kind::Response, {256u << 10, std::nullopt});
      continue;
    }
    auto more = co_await read_more();
    if (!more.ok()) co_return sent.ok() ? more.error() : explain(sent.error());
  }
}

Awaitable<Result<std::string>> ClientExchange::read_piece() {
  for (;;) {
    auto piece = parser_.take_body();
    if (!piece.empty()) co_return piece;
    if (parser_.done()) co_return std::string();
    if (!in_.empty()) {
      auto used = parser_.feed(in_);
      if (!used.ok()) co_return used.error().with_context("the server's answer");
      in_.erase(0, *used);
      if (*used > 0) continue;
    }
    NV_CO_TRY_VOID(co_await read_more());
    auto used = parser_.feed(in_);
    if (!used.ok()) co_return used.error().with_context("the server's answer");
    in_.erase(0, *used);
  }
}

const Response& ClientExchange::head() { return parser_.response(); }

void ClientExchange::give_back() {
  timer_.cancel();
  if (!stream_) return;
  bool again = parser_.done() && parser_.keep_alive() && in_.empty() && !stream_->closed();
  auto stream = std::exchange(stream_, nullptr);
  if (again) pool_->give_back(std::move(stream));
  else stream->close();
}

std::shared_ptr<FdStream> ClientExchange::take_stream() {
  timer_.cancel();
  if (!in_.empty()) stream_->unread(in_);
  return std::exchange(stream_, nullptr);
}

void ClientExchange::abort() {
  timer_.cancel();
  if (stream_) stream_->close();
}

}  // namespace nodevirt::net
