// The two virt-handlers of one migration talk: one JSON object per line, both ways.
#pragma once
#include <deque>
#include <functional>
#include <memory>

#include "pkg/base/json.hpp"
#include "pkg/net/fd_stream.hpp"

namespace nodevirt::virt_handler::migration {

/// On its executor's one thread. Closes itself when the peer sends what is no line of JSON, or more than 64 KiB of it.
class ControlLink : public std::enable_shared_from_this<ControlLink> {
 public:
  static constexpr std::size_t kMaxLine = 64u << 10;

  ControlLink(Executor executor, std::shared_ptr<net::FdStream> stream);
  ~ControlLink();
  /// Begins to read. `said` for each message in order; `gone` once, also after close(). Neither is called from
  /// inside of a call into this.
  void start(std::function<void(Json)> said, std::function<void(Error)> gone);
  /// Returns at once; what was said before it is gone may have arrived or not.
  void say(const Json& message);
  void close();
  bool open() const { return !closed_; }

 private:
  Awaitable<void> read();
  Awaitable<void> write();
  void end(Error why);

  Executor executor_;
  std::shared_ptr<net::FdStream> stream_;
  std::function<void(Json)> said_;
  std::function<void(Error)> gone_;
  std::deque<std::string> out_;
  bool writing_ = false, closed_ = false;
};

}  // namespace nodevirt::virt_handler::migration
