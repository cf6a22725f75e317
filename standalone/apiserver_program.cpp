// `nodevirt apiserver`: the API server with the scheduler and the cluster's controllers beside it.
#include <filesystem>

#include "pkg/base/log.hpp"
#include "pkg/client/client.hpp"
#include "standalone/apiserver/app.hpp"
#include "standalone/nodes/cidr.hpp"
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

std::string flag_of(const std::vector<std::string>& args, std::string_view flag, std::string fallback) {
  for (std::size_t i = 0; i + 1 < args.size(); ++i)
    if (args[i] == flag) return args[i + 1];
  return fallback;
}

/// The resolvers' address gets a Service of its own, so that no other is ever given it. It has no endpoints:
/// every node answers by itself.
Awaitable<void> reserve_resolver(std::string address, Transport transport, StopToken) {
  Json service = {{"apiVersion", "v1"}, {"kind", "Service"},
                  {"metadata", {{"name", "kube-dns"}, {"namespace", "kube-system"}, {"labels", {{"k8s-app", "kube-dns"}}}}},
                  {"spec", {{"clusterIP", address}, {"ports", Json::array({{{"name", "dns"}, {"port", 53}, {"protocol", "UDP"}},
                                                                           {{"name", "dns-tcp"}, {"port", 53}, {"protocol", "TCP"}}})}}}};
  client::Client api(transport);
  auto known = co_await api.get(k8s::resources::kServices, "kube-system", "kube-dns");
  if (known.ok()) co_return;
  auto made = co_await api.create(k8s::resources::kServices, "kube-system", std::move(service));
  if (!made.ok() && made.error().code != Code::AlreadyExists) log::warning("reserve the resolver's address: {}", made.error().message);
}

/// --volumes-dir DATA/volumes: the volumes name the folder above it.
std::string data_dir_of(const std::vector<std::string>& args) {
  const std::string volumes = flag_of(args, "--volumes-dir", "");
  return volumes.empty() ? "/var/lib/nodevirt" : std::filesystem::path(volumes).parent_path().string();
}

}  // namespace

int run_apiserver(std::vector<std::string> args) {
  apiserver::Extensions extensions{&schedule, &keep_endpoints};
#ifdef NODEVIRT_HAS_VOLUMES
  const std::string data_dir = data_dir_of(args);
  extensions.push_back([data_dir](Transport transport, StopToken stop) { return keep_volumes(data_dir, std::move(transport), std::move(stop)); });
#endif
  if (auto range = nodes::Cidr::parse(flag_of(args, "--service-cidr", "")); range.ok()) {
    const std::string address = range->at(10);
    extensions.push_back([address](Transport transport, StopToken stop) { return reserve_resolver(address, std::move(transport), std::move(stop)); });
  }
  std::vector<apiserver::ServerExtension> on_server;
#ifdef NODEVIRT_HAS_CONTROLLERS
  on_server.push_back(&controllers::run);
#endif
  return apiserver::run(std::move(args), std::move(extensions), std::move(on_server));
}

}  // namespace nodevirt
