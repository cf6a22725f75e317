// Requests to an API server over HTTP/1.1: kept-alive connections, a path prefix, a bearer token.
#pragma once
#include <string>

#include "pkg/base/clock.hpp"
#include "pkg/client/transport.hpp"

namespace nodevirt::client {

class HttpTransport final : public Transport {
 public:
  struct Options {
    net::HttpClient::Options http;
    std::string prefix;            ///< before every target; "" or "/x"
    std::string token;
    std::string token_file;        ///< read again when it is older than a minute
    std::string user_agent = "nodevirt";
  };
  HttpTransport(Executor executor, Options options);

  Awaitable<Result<net::Response>> send(net::Request request) override;
  Awaitable<Result<std::unique_ptr<net::BodyReader>>> open(net::Request request) override;
  Awaitable<Result<std::unique_ptr<net::WebSocket>>> websocket(net::Request request,
                                                               std::vector<std::string> subprotocols) override;

 private:
  void prepare(net::Request& request);

  Options options_;
  std::shared_ptr<net::HttpClient> http_;
  Clock::Time token_read_{};
};

/// https://host[:port][/prefix] taken apart; InvalidArgument says what is wrong.
struct ServerUrl {
  bool tls = true;
  std::string host;
  std::uint16_t port = 443;
  std::string prefix;
};
Result<ServerUrl> parse_server_url(std::string_view text);

}  // namespace nodevirt::client
