// The instances of this node: observe, plan, apply, compute the status, patch.
#pragma once
#include <functional>
#include <memory>

#include "pkg/client/client.hpp"
#include "pkg/runtime/controller.hpp"
#include "pkg/runtime/event_recorder.hpp"
#include "pkg/runtime/informer.hpp"
#include "virt-handler/instances/launchers.hpp"

namespace nodevirt::virt_handler {

class InstanceController {
 public:
  struct Deps {
    client::Client client;
    Clock& clock;
    runtime::Informer<InstanceObject>& instances;
    runtime::Informer<PodObject>& pods;
    Launchers& launchers;
    runtime::EventRecorder& events;
    std::string node;
    /// Whether KVM really works here; waits until it is known.
    std::function<Awaitable<bool>()> kvm;
    /// Whether a pod's fence is in force (node/fence.hpp); none: nobody asks for one.
    std::function<bool(const std::string& pod_uid)> fence_entered = {};
  };
  explicit InstanceController(Deps deps);
  ~InstanceController();
  void enqueue(std::string key);
  Awaitable<void> run(StopToken stop);
  /// One pass over one instance; errors are tried again with a growing delay.
  Awaitable<Result<runtime::Action>> reconcile(std::string key);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::virt_handler
