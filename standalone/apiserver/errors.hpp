// The errors of the API: an Error whose reason is a Kubernetes Status reason, and back.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "pkg/base/json.hpp"
#include "pkg/base/result.hpp"

namespace nodevirt::apiserver {

/// "pods" or "virtualmachines.kubevirt.io".
std::string qualified(std::string_view group, std::string_view plural);

/// One wrong field; `type` is a cause reason such as FieldValueInvalid, FieldValueRequired,
/// FieldValueForbidden, FieldValueNotSupported, FieldValueDuplicate.
struct Cause {
  std::string field, type, message;
};

Error bad_request(std::string message);
Error unauthorized(std::string message = "Unauthorized");
Error forbidden(std::string message);
Error forbidden(std::string_view group, std::string_view plural, std::string_view name, std::string message);
Error not_found(std::string_view group, std::string_view plural, std::string_view name);
/// The path names no resource that is served.
Error no_such_path();
Error already_exists(std::string_view group, std::string_view plural, std::string_view name);
Error conflict(std::string_view group, std::string_view plural, std::string_view name, std::string message);
Error invalid(std::string_view group, std::string_view kind, std::string_view name, const std::vector<Cause>& causes);
/// With one cause. (GCC 12 cannot compile initializer lists inside a co_await or co_return expression.)
Error invalid_field(std::string_view group, std::string_view kind, std::string_view name, std::string field, std::string type, std::string message);
Error with_cause(Error error, std::string field, std::string type, std::string message);
Error method_not_allowed(std::string message = "the server does not allow this method on the requested resource");
Error not_acceptable(std::string message);
Error unsupported_media_type(std::string message);
/// 410: the history no longer reaches back so far.
Error expired(std::string message);
Error too_many_requests(std::string message, int retry_after_seconds);
Error internal_error(std::string message);
Error unavailable(std::string message);
Error timeout(std::string message);

/// Adds details.causes (each {reason, message, field}).
Error with_causes(Error error, const std::vector<Cause>& causes);

int http_status(const Error& error);
/// The metav1.Status of an error.
Json status_object(const Error& error);
/// The Error in a metav1.Status; `fallback_code` when it carries none.
Error error_from_status(const Json& status, int fallback_code);

}  // namespace nodevirt::apiserver
