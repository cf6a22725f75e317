// What the mutating webhooks fill in. Pure.
#pragma once
#include "pkg/base/json.hpp"
#include "virt-api/admission/review.hpp"

namespace nodevirt::virt_api {

/// A VirtualMachine that is created gets a firmware UUID, which its guest keeps for good, and its machine type.
Json with_vm_defaults(Json vm);
/// An instance gets everything that is left open: machine type, CPU topology, the pod network, its finalizer.
Json with_vmi_defaults(Json vmi);

AdmissionAnswer mutate_vm(const AdmissionRequest& request);
AdmissionAnswer mutate_vmi(const AdmissionRequest& request);

}  // namespace nodevirt::virt_api
