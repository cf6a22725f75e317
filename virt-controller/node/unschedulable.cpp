#include "virt-controller/node/unschedulable.hpp"

#include "api/names.hpp"
#include "pkg/k8s/json_patch.hpp"
#include "pkg/k8s/status.hpp"

namespace nodevirt::virt_controller::node {

Awaitable<Result<void>> mark_unschedulable(Context* context, std::string name) {
  auto node = context->nodes.get(name);
  if (!node) co_return Result<void>();
  auto label = node->meta.labels.find(std::string(api::kSchedulableLabel));
  if (label == node->meta.labels.end() || label->second != "true") co_return Result<void>();
  Json patch = Json::array();
  std::string heartbeat_path = "/metadata/annotations/" + k8s::escape_json_pointer(api::kHeartbeatAnnotation);
  std::string label_path = "/metadata/labels/" + k8s::escape_json_pointer(api::kSchedulableLabel);
  patch.push_back(Json{{"op", "test"}, {"path", heartbeat_path}, {"value", node->heartbeat()}});
  patch.push_back(Json{{"op", "replace"}, {"path", label_path}, {"value", "false"}});
  auto done = co_await context->client.patch(k8s::resources::kNodes, "", name, client::PatchType::Json, patch);
  if (!done.ok() && !k8s::is_not_found(done.error())) co_return done.error().with_context("mark node " + name + " unschedulable");
  co_return Result<void>();
}

}  // namespace nodevirt::virt_controller::node
