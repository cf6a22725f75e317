// One accepted connection of an HttpServer.
#pragma once
#include <memory>
#include <unordered_set>

#include "pkg/net/fd_stream.hpp"
#include "pkg/net/http1_parser.hpp"
#include "pkg/net/http_server.hpp"

namespace nodevirt::net {

class ServerConnection;

/// What all connections of a server share; outlives them.
struct ServerShared {
  Executor executor;
  HttpServer::Options options;
  Handler handler;
  std::unordered_set<ServerConnection*> connections;  ///< each removes itself
  std::function<void()> on_empty;                      ///< called when the last one has gone
  bool stopping = false;

  ServerShared(Executor e, HttpServer::Options o, Handler h)
      : executor(std::move(e)), options(std::move(o)), handler(std::move(h)) {}
};

class ServerConnection : public std::enable_shared_from_this<ServerConnection> {
 public:
  ServerConnection(std::shared_ptr<ServerShared> server, std::shared_ptr<FdStream> stream, Peer peer);
  ~ServerConnection();

  /// Serves until the connection ends or is given away. `self` keeps it alive.
  static Awaitable<void> serve(std::shared_ptr<ServerConnection> self);
  /// The server stops: an idle connection ends now, a busy one hears of it through `closed`.
  void stop();
  /// Ends it whatever it does, also when it was given away.
  void kill();

 private:
  friend class ServerResponse;
  enum class Phase { Handshake, Head, Body, Handler, GivenAway };

  Awaitable<bool> read_request(ServerRequest& request, bool first, bool& keep_alive);
  Awaitable<void> refuse(int status, std::string text);
  Awaitable<void> linger();
  void watch_peer();
  void peer_readable();
  void set_deadline(std::chrono::milliseconds after);
  void arm_timer();

  std::shared_ptr<ServerShared> server_;
  std::shared_ptr<FdStream> stream_;
  Peer peer_;
  StopSource closed_;
  std::string in_;            ///< read, not yet parsed
  Phase phase_ = Phase::Handshake;
  unsigned watch_ = 0;        ///< bumped when a handler ends: older watches are void
  boost::asio::steady_timer timer_;
  std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::time_point::max();
  bool timed_out_ = false;
  int version_ = 11;          ///< of the request being served
};

class ServerResponse final : public ResponseStream {
 public:
  ServerResponse(std::shared_ptr<ServerConnection> connection, const ServerRequest& request, int version,
                 bool keep_alive);
  Awaitable<Result<void>> send(Response response) override;
  Awaitable<Result<void>> begin(int status, Headers headers) override;
  Awaitable<Result<void>> write(std::string_view bytes) override;
  Awaitable<Result<void>> finish() override;
  Awaitable<Result<std::unique_ptr<WebSocket>>> upgrade(std::vector<std::string> supported) override;
  Awaitable<Result<std::unique_ptr<ByteStream>>> hijack(Headers headers) override;
  bool started() const override { return state_ != State::Fresh; }

  bool whole() const { return state_ == State::Done; }
  bool given_away() const { return state_ == State::GivenAway; }
  bool keep_alive() const { return keep_alive_; }

 private:
  enum class State { Fresh, Streaming, Done, GivenAway, Broken };
  Awaitable<Result<void>> put(std::string_view bytes, std::string_view more = {});
  std::shared_ptr<FdStream> give_away();
  void finish_headers(Headers& headers);

  std::shared_ptr<ServerConnection> connection_;
  const ServerRequest& request_;
  State state_ = State::Fresh;
  int version_;
  bool keep_alive_;
  bool chunked_ = false;
};

}  // namespace nodevirt::net
