// The commands' way to the API server of an instance: one request at a time, on the calling thread.
#pragma once
#include "pkg/client/client.hpp"
#include "standalone/supervisor/layout.hpp"

namespace nodevirt::supervisor {

class ApiDoor {
 public:
  /// With the administrator's kubeconfig. PermissionDenied says how to get at it.
  static Result<std::unique_ptr<ApiDoor>> open(const DataDir& data);
  /// Runs one call to its end, or gives it up after `patience` (Unavailable). The client lives as long as the call.
  Result<Json> call(std::function<Awaitable<Result<Json>>(client::Client&)> what);
  std::chrono::milliseconds patience{std::chrono::seconds(30)};
  Result<Json> list(const k8s::Resource& r, const std::string& label_selector = "");

 private:
  ApiDoor() = default;
  boost::asio::io_context io_;
  std::shared_ptr<client::Transport> transport_;
};

}  // namespace nodevirt::supervisor
