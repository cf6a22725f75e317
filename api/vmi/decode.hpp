// The decoder's parts; what callers use is in api/vmi/instance.hpp.
#pragma once
#include "api/vmi/field_reader.hpp"
#include "api/vmi/instance.hpp"

namespace nodevirt::api {

DomainSpec decode_domain(const FieldReader& domain);
Devices decode_devices(const FieldReader& devices);
Volume decode_volume(const FieldReader& volume);
Network decode_network(const FieldReader& network);
InstanceStatus decode_status(const FieldReader& status);

}  // namespace nodevirt::api
