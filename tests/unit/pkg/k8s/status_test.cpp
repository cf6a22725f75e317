// The table between HTTP answers and errors, read in both directions.
#include <catch2/catch.hpp>

#include "pkg/k8s/status.hpp"

using namespace nodevirt;

TEST_CASE("an error survives the way over the wire") {
  struct Case { const char* reason; int http; Code code; };
  auto c = GENERATE(values<Case>({
      {"BadRequest", 400, Code::InvalidArgument}, {"Unauthorized", 401, Code::Unauthenticated},
      {"Forbidden", 403, Code::PermissionDenied}, {"NotFound", 404, Code::NotFound},
      {"MethodNotAllowed", 405, Code::Unimplemented}, {"NotAcceptable", 406, Code::InvalidArgument},
      {"Conflict", 409, Code::Aborted}, {"AlreadyExists", 409, Code::AlreadyExists},
      {"Expired", 410, Code::OutOfRange}, {"Gone", 410, Code::OutOfRange},
      {"RequestEntityTooLarge", 413, Code::InvalidArgument}, {"UnsupportedMediaType", 415, Code::InvalidArgument},
      {"Invalid", 422, Code::InvalidArgument}, {"TooManyRequests", 429, Code::ResourceExhausted},
      {"InternalError", 500, Code::Internal}, {"ServiceUnavailable", 503, Code::Unavailable},
      {"Timeout", 504, Code::DeadlineExceeded}, {"ServerTimeout", 500, Code::Unavailable},
  }));
  DYNAMIC_SECTION(c.reason) {
    Error e(c.code, c.reason, "why");
    e.details = std::make_shared<const Json>(Json{{"name", "x"}});
    CHECK(k8s::http_status(e) == c.http);
    Json status = k8s::status_object(e);
    CHECK(status["kind"] == "Status");
    CHECK(status["status"] == "Failure");
    CHECK(status["code"] == c.http);
    Error back = k8s::error_of_response(c.http, status.dump());
    CHECK(back.code == c.code);
    CHECK(back.reason == c.reason);
    CHECK(back.message == "why");
    REQUIRE(back.details);
    CHECK((*back.details)["name"] == "x");
  }
}

TEST_CASE("an error without a Kubernetes reason gets the HTTP status of its code") {
  struct Case { Code code; int http; };
  auto c = GENERATE(values<Case>({{Code::InvalidArgument, 400}, {Code::NotFound, 404}, {Code::AlreadyExists, 409},
                                  {Code::FailedPrecondition, 409}, {Code::PermissionDenied, 403}, {Code::Unavailable, 503},
                                  {Code::Unknown, 500}, {Code::DataLoss, 500}, {Code::Cancelled, 500}}));
  CHECK(k8s::http_status(Error(c.code, "m")) == c.http);
  CHECK(k8s::http_status(Error(c.code, "VMINotExists", "m")) == c.http);
}

TEST_CASE("answers that carry no Status object") {
  struct Case { int http; const char* body; Code code; const char* reason; const char* part; };
  auto c = GENERATE(values<Case>({
      {404, "404 page not found\n", Code::NotFound, "NotFound", "404: 404 page not found"},
      {502, "", Code::Unavailable, "", "502"},
      {409, "{\"kind\":\"Status\",\"reason\":\"AlreadyExists\",\"message\":\"there\"}", Code::AlreadyExists, "AlreadyExists", "there"},
      {409, "{}", Code::Aborted, "Conflict", "409"},
      {418, "{{{{", Code::Unknown, "", "418"},
      {500, "{\"kind\":\"Status\",\"reason\":7,\"message\":[],\"code\":\"x\"}", Code::Internal, "InternalError", "500"},
  }));
  DYNAMIC_SECTION(c.http << " " << c.body) {
    Error e = k8s::error_of_response(c.http, c.body);
    CHECK(e.code == c.code);
    CHECK(e.reason == c.reason);
    CHECK_THAT(e.message, Catch::Contains(c.part));
  }
}

TEST_CASE("a failed test of a JSON patch is told from an invalid object") {
  Error failed = k8s::error_of_response(422, R"({"kind":"Status","reason":"Invalid","code":422,"details":{}})");
  CHECK(k8s::is_failed_test(failed));
  Error invalid = k8s::error_of_response(
      422, R"({"kind":"Status","reason":"Invalid","code":422,"details":{"causes":[{"field":"spec"}]}})");
  CHECK_FALSE(k8s::is_failed_test(invalid));
}
