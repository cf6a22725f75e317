// What the controllers share.
#pragma once
#include "pkg/base/clock.hpp"
#include "pkg/client/client.hpp"
#include "pkg/runtime/event_recorder.hpp"
#include "virt-controller/fence/fences.hpp"
#include "virt-controller/objects.hpp"
#include "virt-controller/options.hpp"

namespace nodevirt::virt_controller {

/// Owned by the program; outlives every controller.
struct Context {
  client::Client client;
  Clock& clock;
  Options options;
  runtime::EventRecorder& events;
  KubevirtInformer& machines;     ///< index "claim": NAMESPACE/CLAIM
  KubevirtInformer& instances;    ///< index "claim", index "node"
  PodInformer& pods;              ///< launcher pods; index "instance": uid
  NodeInformer& nodes;
  ClaimInformer& claims;
  fence::Fences& fences;
};

/// A reference to `object` for events.
runtime::ObjectReference reference_to(const Json& object);

}  // namespace nodevirt::virt_controller
