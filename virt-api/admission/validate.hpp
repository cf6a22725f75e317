// Validation of whole objects. Pure.
#pragma once
#include "pkg/base/json.hpp"
#include "virt-api/admission/review.hpp"

namespace nodevirt::virt_api {

/// The spec of an instance, or of a VM's template; `path` is where it stands.
Causes validate_instance_spec(const Json& spec, const std::string& path);
Causes validate_vm(const Json& vm);
Causes validate_vmi(const Json& vmi);

/// Whether `user` is one of our own programs, which may write what users may not.
bool is_own_program(std::string_view user);

/// The webhooks' decisions.
AdmissionAnswer admit_vm(const AdmissionRequest& request);
AdmissionAnswer admit_vmi_create(const AdmissionRequest& request);
AdmissionAnswer admit_vmi_update(const AdmissionRequest& request);

}  // namespace nodevirt::virt_api
