#include "pkg/libvirt/error.hpp"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

namespace nodevirt::libvirt {

Code code_of(int number) {
  switch (number) {
    case VIR_ERR_OK: return Code::OK;
    case VIR_ERR_NO_DOMAIN:
    case VIR_ERR_NO_NETWORK:
    case VIR_ERR_NO_STORAGE_POOL:
    case VIR_ERR_NO_STORAGE_VOL:
    case VIR_ERR_NO_DOMAIN_METADATA: return Code::NotFound;
    case VIR_ERR_DOM_EXIST: return Code::AlreadyExists;
    case VIR_ERR_OPERATION_INVALID:
    case VIR_ERR_AGENT_UNRESPONSIVE:
    case VIR_ERR_AGENT_UNSYNCED:
    case VIR_ERR_RESOURCE_BUSY: return Code::FailedPrecondition;
    case VIR_ERR_OPERATION_TIMEOUT: return Code::DeadlineExceeded;
    case VIR_ERR_OPERATION_ABORTED: return Code::Aborted;
    case VIR_ERR_OPERATION_DENIED:
    case VIR_ERR_ACCESS_DENIED:
    case VIR_ERR_AUTH_FAILED:
    case VIR_ERR_AUTH_CANCELLED: return Code::PermissionDenied;
    case VIR_ERR_INVALID_ARG:
    case VIR_ERR_INVALID_DOMAIN:
    case VIR_ERR_XML_ERROR:
    case VIR_ERR_XML_DETAIL:
    case VIR_ERR_XML_INVALID_SCHEMA: return Code::InvalidArgument;
    case VIR_ERR_NO_SUPPORT:
    case VIR_ERR_CONFIG_UNSUPPORTED:
    case VIR_ERR_OPERATION_UNSUPPORTED:
    case VIR_ERR_ARGUMENT_UNSUPPORTED: return Code::Unimplemented;
    case VIR_ERR_NO_MEMORY: return Code::ResourceExhausted;
    case VIR_ERR_INVALID_CONN:
    case VIR_ERR_NO_CONNECT:
    case VIR_ERR_RPC:
    case VIR_ERR_SYSTEM_ERROR: return Code::Unavailable;
    case VIR_ERR_INTERNAL_ERROR:
    case VIR_ERR_OPERATION_FAILED: return Code::Internal;
    default: return Code::Unknown;
  }
}

Error last_error(std::string_view context) {
  const virError* e = virGetLastError();
  if (!e || e->code == VIR_ERR_OK) return {Code::Unknown, "", fmt::format("{}: libvirt gave no reason", context)};
  // What libvirt's client has to say of its own connection: the daemon is gone.
  bool connection = e->domain == VIR_FROM_RPC && e->code == VIR_ERR_INTERNAL_ERROR;
  return {connection ? Code::Unavailable : code_of(e->code), "", fmt::format("{}: {}", context, e->message ? e->message : "libvirt gave no reason")};
}

void silence_default_error_printing() {
  virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
}

}  // namespace nodevirt::libvirt
