#include "pkg/client/http_transport.hpp"

#include <charconv>

#include "pkg/base/file.hpp"
#include "pkg/base/log.hpp"

namespace nodevirt::client {

HttpTransport::HttpTransport(Executor executor, Options options)
    : options_(std::move(options)),
      http_(std::make_shared<net::HttpClient>(std::move(executor), options_.http)) {}

void HttpTransport::prepare(net::Request& request) {
  if (!options_.prefix.empty()) request.target = options_.prefix + request.target;
  if (!request.headers.has("User-Agent")) request.headers.set("User-Agent", options_.user_agent);
  auto now = system_clock().now();
  if (!options_.token_file.empty() && (token_read_ == Clock::Time{} || now - token_read_ > std::chrono::minutes(1))) {
    token_read_ = now;
    auto text = read_file(options_.token_file, 64u << 10);
    if (text.ok()) {
      while (!text->empty() && std::isspace(static_cast<unsigned char>(text->back()))) text->pop_back();
      options_.token = std::move(*text);
    } else {
      log::warning("{}", text.error().with_context("read the API server's token").message);
    }
  }
  if (!options_.token.empty() && !request.headers.has("Authorization"))
    request.headers.set("Authorization", "Bearer " + options_.token);
}

Awaitable<Result<net::Response>> HttpTransport::send(net::Request request) {
  prepare(request);
  auto http = http_;
  co_return co_await http->send(std::move(request));
}

Awaitable<Result<std::unique_ptr<net::BodyReader>>> HttpTransport::open(net::Request request) {
  prepare(request);
  auto http = http_;
  co_return co_await http->open(std::move(request));
}

Awaitable<Result<std::unique_ptr<net::WebSocket>>> HttpTransport::websocket(net::Request request,
                                                                           std::vector<std::string> subprotocols) {
  prepare(request);
  auto http = http_;
  co_return co_await http->websocket(std::move(request), std::move(subprotocols));
}

Result<ServerUrl> parse_server_url(std::string_view text) {
  auto bad = [&](std::string_view why) {
    return Error(Code::InvalidArgument,
                 fmt::format("\"{}\" is not a server's address ({}); https://HOST:PORT is expected", text.substr(0, 200), why));
  };
  ServerUrl url;
  if (text.starts_with("https://")) {
    text.remove_prefix(8);
  } else if (text.starts_with("http://")) {
    url.tls = false;
    url.port = 80;
    text.remove_prefix(7);
  } else {
    return bad("the scheme is missing");
  }
  auto slash = std::min(text.find('/'), text.size());
  std::string_view authority = text.substr(0, slash), prefix = text.substr(slash);
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  for (char c : text)
    if (static_cast<unsigned char>(c) <= ' ' || c == '?' || c == '#' || c == '@' || c == 0x7f) return bad("it has odd characters");
  std::string_view port;
  bool has_port = false;
  if (authority.starts_with('[')) {
    auto end = authority.find(']');
    if (end == std::string_view::npos) return bad("\"]\" is missing");
    url.host = std::string(authority.substr(1, end - 1));
    std::string_view rest = authority.substr(end + 1);
    has_port = rest.starts_with(':');
    if (!rest.empty() && !has_port) return bad("something follows \"]\"");
    if (has_port) port = rest.substr(1);
  } else if (auto colon = authority.find(':'); colon != std::string_view::npos) {
    url.host = std::string(authority.substr(0, colon));
    port = authority.substr(colon + 1);
    has_port = true;
  } else {
    url.host = std::string(authority);
  }
  if (url.host.empty()) return bad("the host is missing");
  if (has_port) {
    auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), url.port);
    if (error != std::errc() || end != port.data() + port.size() || url.port == 0) return bad("the port is no number from 1 to 65535");
  }
  url.prefix = std::string(prefix);
  return url;
}

}  // namespace nodevirt::client
