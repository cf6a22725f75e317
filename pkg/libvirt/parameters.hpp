// libvirt's typed parameters as ours.
#pragma once
#include "pkg/libvirt/domain.hpp"

struct _virTypedParameter;

namespace nodevirt::libvirt {

Parameters to_parameters(const _virTypedParameter* params, int count);

}  // namespace nodevirt::libvirt
