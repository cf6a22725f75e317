#include "pkg/k8s/status.hpp"

#include <array>

#include <fmt/format.h>

namespace nodevirt::k8s {

namespace {

struct Row {
  std::string_view reason;
  int http;
  Code code;
};

// The first row of an HTTP status is what an answer without a Status body means.
constexpr std::array kRows = {
    Row{"BadRequest", 400, Code::InvalidArgument},
    Row{"Unauthorized", 401, Code::Unauthenticated},
    Row{"Forbidden", 403, Code::PermissionDenied},
    Row{"NotFound", 404, Code::NotFound},
    Row{"MethodNotAllowed", 405, Code::Unimplemented},
    Row{"NotAcceptable", 406, Code::InvalidArgument},
    Row{"Conflict", 409, Code::Aborted},
    Row{"AlreadyExists", 409, Code::AlreadyExists},
    Row{"Expired", 410, Code::OutOfRange},
    Row{"Gone", 410, Code::OutOfRange},
    Row{"RequestEntityTooLarge", 413, Code::InvalidArgument},
    Row{"UnsupportedMediaType", 415, Code::InvalidArgument},
    Row{"Invalid", 422, Code::InvalidArgument},
    Row{"TooManyRequests", 429, Code::ResourceExhausted},
    Row{"InternalError", 500, Code::Internal},
    Row{"ServiceUnavailable", 503, Code::Unavailable},
    Row{"Timeout", 504, Code::DeadlineExceeded},
    Row{"ServerTimeout", 500, Code::Unavailable},
    Row{"StoreReadError", 500, Code::DataLoss},
};

const Row* by_reason(std::string_view reason) {
  for (const auto& row : kRows)
    if (row.reason == reason) return &row;
  return nullptr;
}

const Row* by_http(int status) {
  for (const auto& row : kRows)
    if (row.http == status) return &row;
  return nullptr;
}

// For errors that come from inside a program, without a Status reason.
constexpr std::string_view reason_of(Code code) {
  switch (code) {
    case Code::InvalidArgument: return "BadRequest";
    case Code::DeadlineExceeded: return "Timeout";
    case Code::NotFound: return "NotFound";
    case Code::AlreadyExists: return "AlreadyExists";
    case Code::PermissionDenied: return "Forbidden";
    case Code::ResourceExhausted: return "TooManyRequests";
    case Code::FailedPrecondition: case Code::Aborted: return "Conflict";
    case Code::OutOfRange: return "Expired";
    case Code::Unimplemented: return "MethodNotAllowed";
    case Code::Unavailable: return "ServiceUnavailable";
    case Code::Unauthenticated: return "Unauthorized";
    default: return "InternalError";
  }
}

}  // namespace

int http_status(const Error& error) {
  const Row* row = by_reason(error.reason);
  if (!row) row = by_reason(reason_of(error.code));
  return row ? row->http : 500;
}

Json status_object(const Error& error) {
  const Row* row = by_reason(error.reason);
  std::string reason(row ? row->reason : reason_of(error.code));
  Json out = {{"kind", "Status"}, {"apiVersion", "v1"}, {"metadata", Json::object()}, {"status", "Failure"},
              {"message", error.message}, {"reason", reason}, {"code", http_status(error)}};
  if (error.details && error.details->is_object()) out["details"] = *error.details;
  return out;
}

Error error_of_status(const Json& status) {
  Error e;
  e.reason = string_at(status, {"reason"});
  e.message = string_at(status, {"message"});
  auto http = static_cast<int>(int_at(status, {"code"}, 500));
  const Row* row = by_reason(e.reason);
  if (!row) row = by_http(http);
  if (row) {
    e.code = row->code;
    if (e.reason.empty() || e.reason == "Unknown") e.reason = row->reason;
  } else {
    e.code = http >= 500 ? Code::Internal : http >= 400 ? Code::InvalidArgument : Code::Unknown;
  }
  if (e.message.empty()) e.message = fmt::format("the server answered {} {}", http, e.reason);
  if (const Json* details = find(status, {"details"}); details && details->is_object())
    e.details = std::make_shared<const Json>(*details);
  return e;
}

Error error_of_response(int http, std::string_view body) {
  if (!body.empty() && body.front() == '{') {
    auto parsed = parse_json(body, 64);
    if (parsed.ok() && string_at(*parsed, {"kind"}) == "Status") {
      if (!parsed->contains("code")) (*parsed)["code"] = http;
      return error_of_status(*parsed);
    }
  }
  const Row* row = by_http(http);
  Error e;
  if (row) {
    e.code = row->code;
    e.reason = row->reason;
  } else {
    e.code = http == 502 ? Code::Unavailable : http >= 500 ? Code::Internal : Code::Unknown;
  }
  std::string text(body.substr(0, 200));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  e.message = text.empty() ? fmt::format("the server answered {}", http)
                           : fmt::format("the server answered {}: {}", http, text);
  return e;
}

Error not_found(std::string_view resource, std::string_view name) {
  return {Code::NotFound, "NotFound", fmt::format("{} \"{}\" not found", resource, name)};
}

Error already_exists(std::string_view resource, std::string_view name) {
  return {Code::AlreadyExists, "AlreadyExists", fmt::format("{} \"{}\" already exists", resource, name)};
}

Error conflict(std::string_view resource, std::string_view name, std::string_view why) {
  return {Code::Aborted, "Conflict",
          fmt::format("Operation cannot be fulfilled on {} \"{}\": {}", resource, name, why)};
}

bool is_reason(const Error& error, std::string_view reason) { return error.reason == reason; }

bool is_failed_test(const Error& e) {
  if (!is_reason(e, "Invalid")) return false;
  return !e.details || !e.details->contains("causes") || (*e.details)["causes"].empty();
}

}  // namespace nodevirt::k8s
