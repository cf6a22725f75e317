// The system calls that no launcher needs.
#pragma once
#include "pkg/base/file.hpp"

namespace nodevirt::podrunner {

/// A file with the compiled filter (for bwrap --seccomp), at offset 0, close-on-exec. Denied calls get EPERM,
/// clone3 gets ENOSYS (so that the C library falls back to clone, whose flags can be looked at).
Result<Fd> seccomp_filter();

}  // namespace nodevirt::podrunner
