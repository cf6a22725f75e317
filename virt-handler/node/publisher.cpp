#include "virt-handler/node/publisher.hpp"

#include <fmt/format.h>

#include "api/names.hpp"
#include "pkg/base/file.hpp"
#include "pkg/base/id.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-handler/node/cpu_labels.hpp"

namespace nodevirt::virt_handler {
namespace {

/// How many instances may use a device that all share.
constexpr const char* kDeviceCount = "1000";
constexpr std::string_view kDevices[] = {api::kKvmDevice, api::kTunDevice, api::kVhostNetDevice};

Json labels_of(const NodeFacts& facts) {
  Json labels = Json::object();
  if (facts.schedulable) labels[std::string(api::kSchedulableLabel)] = *facts.schedulable ? "true" : "false";
  if (facts.kvm) labels[std::string(api::kAcceleratorLabel)] = *facts.kvm ? "kvm" : "tcg";
  if (!facts.cpu_vendor.empty()) labels["cpu-vendor.node.kubevirt.io/" + facts.cpu_vendor] = "true";
  for (const std::string& key : facts.cpu_labels) labels[key] = "true";
  return labels;
}

/// 60 s, stretched by up to 120 %, so that nodes do not beat in step.
Clock::Duration next_heartbeat() {
  unsigned char byte = 0;
  random_bytes(std::span(&byte, 1));
  return std::chrono::milliseconds(60000 + 72000 * byte / 255);
}

}  // namespace

Json node_metadata_patch(const NodeFacts& facts, Clock::WallTime now, const Json& node) {
  Json labels = labels_of(facts);
  if (const Json* old = find(node, {"metadata", "labels"}); old && old->is_object() && !facts.cpu_labels.empty())
    for (const auto& [key, value] : old->items())
      if (is_cpu_label(key) && !labels.contains(key)) labels[key] = nullptr;
  Json annotations{{std::string(api::kHeartbeatAnnotation), format_time(now)}};
  if (!facts.address.empty()) annotations[std::string(api::kHandlerAddressAnnotation)] = facts.address;
  if (!facts.migration_address.empty()) annotations[std::string(kMigrationAddressAnnotation)] = facts.migration_address;
  return Json{{"metadata", {{"labels", std::move(labels)}, {"annotations", std::move(annotations)}}}};
}

Json node_status_patch() {
  Json devices = Json::object();
  for (std::string_view device : kDevices) devices[std::string(device)] = kDeviceCount;
  return Json{{"status", {{"capacity", devices}, {"allocatable", devices}}}};
}

bool node_lacks(const Json& node, const NodeFacts& facts) {
  const Json labels = labels_of(facts);
  for (const auto& [key, value] : labels.items())
    if (string_at(node, {"metadata", "labels", key}) != value) return true;
  if (string_at(node, {"metadata", "annotations", api::kHandlerAddressAnnotation}) != facts.address) return true;
  if (string_at(node, {"metadata", "annotations", kMigrationAddressAnnotation}) != facts.migration_address) return true;
  for (std::string_view device : kDevices)
    for (std::string_view list : {"capacity", "allocatable"})
      if (string_at(node, {"status", list, device}).empty()) return true;
  return false;
}

struct NodePublisher::Impl {
  explicit Impl(Deps d) : deps(std::move(d)) {}
  Deps deps;
  std::shared_ptr<StopSource> wait = std::make_shared<StopSource>();
  bool poked = false;

  Awaitable<Result<void>> publish() {
    NodeFacts facts = deps.facts();
    auto known = deps.node.get(deps.name);
    Json metadata = node_metadata_patch(facts, deps.clock.wall(), known ? known->json() : Json());
    auto labelled = co_await deps.client.patch(k8s::resources::kNodes, "", deps.name, client::PatchType::Merge, metadata);
    if (!labelled.ok()) co_return labelled.error();
    if (!node_lacks(*labelled, facts)) co_return Result<void>{};
    client::WriteOptions options;
    options.subresource = "status";
    Json status = node_status_patch();
    auto offered = co_await deps.client.patch(k8s::resources::kNodes, "", deps.name, client::PatchType::Merge, status, options);
    if (!offered.ok()) co_return offered.error();
    co_return Result<void>{};
  }
};

NodePublisher::NodePublisher(Deps deps) : impl_(std::make_shared<Impl>(std::move(deps))) {
  std::weak_ptr<Impl> weak = impl_;
  impl_->deps.node.on_change([weak](const auto&, const auto& now) {
    auto impl = weak.lock();
    if (!impl || !now) return;
    if (node_lacks(now->json(), impl->deps.facts())) impl->wait->request_stop();
  });
}
NodePublisher::~NodePublisher() = default;

void NodePublisher::poke() {
  impl_->poked = true;
  impl_->wait->request_stop();
}

Awaitable<void> NodePublisher::run(StopToken stop) {
  auto impl = impl_;
  Clock::Duration retry = 100ms;
  while (!stop.stop_requested()) {
    auto wait = std::make_shared<StopSource>();
    impl->wait = wait;
    impl->poked = false;
    auto end = [wait] { wait->request_stop(); };
    std::stop_callback on_stop(stop, end);
    auto published = co_await impl->publish();
    Clock::Duration pause = next_heartbeat();
    if (published.ok()) {
      retry = 100ms;
    } else {
      // The node may not have registered yet.
      if (retry >= 2s) log::warning("publish node {}: {}", impl->deps.name, published.error().message);
      pause = retry;
      retry = std::min<Clock::Duration>(retry * 2, 10s);
    }
    StopToken token = wait->get_token();
    co_await impl->deps.clock.sleep(pause, token);
    // Whoever keeps taking back what we say is not answered faster than this.
    if (published.ok() && !impl->poked) co_await impl->deps.clock.sleep(500ms, stop);
  }
}

std::string cpu_vendor() {
  auto text = read_file("/proc/cpuinfo", 4u << 20);
  if (!text.ok()) return {};
  std::size_t at = text->find("vendor_id");
  if (at == std::string::npos) return {};
  std::size_t colon = text->find(": ", at), end = text->find('\n', at);
  if (colon == std::string::npos || end == std::string::npos || colon > end) return {};
  std::string vendor = text->substr(colon + 2, end - colon - 2);
  bool plain = vendor.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") == std::string::npos;
  return plain ? vendor : std::string();
}

}  // namespace nodevirt::virt_handler
