// Errors that are expected: what the outside world can cause.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace nodevirt {

/// gRPC's canonical codes; the tables that map HTTP, gRPC and libvirt onto them stand in
/// pkg/k8s/status, pkg/rpc/status and pkg/libvirt/error.
enum class Code : unsigned char {
  OK = 0, Cancelled, Unknown, InvalidArgument, DeadlineExceeded, NotFound, AlreadyExists,
  PermissionDenied, ResourceExhausted, FailedPrecondition, Aborted, OutOfRange, Unimplemented,
  Internal, Unavailable, DataLoss, Unauthenticated,
};

std::string_view to_string(Code code);

/// `message` says what was being done, to what, what went wrong and, where known, what to do.
/// `reason` is one CamelCase word for machines: a Kubernetes Status reason (Conflict, Invalid,
/// Expired ...), a condition reason, or empty.
struct [[nodiscard]] Error {
  Code code = Code::Unknown;
  std::string reason;
  std::string message;
  /// The Kubernetes Status.details of the error where there is one (causes, retryAfterSeconds).
  std::shared_ptr<const nlohmann::json> details;

  Error() = default;
  Error(Code c, std::string r, std::string m)
      : code(c), reason(std::move(r)), message(std::move(m)) {}
  Error(Code c, std::string m) : code(c), message(std::move(m)) {}

  /// The same error with "context: " before its message.
  Error with_context(std::string_view context) const;
};

/// The error of a failed system call: message "context: strerror(errno_value)".
Error errno_error(int errno_value, std::string_view context);

}  // namespace nodevirt
