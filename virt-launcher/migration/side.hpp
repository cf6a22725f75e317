// What both sides of a migration stand on.
#pragma once
#include <functional>
#include <mutex>

#include "pkg/libvirt/domain.hpp"
#include "pkg/libvirt/qmp_client.hpp"
#include "virt-launcher/migration/events.hpp"
#include "virt-launcher/options.hpp"

namespace nodevirt::virt_launcher::migration {

/// The domain's second monitor, for one user at a time.
class Monitor {
 public:
  explicit Monitor(std::filesystem::path path) : path_(std::move(path)) {}
  const std::filesystem::path& path() const { return path_; }
  /// Holds the monitor as long as it lives.
  [[nodiscard]] std::unique_lock<std::mutex> hold() { return std::unique_lock(mutex_); }
  /// Connects, sends one command, and lets go.
  Result<Json> execute(std::string_view command, const Json& arguments = Json::object()) {
    auto held = hold();
    NV_TRY(libvirt::QmpClient client, libvirt::QmpClient::connect(path_));
    return client.execute(command, arguments);
  }

 private:
  std::filesystem::path path_;
  std::mutex mutex_;
};

struct Context {
  Paths paths;
  std::string domain_name;
  /// Waits for libvirtd as long; NotFound without the domain.
  std::function<Result<libvirt::Domain>(std::chrono::milliseconds)> domain;
  /// QEMU's process by libvirt's pid file; 0 when there is none.
  std::function<pid_t()> qemu_pid;
  /// Work for the launcher's own thread.
  std::function<void(std::function<void()>, std::chrono::milliseconds)> post;
  Events& events;
  Monitor& monitor;
};

}  // namespace nodevirt::virt_launcher::migration
