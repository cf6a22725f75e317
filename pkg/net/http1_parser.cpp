#include "pkg/net/http1_parser.hpp"

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/asio/buffer.hpp>

namespace nodevirt::net {

namespace http = boost::beast::http;
using boost::beast::error_code;
using boost::beast::string_view;

namespace {

constexpr std::size_t kMaxFields = 200;
// "0 CR LF CR LF": the least that still comes when a chunk's head is next. Beast asserts it of the bytes it sees again.
constexpr std::size_t kShortestEnd = 5;

template <bool is_request>
struct Sink final : http::basic_parser<is_request> {
  Request request;
  Response response;
  std::string body;
  std::size_t fields = 0;
  bool head = false;
  bool chunk_head = false;  ///< the next byte belongs to the head of a chunk
  int version = 11;

  void on_request_impl(http::verb, string_view method, string_view target, int v, error_code& ec) override {
    version = v;
    request.method.assign(method.data(), method.size());
    request.target.assign(target.data(), target.size());
    if (request.target.empty() || (request.target[0] != '/' && request.target != "*")) ec = http::error::bad_target;
  }
  void on_response_impl(int status, string_view, int v, error_code&) override {
    version = v;
    response.status = status;
  }
  void on_field_impl(http::field, string_view name, string_view value, error_code& ec) override {
    if (++fields > kMaxFields) {
      ec = http::error::header_limit;
      return;
    }
    if (head) return;  // trailers are dropped
    auto& headers = is_request ? request.headers : response.headers;
    headers.add(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
  }
  void on_header_impl(error_code&) override {
    head = true;
    chunk_head = this->chunked();
  }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(string_view piece, error_code&) override {
    body.append(piece.data(), piece.size());
    return piece.size();
  }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override { chunk_head = false; }
  std::size_t on_chunk_body_impl(std::uint64_t remain, string_view piece, error_code&) override {
    chunk_head = piece.size() == remain;
    body.append(piece.data(), piece.size());
    return piece.size();
  }
  void on_finish_impl(error_code&) override {}
};

Error parse_error(const error_code& ec) {
  if (ec == http::error::header_limit)
    return Error(Code::InvalidArgument, "HeaderTooLarge", "the message's head is too large");
  if (ec == http::error::body_limit) return Error(Code::InvalidArgument, "BodyTooLarge", "the body is too large");
  return Error(Code::InvalidArgument, "BadMessage", "not HTTP/1.1: " + ec.message());
}

std::string clean(const std::string& value) {
  if (value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos) return value;
  std::string out = value;
  for (auto& c : out)
    if (c == '\r' || c == '\n' || c == '\0') c = ' ';
  return out;
}

void append_headers(std::string& out, const Headers& headers) {
  for (const auto& [name, value] : headers) {
    out += clean(name);
    out += ": ";
    out += clean(value);
    out += "\r\n";
  }
  out += "\r\n";
}

}  // namespace

struct Http1Parser::Impl {
  std::unique_ptr<Sink<true>> request;
  std::unique_ptr<Sink<false>> response;
  std::size_t max_header = 0;

  template <class S>
  Result<std::size_t> feed(S& sink, std::string_view bytes) {
    std::size_t used = 0;
    while (!sink.is_done() && used < bytes.size()) {
      if (sink.chunk_head && bytes.size() - used < kShortestEnd) break;
      error_code ec;
      used += sink.put(boost::asio::const_buffer(bytes.data() + used, bytes.size() - used), ec);
      if (ec == http::error::need_more) break;
      if (ec) return parse_error(ec);
    }
    // A head or a chunk's head that never ends must not be collected without bound.
    if (!sink.is_done() && bytes.size() - used > max_header)
      return Error(Code::InvalidArgument, "HeaderTooLarge", "the message's head is too large");
    return used;
  }
};

Http1Parser::Http1Parser(Kind kind, Http1Limits limits) : impl_(std::make_unique<Impl>()) {
  impl_->max_header = limits.max_header;
  auto set = [&](auto& sink) {
    sink.eager(true);
    sink.header_limit(static_cast<std::uint32_t>(limits.max_header));
    if (limits.max_body) sink.body_limit(*limits.max_body);
    else sink.body_limit(boost::none);
  };
  if (kind == Kind::Request) {
    impl_->request = std::make_unique<Sink<true>>();
    set(*impl_->request);
  } else {
    impl_->response = std::make_unique<Sink<false>>();
    set(*impl_->response);
    if (kind == Kind::ResponseToHead) impl_->response->skip(true);
  }
}
Http1Parser::~Http1Parser() = default;
Http1Parser::Http1Parser(Http1Parser&&) noexcept = default;
Http1Parser& Http1Parser::operator=(Http1Parser&&) noexcept = default;

Result<std::size_t> Http1Parser::feed(std::string_view bytes) {
  return impl_->request ? impl_->feed(*impl_->request, bytes) : impl_->feed(*impl_->response, bytes);
}

Result<void> Http1Parser::feed_end() {
  error_code ec;
  if (!started()) return Error(Code::Unavailable, "the connection ended");
  if (impl_->request) impl_->request->put_eof(ec);
  else impl_->response->put_eof(ec);
  if (ec) return Error(Code::DataLoss, "the connection ended in the middle of a message");
  return {};
}

#define NV_EITHER(expr) (impl_->request ? impl_->request->expr : impl_->response->expr)
bool Http1Parser::started() const { return NV_EITHER(got_some()); }
bool Http1Parser::head_done() const { return NV_EITHER(is_header_done()); }
bool Http1Parser::done() const { return NV_EITHER(is_done()); }
bool Http1Parser::keep_alive() const { return NV_EITHER(keep_alive()); }
int Http1Parser::version() const { return NV_EITHER(version); }
std::string Http1Parser::take_body() { return std::exchange(NV_EITHER(body), {}); }
std::size_t Http1Parser::body_size() const { return NV_EITHER(body).size(); }
#undef NV_EITHER
Request& Http1Parser::request() { return impl_->request->request; }
Response& Http1Parser::response() { return impl_->response->response; }

std::string write_head(const Request& request) {
  std::string out = request.method + " " + request.target + " HTTP/1.1\r\n";
  append_headers(out, request.headers);
  return out;
}

std::string write_head(const Response& response) {
  std::string out = fmt::format("HTTP/1.1 {} {}\r\n", response.status, reason_phrase(response.status));
  append_headers(out, response.headers);
  return out;
}

std::string_view reason_phrase(int status) {
  auto phrase = http::obsolete_reason(static_cast<http::status>(status));
  return {phrase.data(), phrase.size()};
}

}  // namespace nodevirt::net
