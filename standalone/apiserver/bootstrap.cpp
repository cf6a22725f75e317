#include "standalone/apiserver/bootstrap.hpp"

#include <arpa/inet.h>

#include <fmt/format.h>

#include "pkg/base/clock.hpp"
#include "pkg/base/log.hpp"
#include "standalone/apiserver/auth/authorizer.hpp"
#include "standalone/apiserver/manifest_loader.hpp"
#include "standalone/apiserver/server.hpp"
#include "standalone/apiserver/server_state.hpp"

namespace nodevirt::apiserver {

namespace {

constexpr auto kOwnServiceCheck = std::chrono::seconds(10);

std::string first_address(const std::string& cidr) {
  in_addr a{};
  if (inet_pton(AF_INET, cidr.substr(0, cidr.find('/')).c_str(), &a) != 1) return "10.96.0.1";
  a.s_addr = htonl(ntohl(a.s_addr) + 1);
  char text[INET_ADDRSTRLEN];
  return inet_ntop(AF_INET, &a, text, sizeof text);
}

Json own_service(const std::string& cidr) {
  return {{"apiVersion", "v1"}, {"kind", "Service"},
          {"metadata", {{"name", "kubernetes"}, {"namespace", "default"}, {"labels", {{"component", "apiserver"}, {"provider", "kubernetes"}}}}},
          {"spec", {{"type", "ClusterIP"}, {"clusterIP", first_address(cidr)},
                    {"ports", Json::array({{{"name", "https"}, {"port", 443}, {"protocol", "TCP"}, {"targetPort", 6443}}})}}}};
}

std::vector<Json> cluster_objects(const Options& options) {
  std::vector<Json> out;
  for (const char* ns : {"default", "kube-system", "kube-public", "kube-node-lease", "kubevirt"})
    out.push_back({{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", ns}}}});
  for (auto& role : default_roles()) out.push_back(std::move(role));
  for (auto [name, value] : {std::pair<const char*, std::int64_t>{"system-cluster-critical", 2000000000}, {"system-node-critical", 2000001000}})
    out.push_back({{"apiVersion", "scheduling.k8s.io/v1"}, {"kind", "PriorityClass"}, {"metadata", {{"name", name}}}, {"value", value},
                   {"description", "Used for system critical pods that must run in the cluster."}});
  out.push_back(own_service(options.service_cidr));
  return out;
}

}  // namespace

Awaitable<void> keep_own_service(std::shared_ptr<client::Transport> transport, std::string service_cidr, StopToken stop) {
  while (!stop.stop_requested()) {
    co_await system_clock().sleep(kOwnServiceCheck, stop);
    if (stop.stop_requested()) break;
    Json service = own_service(service_cidr);
    auto made = co_await ensure(transport, std::move(service), false);
    if (!made.ok()) log::debug("the service kubernetes: {}", made.error().message);  // tried again
    else if (*made) log::info("the service kubernetes was deleted: made again");
  }
}

Awaitable<Result<void>> Server::bootstrap() {
  auto transport = local_transport();
  auto objects = cluster_objects(state_->options);
  for (auto& o : objects) {
    auto done = co_await ensure(transport, std::move(o), false);
    if (!done.ok()) co_return done.error();
  }
  co_return Result<void>();
}

}  // namespace nodevirt::apiserver
