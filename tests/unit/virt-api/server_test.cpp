// virt-api's server whole: who may ask, lifecycle against a store, streams against a virt-handler.
#include "pkg/base/clock.hpp"
#include "pkg/net/websocket.hpp"
#include "tests/support/memory_api.hpp"
#include "tests/unit/pkg/net/net_testing.hpp"
#include "virt-api/server.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_api;
using namespace nodevirt::net::testing;

namespace {

/// A virt-handler: echoes console input; "bye" closes with a reason; PUTs are counted.
Awaitable<void> fake_handler(net::ServerRequest& request, net::ResponseStream& response) {
  if (request.method == "PUT") {
    net::Response out;
    out.status = request.query().get("uid") == "u1" ? 200 : 409;
    auto sent = co_await response.send(out);
    co_return;
  }
  if (request.raw_path().ends_with("/vnc")) {
    net::Response out;
    out.status = 503;
    out.headers.set("Content-Type", "application/json");
    out.body = R"({"kind":"Status","status":"Failure","reason":"ServiceUnavailable","message":"another session is active","code":503})";
    auto sent = co_await response.send(out);
    co_return;
  }
  std::vector<std::string> protocols{"plain.kubevirt.io"};
  auto upgraded = co_await response.upgrade(protocols);
  if (!upgraded.ok()) co_return;
  auto ws = std::move(*upgraded);
  for (;;) {
    auto message = co_await ws->read();
    if (!message.ok() || message->closed) co_return;
    if (message->data == "bye") {
      std::string reason = "another viewer took over";
      co_await ws->close(4001, reason);
      co_return;
    }
    auto sent = co_await ws->write("echo " + message->data);
  }
}

struct World {
  boost::asio::io_context io;
  net::testing::Certificate ca = make_certificate("ca", "");
  net::testing::Certificate api_cert = make_certificate("virt-api", "", &ca, "DNS:virt-api.kubevirt.svc,IP:127.0.0.1");
  net::testing::Certificate handler_cert = make_certificate("virt-handler", "", &ca, "DNS:virt-handler");
  net::testing::Certificate server_client = make_certificate("apiserver-client", "", &ca);
  net::testing::Certificate stranger = make_certificate("stranger", "", &ca);
  std::shared_ptr<nodevirt::testing::MemoryApi> api = std::make_shared<nodevirt::testing::MemoryApi>();
  std::shared_ptr<ServerState> state;
  std::unique_ptr<TestServer> handler, server;

  World() {
    net::HttpServer::Options options;
    options.tls = *net::make_server_context({handler_cert.cert, handler_cert.key, ca.cert, true});
    handler = std::make_unique<TestServer>(io, fake_handler, options);
    client::Client client(api);
    auto tls = net::make_client_context({ca.cert, api_cert.cert, api_cert.key, "virt-handler", false});
    auto handlers = std::make_shared<Handlers>(io.get_executor(), client, *tls);
    state = std::make_shared<ServerState>(ServerState{{client, handlers}, {"apiserver-client"}, false, std::make_shared<bool>(true), {}});
    options.tls = *net::make_server_context({api_cert.cert, api_cert.key, ca.cert, false});
    server = std::make_unique<TestServer>(io, make_handler(state), options);
    api->put(k8s::resources::kNodes, {{"metadata", {{"name", "n1"}, {"annotations", {{"nodevirt.io/virt-handler-address", fmt::format("127.0.0.1:{}", handler->port)}}}}}});
  }
  net::HttpClient client(const net::testing::Certificate* certificate) {
    auto to = server->to();
    to.tls = *net::make_client_context({ca.cert, certificate ? certificate->cert : "", certificate ? certificate->key : "", "", false});
    return net::HttpClient(io.get_executor(), to);
  }
  void put_vm(const std::string& strategy) {
    api->put(k8s::resources::kVirtualMachines, {{"metadata", {{"name", "vm1"}, {"namespace", "default"}}}, {"spec", {{"runStrategy", strategy}}}});
  }
  void put_vmi(const std::string& phase) {
    api->put(k8s::resources::kVirtualMachineInstances, {{"metadata", {{"name", "vm1"}, {"namespace", "default"}, {"uid", "u1"}}},
                                                        {"spec", {{"domain", {{"devices", Json::object()}}}}}, {"status", {{"phase", phase}, {"nodeName", "n1"}}}});
  }
};

constexpr const char* kBase = "/apis/subresources.kubevirt.io/v1/namespaces/default/";

Awaitable<net::Response> ask(net::HttpClient& client, std::string method, std::string target, std::string body) {
  net::Request request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.body = std::move(body);
  auto answer = co_await client.send(request);
  REQUIRE(answer.ok());
  co_return *answer;
}

}  // namespace

TEST_CASE("only the API server may ask; health is for everybody", "[virt-api]") {
  World w;
  struct Case {
    std::string name;
    const net::testing::Certificate* certificate;
    int health, subresource, webhook;
  };
  for (const auto& c : std::vector<Case>{{"nobody", nullptr, 200, 401, 401}, {"a stranger", &w.stranger, 200, 403, 403}, {"the API server", &w.server_client, 200, 200, 400}}) {
    DYNAMIC_SECTION(c.name) {
      auto client = w.client(c.certificate);
      auto body = [](net::HttpClient& h, const Case& want) -> Awaitable<void> {
        for (std::string path : {"/healthz", "/readyz", "/metrics"}) {
          auto health = co_await ask(h, "GET", path, "");
          CHECK(health.status == want.health);
        }
        std::string discovery = "/apis/subresources.kubevirt.io/v1", hook = "/virtualmachines-validate";
        auto sub = co_await ask(h, "GET", discovery, "");
        CHECK(sub.status == want.subresource);
        auto webhook = co_await ask(h, "POST", hook, "{}");
        CHECK(webhook.status == want.webhook);
      };
      run(w.io, body(client, c));
    }
  }
}

TEST_CASE("lifecycle requests change the store and answer as KubeVirt does", "[virt-api]") {
  struct Case {
    std::string name, strategy, phase, path, body;
    int status;
    std::string contains;
  };
  for (const auto& c : std::vector<Case>{
           {"start", "Halted", "-", "virtualmachines/vm1/start", "", 202, ""},
           {"start with a body", "Manual", "-", "virtualmachines/vm1/start", R"({"paused":true})", 202, ""},
           {"start what runs", "Always", "Running", "virtualmachines/vm1/start", "{}", 409, "VM is already running"},
           {"stop", "Always", "Running", "virtualmachines/vm1/stop", "{}", 202, ""},
           {"a bad body", "Always", "Running", "virtualmachines/vm1/stop", "[]", 400, "unmarshal"},
           {"restart", "Always", "Running", "virtualmachines/vm1/restart", "{}", 202, ""},
           {"no such VM", "Always", "Running", "virtualmachines/other/start", "", 404, "virtualmachine.kubevirt.io \\\"other\\\" not found"},
           {"pause", "Always", "Running", "virtualmachineinstances/vm1/pause", "{}", 200, ""},
           {"pause what does not run", "Always", "Scheduled", "virtualmachineinstances/vm1/pause", "{}", 409, "VM is not running"},
           {"unpause what is not paused", "Always", "Running", "virtualmachineinstances/vm1/unpause", "{}", 409, "VMI is not paused"},
           {"freeze", "Always", "Running", "virtualmachineinstances/vm1/freeze", "{}", 409, "not supported"},
           {"unknown", "Always", "Running", "virtualmachineinstances/vm1/explode", "{}", 404, "not supported"},
       }) {
    DYNAMIC_SECTION(c.name) {
      World w;
      w.put_vm(c.strategy);
      if (c.phase != "-") w.put_vmi(c.phase);
      auto client = w.client(&w.server_client);
      auto body = [](net::HttpClient& h, const Case& want) -> Awaitable<void> {
        auto answer = co_await ask(h, "PUT", kBase + want.path, want.body);
        INFO(answer.body);
        CHECK(answer.status == want.status);
        CHECK(answer.body.find(want.contains) != std::string::npos);
        if (want.status >= 400) CHECK(answer.body.find("\"kind\":\"Status\"") != std::string::npos);
      };
      run(w.io, body(client, c));
      if (c.name == "start") CHECK(string_at(*w.api->get(k8s::resources::kVirtualMachines, "default", "vm1"), {"spec", "runStrategy"}) == "Always");
      if (c.name == "restart") CHECK((*w.api->get(k8s::resources::kVirtualMachines, "default", "vm1"))["status"]["stateChangeRequests"].size() == 2);
    }
  }
}

TEST_CASE("a console is passed through, with the reason of its end", "[virt-api]") {
  World w;
  w.put_vm("Always");
  w.put_vmi("Running");
  auto client = w.client(&w.server_client);
  auto body = [](net::HttpClient& h, World& world) -> Awaitable<void> {
    net::Request request;
    request.target = std::string(kBase) + "virtualmachineinstances/vm1/console";
    std::vector<std::string> protocols{"plain.kubevirt.io"};
    auto opened = co_await h.websocket(request, protocols);
    REQUIRE(opened.ok());
    auto& ws = *opened;
    CHECK(ws->subprotocol() == "plain.kubevirt.io");
    CHECK(world.state->metrics.console == 1);
    auto sent = co_await ws->write("hello");
    auto back = co_await ws->read();
    REQUIRE(back.ok());
    CHECK(back->data == "echo hello");
    auto bye = co_await ws->write("bye");
    auto end = co_await ws->read();
    REQUIRE(end.ok());
    CHECK(end->closed);
    CHECK(end->close_code == 4001);
    CHECK(end->close_reason == "another viewer took over");
    ws.reset();
    std::function<bool()> closed = [&world] { return world.state->metrics.console == 0; };
    bool ended = co_await eventually(closed);
    CHECK(ended);
    // A refusal of virt-handler's arrives as it was.
    request.target = std::string(kBase) + "virtualmachineinstances/vm1/vnc";
    auto refused = co_await h.websocket(request, protocols);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().message.find("another session is active") != std::string::npos);
    request.target = std::string(kBase) + "virtualmachineinstances/vm1/portforward/0";
    auto port = co_await h.websocket(request, protocols);
    REQUIRE_FALSE(port.ok());
    CHECK(port.error().code == Code::InvalidArgument);
  };
  run(w.io, body(client, w));
}

TEST_CASE("a console of what does not run is refused with the reason", "[virt-api]") {
  World w;
  w.put_vmi("Scheduling");
  auto client = w.client(&w.server_client);
  auto body = [](net::HttpClient& h) -> Awaitable<void> {
    net::Request request;
    request.target = std::string(kBase) + "virtualmachineinstances/vm1/console";
    std::vector<std::string> protocols{"plain.kubevirt.io"};
    auto refused = co_await h.websocket(request, protocols);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().message == "VMI is not running");
    request.target = std::string(kBase) + "virtualmachineinstances/none/console";
    auto missing = co_await h.websocket(request, protocols);
    REQUIRE_FALSE(missing.ok());
    CHECK(missing.error().code == Code::NotFound);
  };
  run(w.io, body(client));
}
