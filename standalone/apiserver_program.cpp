// `nodevirt apiserver`: the API server with the scheduler and the cluster's controllers beside it.
#include <filesystem>

#include "standalone/apiserver/app.hpp"
#include "standalone/programs.hpp"
#include "standalone/scheduler/scheduler.hpp"
#include "standalone/services/endpoints_controller.hpp"
#ifdef NODEVIRT_HAS_VOLUMES
#include "standalone/volumes/volume_controller.hpp"
#endif
#ifdef NODEVIRT_HAS_CONTROLLERS
#include "standalone/controllers/controllers.hpp"
#endif

namespace nodevirt {
namespace {

using Transport = std::shared_ptr<client::Transport>;

Awaitable<void> schedule(Transport transport, StopToken stop) {
  scheduler::Scheduler scheduler(co_await boost::asio::this_coro::executor, client::Client(transport), system_clock());
  co_await scheduler.run(stop);
}

Awaitable<void> keep_endpoints(Transport transport, StopToken stop) {
  services::EndpointsController controller(co_await boost::asio::this_coro::executor, client::Client(transport), system_clock());
  co_await controller.run(stop);
}

#ifdef NODEVIRT_HAS_VOLUMES
Awaitable<void> keep_volumes(std::string data_dir, Transport transport, StopToken stop) {
  volumes::Options options;
  options.data_dir = std::move(data_dir);
  volumes::VolumeController controller(client::Client(transport), system_clock(), options);
  co_await controller.run(stop);
}
#endif

/// --volumes-dir DATA/volumes: the volumes name the folder above it.
std::string data_dir_of(const std::vector<std::string>& args) {
  for (std::size_t i = 0; i + 1 < args.size(); ++i)
    if (args[i] == "--volumes-dir") return std::filesystem::path(args[i + 1]).parent_path();
  return "/var/lib/nodevirt";
}

}  // namespace

int run_apiserver(std::vector<std::string> args) {
  apiserver::Extensions extensions{&schedule, &keep_endpoints};
#ifdef NODEVIRT_HAS_VOLUMES
  const std::string data_dir = data_dir_of(args);
  extensions.push_back([data_dir](Transport transport, StopToken stop) { return keep_volumes(data_dir, std::move(transport), std::move(stop)); });
#endif
  std::vector<apiserver::ServerExtension> on_server;
#ifdef NODEVIRT_HAS_CONTROLLERS
  on_server.push_back(&controllers::run);
#endif
  return apiserver::run(std::move(args), std::move(extensions), std::move(on_server));
}

}  // namespace nodevirt
