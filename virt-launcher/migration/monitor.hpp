// The domain's second monitor, without libvirt.
#pragma once
#include <functional>
#include <mutex>
#include <optional>

#include "pkg/libvirt/qmp_client.hpp"

namespace nodevirt::virt_launcher::migration {

/// For one user at a time; QEMU has one connection at a time. Thread-safe.
class Monitor {
 public:
  /// Told of the line's descriptor when one is opened, so that it can outlive this process, and of -1 when it is closed.
  using Keep = std::function<void(int fd)>;
  explicit Monitor(std::filesystem::path path, Keep keep = {}) : path_(std::move(path)), keep_(std::move(keep)) {}

  const std::filesystem::path& path() const { return path_; }
  /// Holds the monitor as long as it lives; closes the line.
  [[nodiscard]] std::unique_lock<std::mutex> hold();
  /// On the line (then waiting for at most 1 s), or: connects, sends one command, and lets go.
  Result<Json> execute(std::string_view command, const Json& arguments = Json::object(), std::chrono::milliseconds timeout = std::chrono::seconds(5));

  /// The line is a connection that is there before it is needed: while QEMU's main thread waits for a page of a guest in
  /// post-copy nobody can connect any more, and only what is said out of band, on a line, is heard. An open one stays.
  Result<void> open_line(std::chrono::milliseconds timeout);
  /// A line of an earlier process. An invalid descriptor is none.
  void adopt_line(Fd fd);
  void close_line();
  /// Unavailable without a line, or when it was closed.
  Result<Json> execute_out_of_band(std::string_view command, const Json& arguments, std::chrono::milliseconds timeout);

 private:
  void drop_line();

  std::filesystem::path path_;
  Keep keep_;
  std::mutex mutex_;
  std::optional<libvirt::QmpClient> line_;
};

}  // namespace nodevirt::virt_launcher::migration
