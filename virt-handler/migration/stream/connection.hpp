// The beginning of a connection between two virt-handlers: TLS, the first line, its answer.
#pragma once
#include <memory>
#include <string>

#include "pkg/net/fd_stream.hpp"
#include "virt-handler/migration/stream/header.hpp"
#include "virt-handler/migration/stream/tls.hpp"

namespace nodevirt::virt_handler::migration {

inline constexpr std::chrono::seconds kOpenTimeout{10};

/// Closes a stream when the time is over, unless this goes first.
class Deadline {
 public:
  Deadline(const Executor& executor, std::shared_ptr<net::FdStream> stream, std::chrono::milliseconds after);
  ~Deadline();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

struct StreamTarget {
  std::string address;     ///< "HOST:PORT", "[HOST]:PORT"
  std::string node;        ///< whose virt-handler must answer
  bool plain = false;      ///< without TLS
};

/// Connects, says the header and waits for its answer. Unavailable when it cannot be reached in kOpenTimeout,
/// PermissionDenied when somebody else answers, FailedPrecondition when it refuses.
Awaitable<Result<std::shared_ptr<net::FdStream>>> open_stream(StreamTarget target, StreamTls tls, StreamHeader header);

/// Reads up to a newline, which is taken off; what came after it stays in the stream. InvalidArgument beyond `max`.
Awaitable<Result<std::string>> read_line(std::shared_ptr<net::FdStream> stream, std::size_t max);

/// A connection between nodes notices within seconds that the other side is gone.
void watch_peer(int fd);

/// "HOST:PORT" taken apart; InvalidArgument when it is none.
struct HostPort { std::string host; std::uint16_t port = 0; };
Result<HostPort> parse_address(std::string_view text);

}  // namespace nodevirt::virt_handler::migration
