// Who looks at which console or screen: one viewer at a time, and the newest wins.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "pkg/net/byte_stream.hpp"
#include "pkg/net/websocket.hpp"

namespace nodevirt::virt_handler {

/// Reasons in close frames; never in the stream of bytes.
inline constexpr int kCloseNormal = 1000;
inline constexpr int kCloseGoingAway = 1001;
inline constexpr std::string_view kTakenOver = "taken over by another viewer";
inline constexpr std::string_view kStreamEnded = "the instance has stopped, was restarted or has moved";
inline constexpr std::string_view kHandlerStops = "virt-handler is being restarted";

class Viewers {
 public:
  explicit Viewers(Executor executor);
  ~Viewers();
  bool watched(const std::string& what) const;
  std::size_t count(std::string_view kind) const;   ///< of the streams whose name ends with "/kind"
  /// Carries bytes both ways until one side ends. A viewer of the same `what` is sent away first; then the
  /// guest's side, which serves one client at a time, turns to this one.
  Awaitable<void> view(std::string what, std::shared_ptr<net::WebSocket> socket, std::shared_ptr<net::ByteStream> stream);
  /// As view, without taking over and without a name.
  static Awaitable<void> relay(std::shared_ptr<net::WebSocket> socket, std::shared_ptr<net::ByteStream> stream, std::string end_reason);
  void close_all();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::virt_handler
