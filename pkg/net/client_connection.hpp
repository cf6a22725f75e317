// The client's connections: the pool of idle ones, and one exchange on one of them.
#pragma once
#include <memory>

#include "pkg/net/fd_stream.hpp"
#include "pkg/net/http1_parser.hpp"
#include "pkg/net/http_client.hpp"

namespace nodevirt::net {

class ClientPool {
 public:
  ClientPool(Executor executor, HttpClient::Options options)
      : executor_(std::move(executor)), options_(std::move(options)) {}

  struct Borrowed {
    std::shared_ptr<FdStream> stream;
    bool reused = false;
  };
  /// A live idle connection when `may_reuse`, else a new one (connected and shaken hands).
  Awaitable<Result<Borrowed>> borrow(bool may_reuse, std::chrono::steady_clock::time_point deadline);
  void give_back(std::shared_ptr<FdStream> stream);
  /// Closes idle connections; none are kept from now on.
  void close();

  const Executor& executor() const { return executor_; }
  const HttpClient::Options& options() const { return options_; }

 private:
  Awaitable<Result<std::unique_ptr<ByteStream>>> connect();

  struct Idle {
    std::shared_ptr<FdStream> stream;
    std::chrono::steady_clock::time_point since;
  };
  Executor executor_;
  HttpClient::Options options_;
  std::vector<Idle> idle_;
  bool closed_ = false;
};

/// One request and its answer. Ends its connection when destroyed, unless it was given back or taken.
class ClientExchange {
 public:
  ClientExchange(std::shared_ptr<ClientPool> pool, std::shared_ptr<FdStream> stream, bool head_only,
                 std::optional<std::size_t> max_body);
  ~ClientExchange();

  /// The connection is closed at the deadline, and pending calls return DeadlineExceeded.
  void limit_time(std::chrono::steady_clock::time_point deadline);
  void no_time_limit();
  Awaitable<Result<void>> send_and_read_head(const Request& request);
  /// The next piece of the body; empty at its end.
  Awaitable<Result<std::string>> read_piece();
  const Response& head();
  bool answered() const { return answered_; }
  bool timed_out() const { return *timed_out_; }
  /// After the whole body: the connection goes back to the pool when it may be used again.
  void give_back();
  /// After 101.
  std::shared_ptr<FdStream> take_stream();
  void abort();

 private:
  Awaitable<Result<void>> read_more();
  Error explain(const Error& error) const;

  std::shared_ptr<ClientPool> pool_;
  std::shared_ptr<FdStream> stream_;
  Http1Parser parser_;
  std::string in_;
  boost::asio::steady_timer timer_;
  std::shared_ptr<bool> timed_out_ = std::make_shared<bool>(false);
  bool answered_ = false;
};

}  // namespace nodevirt::net
