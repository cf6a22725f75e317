// One call is one request: its method, path, query, type and body; and its errors say what the server said.
#include <catch2/catch.hpp>

#include "pkg/client/client.hpp"
#include "tests/support/scripted_transport.hpp"

using namespace nodevirt;
using namespace nodevirt::client;
using namespace nodevirt::testing;
namespace res = k8s::resources;

namespace {

using Call = std::function<Awaitable<Result<Json>>(Client)>;

struct Outcome {
  net::Request request;
  std::optional<Result<Json>> result;
};

Awaitable<void> run(Call call, std::shared_ptr<ScriptedTransport> transport, Outcome* out) {
  Awaitable<Result<Json>> pending = call(Client(transport));
  out->result = co_await std::move(pending);
}

Outcome answer(Call call, Result<net::Response> response) {
  boost::asio::io_context io;
  auto transport = std::make_shared<ScriptedTransport>();
  transport->on_send = [&](const net::Request&) { return response; };
  Outcome out;
  spawn(io.get_executor(), run(call, transport, &out), "call");
  settle(io);
  REQUIRE(out.result.has_value());
  if (!transport->requests.empty()) out.request = transport->requests[0];
  return out;
}

const net::Response kEmpty = json_answer(200, Json::object());

}  // namespace

TEST_CASE("calls and their requests") {
  struct Case { const char* name; Call call; const char *method, *target, *type; };
  std::vector<Case> cases = {
      {"get", [](Client c) { return c.get(res::kPods, "n", "p"); }, "GET", "/api/v1/namespaces/n/pods/p", ""},
      {"get at cluster scope", [](Client c) { return c.get(res::kNodes, "", "x"); }, "GET", "/api/v1/nodes/x", ""},
      {"list everywhere", [](Client c) { return c.list(res::kVirtualMachines, ""); }, "GET", "/apis/kubevirt.io/v1/virtualmachines", ""},
      {"list some", [](Client c) { ListOptions o; o.label_selector = "a=b"; o.limit = 5; return c.list(res::kPods, "n", o); },
       "GET", "/api/v1/namespaces/n/pods?labelSelector=a%3Db&limit=5", ""},
      {"create", [](Client c) { return c.create(res::kPods, "n", Json{{"a", 1}}); }, "POST", "/api/v1/namespaces/n/pods", "application/json"},
      {"create dry", [](Client c) { WriteOptions o; o.dry_run = true; return c.create(res::kPods, "n", Json::object(), o); },
       "POST", "/api/v1/namespaces/n/pods?dryRun=All", "application/json"},
      {"binding", [](Client c) { return c.create_subresource(res::kPods, "n", "p", "binding", Json::object()); },
       "POST", "/api/v1/namespaces/n/pods/p/binding", "application/json"},
      {"replace status", [](Client c) { WriteOptions o; o.subresource = "status"; return c.replace(res::kPods, "n", "p", Json::object(), o); },
       "PUT", "/api/v1/namespaces/n/pods/p/status", "application/json"},
      {"JSON patch", [](Client c) { return c.patch(res::kPods, "n", "p", PatchType::Json, Json::array()); },
       "PATCH", "/api/v1/namespaces/n/pods/p", "application/json-patch+json"},
      {"merge patch", [](Client c) { return c.patch(res::kPods, "n", "p", PatchType::Merge, Json::object()); },
       "PATCH", "/api/v1/namespaces/n/pods/p", "application/merge-patch+json"},
      {"strategic merge patch", [](Client c) { return c.patch(res::kPods, "n", "p", PatchType::StrategicMerge, Json::object()); },
       "PATCH", "/api/v1/namespaces/n/pods/p", "application/strategic-merge-patch+json"},
      {"apply", [](Client c) { WriteOptions o; o.field_manager = "me"; o.force = true; return c.patch(res::kPods, "n", "p", PatchType::Apply, Json::object(), o); },
       "PATCH", "/api/v1/namespaces/n/pods/p?fieldManager=me&force=true", "application/apply-patch+yaml"},
      {"delete", [](Client c) { return c.remove(res::kPods, "n", "p"); }, "DELETE", "/api/v1/namespaces/n/pods/p", "application/json"},
      {"a hostile name stays in its segment", [](Client c) { return c.get(res::kPods, "n", "../../secrets?x=y#z"); },
       "GET", "/api/v1/namespaces/n/pods/..%2F..%2Fsecrets%3Fx%3Dy%23z", ""},
      {"a name of dots", [](Client c) { return c.get(res::kPods, "n", ".."); }, "GET", "/api/v1/namespaces/n/pods/%2E%2E", ""},
  };
  for (auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      auto out = answer(c.call, kEmpty);
      CHECK(out.result->ok());
      CHECK(out.request.method == c.method);
      CHECK(out.request.target == c.target);
      CHECK(out.request.headers.get("Content-Type") == c.type);
    }
  }
}

TEST_CASE("what a deletion carries") {
  auto out = answer([](Client c) {
    DeleteOptions o;
    o.propagation = "Background";
    o.grace_period_seconds = 0;
    o.uid = "u";
    return c.remove(res::kPods, "n", "p", o);
  }, kEmpty);
  Json body = Json::parse(out.request.body);
  CHECK(body["propagationPolicy"] == "Background");
  CHECK(body["gracePeriodSeconds"] == 0);
  CHECK(body["preconditions"]["uid"] == "u");
}

TEST_CASE("errors") {
  auto get = [](Client c) { return c.get(res::kPods, "n", "p"); };
  auto refused = answer(get, error_answer(k8s::not_found("pods", "p")));
  REQUIRE_FALSE(refused.result->ok());
  CHECK(refused.result->error().reason == "NotFound");
  auto broken = answer(get, Error(Code::Unavailable, "connection refused"));
  CHECK(broken.result->error().code == Code::Unavailable);
  CHECK_THAT(broken.result->error().message, Catch::Contains("GET /api/v1/namespaces/n/pods/p"));
  net::Response junk;
  junk.body = "<html>";
  CHECK(answer(get, junk).result->error().code == Code::Internal);
}

TEST_CASE("an empty name never becomes the whole collection") {
  for (Call call : {Call([](Client c) { return c.get(res::kPods, "n", ""); }), Call([](Client c) { return c.remove(res::kPods, "n", ""); }),
                    Call([](Client c) { return c.patch(res::kPods, "n", "", PatchType::Merge, Json::object()); })}) {
    auto out = answer(call, kEmpty);
    CHECK_FALSE(out.result->ok());
    CHECK(out.request.target == "/");  // nothing was sent
  }
}
