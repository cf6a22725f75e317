#include "virt-handler/migration/other_half.hpp"

#include "api/names.hpp"
#include "pkg/k8s/status.hpp"

namespace nodevirt::virt_handler::migration {

bool node_is_dead(const Json& node, Clock::WallTime now) {
  auto beat = parse_time(string_at(node, {"metadata", "annotations", api::kHeartbeatAnnotation}));
  return beat.ok() && now - *beat > kDeadNode;
}

Awaitable<Result<std::string>> why_gone(client::Client client, std::string ns, std::string pod, std::string node, Clock::WallTime now) {
  auto there = co_await client.get(k8s::resources::kPods, ns, pod);
  if (!there.ok() && !k8s::is_not_found(there.error())) co_return there.error();
  if (!there.ok()) co_return std::string("whose pod is gone");
  std::string phase = string_at(*there, {"status", "phase"});
  if (phase == "Succeeded" || phase == "Failed") co_return std::string("whose pod has ended");
  auto its_node = co_await client.get(k8s::resources::kNodes, "", node);
  if (!its_node.ok() && !k8s::is_not_found(its_node.error())) co_return its_node.error();
  if (!its_node.ok()) co_return std::string("which is gone");
  if (node_is_dead(*its_node, now)) co_return std::string("which does not answer");
  co_return std::string();
}

}  // namespace nodevirt::virt_handler::migration
