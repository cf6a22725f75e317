// Keeps new guests away from a node whose virt-handler is silent.
#pragma once
#include <string>

#include "virt-controller/context.hpp"

namespace nodevirt::virt_controller::node {

/// Sets the label kubevirt.io/schedulable to false, unless the node has beaten since we last saw it (a failed test).
/// Its virt-handler takes that back as soon as it runs. Nothing is done where the label does not say true.
Awaitable<Result<void>> mark_unschedulable(Context* context, std::string node);

}  // namespace nodevirt::virt_controller::node
