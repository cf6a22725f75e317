#include "standalone/apiserver/errors.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace nodevirt::apiserver {

namespace {

struct Row {
  std::string_view reason;
  int http;
  Code code;
};
// The first row of a status is the one that a status without a reason is turned into.
constexpr Row kReasons[] = {
    {"BadRequest", 400, Code::InvalidArgument},
    {"Unauthorized", 401, Code::Unauthenticated},
    {"Forbidden", 403, Code::PermissionDenied},
    {"NotFound", 404, Code::NotFound},
    {"MethodNotAllowed", 405, Code::Unimplemented},
    {"NotAcceptable", 406, Code::InvalidArgument},
    {"Conflict", 409, Code::Aborted},
    {"AlreadyExists", 409, Code::AlreadyExists},
    {"Expired", 410, Code::OutOfRange},
    {"Gone", 410, Code::OutOfRange},
    {"RequestEntityTooLarge", 413, Code::InvalidArgument},
    {"UnsupportedMediaType", 415, Code::InvalidArgument},
    {"Invalid", 422, Code::InvalidArgument},
    {"TooManyRequests", 429, Code::ResourceExhausted},
    {"InternalError", 500, Code::Internal},
    {"ServiceUnavailable", 503, Code::Unavailable},
    {"Timeout", 504, Code::DeadlineExceeded},
    {"ServerTimeout", 500, Code::Unavailable},
};

const Row* by_reason(std::string_view reason) {
  for (const auto& row : kReasons) if (row.reason == reason) return &row;
  return nullptr;
}

const Row* by_http(int code) {
  for (const auto& row : kReasons) if (row.http == code) return &row;
  return nullptr;
}

Error make(std::string_view reason, std::string message, Json details = nullptr) {
  const Row* row = by_reason(reason);
  Error e(row->code, std::string(reason), std::move(message));
  if (!details.is_null()) e.details = std::make_shared<const Json>(std::move(details));
  return e;
}

Json details_of(std::string_view group, std::string_view kind, std::string_view name) {
  Json d = Json::object();
  if (!name.empty()) d["name"] = name;
  if (!group.empty()) d["group"] = group;
  if (!kind.empty()) d["kind"] = kind;
  return d;
}

Json causes_json(const std::vector<Cause>& causes) {
  Json list = Json::array();
  for (const auto& c : causes) {
    Json one{{"message", c.message}};
    if (!c.type.empty()) one["reason"] = c.type;
    if (!c.field.empty()) one["field"] = c.field;
    list.push_back(std::move(one));
  }
  return list;
}

}  // namespace

std::string qualified(std::string_view group, std::string_view plural) {
  return group.empty() ? std::string(plural) : fmt::format("{}.{}", plural, group);
}

Error bad_request(std::string m) { return make("BadRequest", std::move(m)); }
Error unauthorized(std::string m) { return make("Unauthorized", std::move(m)); }
Error forbidden(std::string m) { return make("Forbidden", std::move(m)); }
Error forbidden(std::string_view group, std::string_view plural, std::string_view name, std::string m) {
  auto text = name.empty() ? fmt::format("{} is forbidden: {}", qualified(group, plural), m)
                           : fmt::format("{} \"{}\" is forbidden: {}", qualified(group, plural), name, m);
  return make("Forbidden", std::move(text), details_of(group, plural, name));
}
Error not_found(std::string_view group, std::string_view plural, std::string_view name) {
  return make("NotFound", fmt::format("{} \"{}\" not found", qualified(group, plural), name), details_of(group, plural, name));
}
Error no_such_path() { return make("NotFound", "the server could not find the requested resource", Json::object()); }
Error already_exists(std::string_view group, std::string_view plural, std::string_view name) {
  return make("AlreadyExists", fmt::format("{} \"{}\" already exists", qualified(group, plural), name), details_of(group, plural, name));
}
Error conflict(std::string_view group, std::string_view plural, std::string_view name, std::string m) {
  return make("Conflict", fmt::format("Operation cannot be fulfilled on {} \"{}\": {}", qualified(group, plural), name, m),
              details_of(group, plural, name));
}
Error invalid(std::string_view group, std::string_view kind, std::string_view name, const std::vector<Cause>& all) {
  // Checks on several levels may find the same; it is told once.
  std::vector<Cause> causes;
  for (const auto& c : all)
    if (std::none_of(causes.begin(), causes.end(), [&](const Cause& o) { return o.field == c.field && o.message == c.message; })) causes.push_back(c);
  std::string list;
  for (const auto& c : causes) {
    if (!list.empty()) list += ", ";
    list += c.field.empty() ? c.message : fmt::format("{}: {}", c.field, c.message);
  }
  if (causes.size() > 1) list = "[" + list + "]";
  auto details = details_of(group, kind, name);
  details["causes"] = causes_json(causes);
  return make("Invalid", fmt::format("{} \"{}\" is invalid: {}", qualified(group, kind), name, list), std::move(details));
}
Error invalid_field(std::string_view group, std::string_view kind, std::string_view name, std::string field, std::string type, std::string message) {
  return invalid(group, kind, name, {{std::move(field), std::move(type), std::move(message)}});
}
Error with_cause(Error error, std::string field, std::string type, std::string message) {
  return with_causes(std::move(error), {{std::move(field), std::move(type), std::move(message)}});
}
Error method_not_allowed(std::string m) { return make("MethodNotAllowed", std::move(m), Json::object()); }
Error not_acceptable(std::string m) { return make("NotAcceptable", std::move(m)); }
Error unsupported_media_type(std::string m) { return make("UnsupportedMediaType", std::move(m)); }
Error expired(std::string m) { return make("Expired", std::move(m)); }
Error too_many_requests(std::string m, int seconds) {
  Json d = Json::object();
  if (seconds > 0) d["retryAfterSeconds"] = seconds;
  return make("TooManyRequests", std::move(m), std::move(d));
}
Error internal_error(std::string m) { return make("InternalError", "Internal error occurred: " + m,
                                                  Json{{"causes", Json::array({Json{{"message", m}}})}}); }
Error unavailable(std::string m) { return make("ServiceUnavailable", std::move(m)); }
Error timeout(std::string m) { return make("Timeout", std::move(m)); }

Error with_causes(Error error, const std::vector<Cause>& causes) {
  Json d = error.details ? *error.details : Json::object();
  d["causes"] = causes_json(causes);
  error.details = std::make_shared<const Json>(std::move(d));
  return error;
}

int http_status(const Error& error) {
  if (const Row* row = by_reason(error.reason)) return row->http;
  for (const auto& row : kReasons) if (row.code == error.code) return row.http;
  return error.code == Code::FailedPrecondition ? 409 : 500;
}

Json status_object(const Error& error) {
  int code = http_status(error);
  std::string reason = error.reason;
  if (reason.empty()) {
    const Row* row = by_http(code);
    reason = row ? std::string(row->reason) : "InternalError";
  }
  Json s{{"kind", "Status"}, {"apiVersion", "v1"}, {"metadata", Json::object()}, {"status", "Failure"},
         {"message", error.message}, {"reason", reason}, {"code", code}};
  if (error.details) s["details"] = *error.details;
  return s;
}

Error error_from_status(const Json& status, int fallback_code) {
  int code = int(int_at(status, {"code"}, fallback_code));
  std::string reason = string_at(status, {"reason"});
  const Row* row = by_reason(reason);
  if (!row) row = by_http(code);
  Error e(row ? row->code : Code::Internal, reason.empty() && row ? std::string(row->reason) : reason,
          string_at(status, {"message"}, "unknown error"));
  if (const Json* d = find(status, {"details"}); d && d->is_object()) e.details = std::make_shared<const Json>(*d);
  return e;
}

}  // namespace nodevirt::apiserver
