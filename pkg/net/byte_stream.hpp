// A connected, ordered stream of bytes: TCP, unix socket, TLS, an upgraded HTTP connection, or a
// pair in memory (tests).
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "pkg/base/async.hpp"

namespace nodevirt::net {

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// At least one byte; 0 at the end of the stream. One reader at a time.
  virtual Awaitable<Result<std::size_t>> read_some(std::span<char> into) = 0;
  /// All of it. One writer at a time; `bytes` stay alive until it returns.
  virtual Awaitable<Result<void>> write(std::string_view bytes) = 0;
  /// Ends the writing direction; the peer reads 0.
  virtual Awaitable<Result<void>> shutdown_write() = 0;
  /// Both directions, at once; pending calls return Cancelled. May be called twice.
  virtual void close() = 0;
};

/// Two ends connected in memory.
std::pair<std::unique_ptr<ByteStream>, std::unique_ptr<ByteStream>> memory_pair(Executor executor);
/// Owns a connected (unix or TCP) socket descriptor.
std::unique_ptr<ByteStream> adopt_socket(Executor executor, int fd);

/// Connects to a unix socket; the path may be longer than sun_path (it goes through its folder's descriptor).
Awaitable<Result<std::unique_ptr<ByteStream>>> connect_unix(std::string path);
Awaitable<Result<std::unique_ptr<ByteStream>>> connect_tcp(std::string host, std::uint16_t port,
                                                         std::chrono::milliseconds timeout);

/// Copies both directions until both have ended or either fails; closes both.
Awaitable<void> splice(std::shared_ptr<ByteStream> a, std::shared_ptr<ByteStream> b);

}  // namespace nodevirt::net
