// QMP without libvirt, on the domain's second monitor: for when libvirt waits for QEMU, or must not know.
#pragma once
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "pkg/base/file.hpp"
#include "pkg/base/json.hpp"

namespace nodevirt::libvirt {

/// One connection. QEMU serves one at a time: hold it briefly. Not thread-safe. What QEMU says is bounded (1 MiB a
/// message) and otherwise not trusted. Calls block up to their timeout.
class QmpClient {
 public:
  /// Connects and leaves the negotiation mode. Unavailable when nobody listens or answers in time, NotFound without a socket.
  static Result<QmpClient> connect(const std::filesystem::path& socket,
                                   std::chrono::milliseconds timeout = std::chrono::seconds(5), bool out_of_band = false);

  /// A connection that was made `out_of_band` by a process that is no more, in the middle of whatever.
  static QmpClient adopt(Fd fd);

  /// Answers QMP's `return`; QMP's `error` is Internal with its text. Events that come in between are kept. One that was not
  /// answered in time is waited for before the next is sent: QEMU listens no longer, also out of band, where many wait.
  Result<Json> execute(std::string_view command, const Json& arguments = Json::object(),
                       std::chrono::milliseconds timeout = std::chrono::seconds(5));

  /// The same on a connection that was made for it, for the few commands that QEMU carries out while its main thread stands still.
  Result<Json> execute_out_of_band(std::string_view command, const Json& arguments, std::chrono::milliseconds timeout = std::chrono::seconds(5));

  /// QEMU closed it.
  bool closed() const { return closed_; }
  int fd() const { return fd_.get(); }

  /// Takes what has arrived, without waiting: the events' names, in order. Everything that QEMU wrote before this call is
  /// seen by it. Unavailable once the connection is closed and all of it was taken.
  Result<std::vector<std::string>> drain_events();

 private:
  explicit QmpClient(Fd fd) : fd_(std::move(fd)) {}
  Result<Json> call(bool out_of_band, std::string_view command, const Json& arguments, std::chrono::milliseconds timeout);
  Result<bool> receive(std::chrono::steady_clock::time_point until);
  Result<Json> next_message(std::chrono::steady_clock::time_point until);

  Fd fd_;
  std::string buffer_;
  std::vector<std::string> events_;
  std::uint64_t id_ = 0;
  std::uint64_t unanswered_ = 0;   // the id of a command that waits for QEMU's main thread
  bool torn_ = false;              // the next line may be the rest of one
  bool closed_ = false;
};

}  // namespace nodevirt::libvirt
