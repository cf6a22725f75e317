// The fields of the API that this version acts on. KubeVirt's schema allows many more: a field that would be
// ignored is refused. A new capability is one line in the table.
#pragma once
#include "pkg/base/json.hpp"
#include "virt-api/admission/cause.hpp"

namespace nodevirt::virt_api {

/// Faults for every field of an instance's spec that is not in the table. `path` stands before the names.
/// Null, false, and empty objects and lists mean nothing and are left alone.
void check_supported_instance_fields(const Json& spec, const std::string& path, Causes& out);
/// The same for a VirtualMachine's spec, without its template's spec.
void check_supported_vm_fields(const Json& spec, const std::string& path, Causes& out);

}  // namespace nodevirt::virt_api
