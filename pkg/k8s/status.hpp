// The one table between HTTP answers (status line and metav1.Status body) and Error.
#pragma once
#include <string>
#include <string_view>

#include "pkg/base/json.hpp"

namespace nodevirt::k8s {

/// The HTTP status of an error: its reason decides where it is known, its code otherwise.
int http_status(const Error& error);

/// The metav1.Status object of an error: status Failure, message, reason, details, code.
Json status_object(const Error& error);

/// The error of an answer that is not 2xx. `body` may be anything; a Status object in it gives reason,
/// message and details, other text is quoted shortly.
Error error_of_response(int http_status, std::string_view body);

/// The error of a Status object that came inside a watch stream (an ERROR event).
Error error_of_status(const Json& status);

// Constructors with the message that kube-apiserver would give.
Error not_found(std::string_view resource, std::string_view name);
Error already_exists(std::string_view resource, std::string_view name);
Error conflict(std::string_view resource, std::string_view name, std::string_view why);

bool is_reason(const Error& error, std::string_view reason);
inline bool is_not_found(const Error& e) { return e.code == Code::NotFound; }
inline bool is_already_exists(const Error& e) { return is_reason(e, "AlreadyExists"); }
/// A lost race: another writer was first (Conflict), or a JSON patch's `test` did not hold (Invalid with
/// 422 and no causes, as kube-apiserver answers it).
inline bool is_conflict(const Error& e) { return is_reason(e, "Conflict"); }
bool is_failed_test(const Error& e);
inline bool is_expired(const Error& e) { return is_reason(e, "Expired") || is_reason(e, "Gone"); }

}  // namespace nodevirt::k8s
