// libvirt's errors as ours.
#pragma once
#include <string_view>

#include "pkg/base/result.hpp"

namespace nodevirt::libvirt {

/// The canonical code of a virErrorNumber.
Code code_of(int vir_error_number);

/// The calling thread's last libvirt error: message "context: libvirt's words". Call it right after the failure.
Error last_error(std::string_view context);

/// Keeps libvirt from printing errors to stderr; once per process, done by Connection::open.
void silence_default_error_printing();

}  // namespace nodevirt::libvirt
