// The fences of all nodes: follows their Leases, and says which guests are known to be dead.
#pragma once
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "pkg/client/client.hpp"
#include "virt-controller/fence/deadline.hpp"
#include "virt-controller/objects.hpp"

namespace nodevirt::virt_controller::fence {

class Fences {
 public:
  Fences(client::Client client, Clock& clock, LeaseInformer& leases);

  /// `changed` is told a node whose pods with a fence are others than before. Before the informer runs.
  void on_change(std::function<void(const std::string& node)> changed);

  /// By what the cache knows; what is to be acted on is confirmed first. For an instance's pods that have not ended:
  /// nothing when one of them has no fence, or there is none.
  std::optional<Clock::Duration> time_left(const std::vector<PodInformer::Ptr>& pods) const;
  /// Whether the server's Leases are those that the time left was counted from.
  Awaitable<Result<bool>> confirm(std::vector<PodInformer::Ptr> pods);
  /// Whether the server's Leases have no entry of any of these pods. Of an instance that asks for a fence, and whose end was
  /// durable before: nothing was started in them, nor will be (virt-handler/node/fence.hpp).
  Awaitable<Result<bool>> confirm_unarmed(std::vector<PodInformer::Ptr> pods);

 private:
  client::Client client_;
  Clock& clock_;
  std::unordered_map<std::string, Renewal> by_node_;
  std::function<void(const std::string&)> changed_;
};

}  // namespace nodevirt::virt_controller::fence
