// WebSocket connections (RFC 6455), as server and client.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "pkg/base/async.hpp"

namespace nodevirt::net {

class WebSocket {
 public:
  struct Message {
    bool binary = true;
    bool closed = false;        ///< the peer ended it; code and reason are its own
    int close_code = 0;
    std::string close_reason;
    std::string data;
  };
  virtual ~WebSocket() = default;
  /// The subprotocol both agreed on, or empty.
  virtual std::string_view subprotocol() const = 0;
  /// One whole message (bounded: 1 MiB unless the options say otherwise). One reader at a time.
  virtual Awaitable<Result<Message>> read() = 0;
  /// One message. Several writers are queued.
  virtual Awaitable<Result<void>> write(std::string_view data, bool binary = true) = 0;
  /// Sends the close frame with its code and reason (at most 123 bytes are kept) and ends.
  virtual Awaitable<void> close(int code, std::string reason) = 0;
  /// Ends at once, without a frame. Pending calls return Cancelled.
  virtual void abort() = 0;
};

}  // namespace nodevirt::net
