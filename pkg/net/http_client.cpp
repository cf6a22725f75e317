#include "pkg/net/http_client.hpp"

#include <boost/asio/as_tuple.hpp>

#include "pkg/base/json.hpp"
#include "pkg/net/client_connection.hpp"
#include "pkg/net/websocket_handshake.hpp"

namespace nodevirt::net {

namespace {

bool idempotent(const std::string& method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" || method == "OPTIONS";
}

Code code_of_status(int status) {
  switch (status) {
    case 400: case 422: return Code::InvalidArgument;
    case 401: return Code::Unauthenticated;
    case 403: return Code::PermissionDenied;
    case 404: return Code::NotFound;
    case 409: return Code::Aborted;
    case 410: return Code::OutOfRange;
    case 429: return Code::ResourceExhausted;
    case 501: return Code::Unimplemented;
    case 502: case 503: return Code::Unavailable;
    case 504: return Code::DeadlineExceeded;
    default: return status >= 500 ? Code::Internal : Code::Unknown;
  }
}

/// A server's refusal as an Error; a Kubernetes Status in the body gives message and reason.
Error refusal(const Response& response) {
  Error error(code_of_status(response.status), "");
  if (auto body = parse_json(response.body); body.ok() && body->is_object()) {
    error.message = string_at(*body, {"message"});
    error.reason = string_at(*body, {"reason"});
    if (const auto* details = find(*body, {"details"})) error.details = std::make_shared<Json>(*details);
    if (error.reason == "AlreadyExists") error.code = Code::AlreadyExists;
  } else {
    error.message = response.body.substr(0, 1024);
    while (!error.message.empty() && error.message.back() == '\n') error.message.pop_back();
  }
  if (error.message.empty()) error.message = fmt::format("the server answered {}", response.status);
  return error;
}

Result<void> prepare(Request& request, const HttpClient::Options& options) {
  if (request.target.empty()) request.target = "/";
  for (unsigned char c : request.target)
    if (c <= ' ' || c == 0x7f) return Error(Code::InvalidArgument, "not a request target: " + request.target);
  if (!request.headers.has("Host")) {
    auto host = options.host.empty() ? std::string("localhost") : options.host;
    if (host.find(':') != std::string::npos) host = "[" + host + "]";
    bool usual = !options.unix_path.empty() || options.port == (options.tls ? 443 : 80);
    request.headers.set("Host", usual ? host : fmt::format("{}:{}", host, options.port));
  }
  bool sends = request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (sends || !request.body.empty()) request.headers.set("Content-Length", std::to_string(request.body.size()));
  return {};
}

}  // namespace

struct HttpClient::Impl {
  std::shared_ptr<ClientPool> pool;
};

HttpClient::HttpClient(Executor executor, Options options) : impl_(std::make_shared<Impl>()) {
  impl_->pool = std::make_shared<ClientPool>(std::move(executor), std::move(options));
}
HttpClient::~HttpClient() { impl_->pool->close(); }

namespace {

/// Sends the request and reads the answer's head, on a kept connection or a new one.
Awaitable<Result<std::unique_ptr<ClientExchange>>> start(std::shared_ptr<ClientPool> pool, const Request& request,
                                                        std::optional<std::size_t> max_body,
                                                        std::chrono::steady_clock::time_point deadline) {
  for (bool may_reuse = true;; may_reuse = false) {
    auto borrowed = co_await pool->borrow(may_reuse, deadline);
    if (!borrowed.ok()) co_return borrowed.error();
    auto exchange = std::make_unique<ClientExchange>(pool, borrowed->stream, request.method == "HEAD", max_body);
    exchange->limit_time(deadline);
    auto r = co_await exchange->send_and_read_head(request);
    if (r.ok()) co_return std::move(exchange);
    bool silent = !exchange->answered() && !exchange->timed_out();
    if (borrowed->reused && silent && idempotent(request.method)) continue;
    co_return r.error();
  }
}

Awaitable<Result<Response>> rest(ClientExchange& exchange) {
  Response out = exchange.head();
  for (;;) {
    auto piece = co_await exchange.read_piece();
    if (!piece.ok()) co_return piece.error();
    if (piece->empty()) break;
    if (out.body.empty()) out.body = std::move(*piece);
    else out.body += *piece;
  }
  exchange.give_back();
  co_return out;
}

class StreamedBody final : public BodyReader {
 public:
  explicit StreamedBody(std::unique_ptr<ClientExchange> exchange) : exchange_(std::move(exchange)) {}
  ~StreamedBody() override { exchange_->abort(); }
  const Response& head() const override { return exchange_->head(); }
  Awaitable<Result<std::string>> read() override {
    auto keep = exchange_;
    auto piece = co_await keep->read_piece();
    if (piece.ok() && piece->empty()) keep->give_back();
    co_return piece;
  }
  void abort() override { exchange_->abort(); }

 private:
  std::shared_ptr<ClientExchange> exchange_;
};

}  // namespace

Awaitable<Result<Response>> HttpClient::send(Request request) {
  auto pool = impl_->pool;
  NV_CO_TRY_VOID(prepare(request, pool->options()));
  auto deadline = std::chrono::steady_clock::now() + pool->options().request_timeout;
  NV_CO_TRY(auto exchange, co_await start(pool, request, pool->options().max_body, deadline));
  co_return co_await rest(*exchange);
}

Awaitable<Result<std::unique_ptr<BodyReader>>> HttpClient::open(Request request) {
  auto pool = impl_->pool;
  NV_CO_TRY_VOID(prepare(request, pool->options()));
  auto deadline = std::chrono::steady_clock::now() + pool->options().request_timeout;
  NV_CO_TRY(auto exchange, co_await start(pool, request, std::nullopt, deadline));
  exchange->no_time_limit();
  std::unique_ptr<BodyReader> reader = std::make_unique<StreamedBody>(std::move(exchange));
  co_return reader;
}

Awaitable<Result<Upgraded>> HttpClient::upgrade(Request request) {
  auto pool = impl_->pool;
  NV_CO_TRY_VOID(prepare(request, pool->options()));
  auto deadline = std::chrono::steady_clock::now() + pool->options().request_timeout;
  NV_CO_TRY(auto exchange, co_await start(pool, request, pool->options().max_body, deadline));
  Upgraded out;
  if (exchange->head().status != 101) {
    NV_CO_TRY(out.head, co_await rest(*exchange));
    co_return out;
  }
  out.head = exchange->head();
  out.stream = make_byte_stream(exchange->take_stream());
  co_return out;
}

Awaitable<Result<std::unique_ptr<WebSocket>>> HttpClient::websocket(Request request,
                                                                   std::vector<std::string> subprotocols) {
  auto pool = impl_->pool;
  request.method = "GET";
  auto key = websocket_key();
  request.headers.set("Upgrade", "websocket");
  request.headers.set("Connection", "Upgrade");
  request.headers.set("Sec-WebSocket-Version", "13");
  request.headers.set("Sec-WebSocket-Key", key);
  if (!subprotocols.empty())
    request.headers.set("Sec-WebSocket-Protocol", fmt::format("{}", fmt::join(subprotocols, ", ")));
  NV_CO_TRY_VOID(prepare(request, pool->options()));
  auto deadline = std::chrono::steady_clock::now() + pool->options().request_timeout;
  NV_CO_TRY(auto exchange, co_await start(pool, request, std::size_t{1u << 20}, deadline));
  if (exchange->head().status != 101) {
    NV_CO_TRY(auto answer, co_await rest(*exchange));
    co_return refusal(answer);
  }
  const auto& headers = exchange->head().headers;
  if (!has_token(headers, "Upgrade", "websocket") || headers.get("Sec-WebSocket-Accept") != websocket_accept(key))
    co_return Error(Code::Unavailable, "the server's WebSocket handshake is wrong");
  std::string chosen(headers.get("Sec-WebSocket-Protocol"));
  if (!chosen.empty() && std::find(subprotocols.begin(), subprotocols.end(), chosen) == subprotocols.end())
    co_return Error(Code::Unavailable, "the server chose a subprotocol that was not offered: " + chosen);
  auto stream = exchange->take_stream();
  co_return make_websocket(stream, WebSocketRole::Client, chosen);
}

}  // namespace nodevirt::net
