#include "pkg/base/error.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "pkg/base/check.hpp"

namespace nodevirt {

std::string_view to_string(Code code) {
  static constexpr std::array<std::string_view, 17> names = {
      "OK", "Cancelled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound",
      "AlreadyExists", "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted",
      "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated"};
  auto i = static_cast<std::size_t>(code);
  return i < names.size() ? names[i] : "Unknown";
}

Error Error::with_context(std::string_view context) const {
  Error e = *this;
  e.message = fmt::format("{}: {}", context, message);
  return e;
}

Error errno_error(int value, std::string_view context) {
  Code code = Code::Internal;
  switch (value) {
    case ENOENT: case ESRCH: case ENXIO: code = Code::NotFound; break;
    case EEXIST: case EADDRINUSE: code = Code::AlreadyExists; break;
    case EACCES: case EPERM: code = Code::PermissionDenied; break;
    case ENOSPC: case EDQUOT: case EMFILE: case ENFILE: case ENOMEM: code = Code::ResourceExhausted; break;
    case EINVAL: case ENAMETOOLONG: case ENOTDIR: case EISDIR: code = Code::InvalidArgument; break;
    case ETIMEDOUT: code = Code::DeadlineExceeded; break;
    case ECANCELED: code = Code::Cancelled; break;
    case ECONNREFUSED: case ECONNRESET: case EPIPE: case EHOSTUNREACH: case ENETUNREACH: case EAGAIN:
      code = Code::Unavailable; break;
    default: break;
  }
  return {code, "", fmt::format("{}: {}", context, std::strerror(value))};
}

namespace detail {
void check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "NV_CHECK(%s) failed at %s:%d\n", expression, file, line);
  std::abort();
}
}  // namespace detail

}  // namespace nodevirt
