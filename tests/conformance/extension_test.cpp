// Webhooks, conversion webhooks, aggregated APIs.
#include <catch2/catch.hpp>

#include "tests/conformance/extension_server.hpp"

using namespace nodevirt;
using namespace nodevirt::conformance;

namespace {

const std::string kMaps = "/api/v1/namespaces/default/configmaps";
const std::string kHooks = "/apis/admissionregistration.k8s.io/v1/";

Json hook(const ExtensionServer& s, bool mutating, const std::string& resource = "configmaps") {
  Json one{{"name", "h.example.com"}, {"admissionReviewVersions", {"v1"}}, {"sideEffects", "None"}, {"timeoutSeconds", 2},
           {"clientConfig", {{"url", s.url("/hook")}, {"caBundle", s.ca_bundle()}}},
           {"rules", Json::array({{{"apiGroups", {""}}, {"apiVersions", {"v1"}}, {"operations", {"CREATE", "UPDATE", "DELETE"}}, {"resources", {resource}}}})}};
  return {{"apiVersion", "admissionregistration.k8s.io/v1"}, {"kind", mutating ? "MutatingWebhookConfiguration" : "ValidatingWebhookConfiguration"},
          {"metadata", {{"name", "hooks"}}}, {"webhooks", Json::array({one})}};
}

}  // namespace

TEST_CASE("a mutating webhook changes what is stored") {
  Cluster c;
  ExtensionServer s(c, [](const net::Request& q) {
    return review_answer(q, true, Json::array({{{"op", "add"}, {"path", "/data"}, {"value", {{"added", "yes"}}}}}));
  });
  auto made_hook = c.post(kHooks + "mutatingwebhookconfigurations", hook(s, true));
  INFO(made_hook.text);
  REQUIRE(made_hook.status == 201);
  auto made = c.post(kMaps, config_map("a"));
  INFO(made.text);
  REQUIRE(made.status == 201);
  CHECK(string_at(made.body, {"data", "added"}) == "yes");
  CHECK(string_at(c.get(kMaps + "/a").body, {"data", "added"}) == "yes");
}

TEST_CASE("a validating webhook refuses with its own words") {
  Cluster c;
  ExtensionServer s(c, [](const net::Request& q) {
    auto review = parse_json(q.body);
    bool deletes = string_at(*review, {"request", "operation"}) == "DELETE";
    return review_answer(q, !deletes && string_at(*review, {"request", "object", "data", "ok"}) == "1", nullptr, "not like this");
  });
  auto config = hook(s, false);
  SECTION("asked about everything") {
    REQUIRE(c.post(kHooks + "validatingwebhookconfigurations", config).status == 201);
    auto refused = c.post(kMaps, config_map("a"));
    CHECK(refused.status == 422);
    CHECK(refused.message() == "admission webhook \"h.example.com\" denied the request: not like this");
    CHECK(c.post(kMaps, config_map("a", {{"ok", "1"}})).status == 201);
    CHECK(c.remove(kMaps + "/a").status == 422);
    CHECK(c.post("/api/v1/namespaces/default/secrets", {{"apiVersion", "v1"}, {"kind", "Secret"}, {"metadata", {{"name", "s"}}}}).status == 201);
  }
  SECTION("an object selector narrows it") {
    config["webhooks"][0]["objectSelector"]["matchLabels"]["checked"] = "yes";
    REQUIRE(c.post(kHooks + "validatingwebhookconfigurations", config).status == 201);
    CHECK(c.post(kMaps, config_map("a")).status == 201);
    auto b = config_map("b");
    b["metadata"]["labels"]["checked"] = "yes";
    CHECK(c.post(kMaps, b).status == 422);
  }
  SECTION("a namespace selector too") {
    config["webhooks"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] = "kube-system";
    REQUIRE(c.post(kHooks + "validatingwebhookconfigurations", config).status == 201);
    CHECK(c.post(kMaps, config_map("a")).status == 201);
    CHECK(c.post("/api/v1/namespaces/kube-system/configmaps", config_map("a")).status == 422);
  }
  SECTION("evictions") {
    config["webhooks"][0]["rules"][0]["resources"] = {"pods/eviction"};
    REQUIRE(c.post(kHooks + "validatingwebhookconfigurations", config).status == 201);
    REQUIRE(c.post("/api/v1/namespaces/default/pods", pod("p", "n1")).status == 201);
    Json eviction{{"apiVersion", "policy/v1"}, {"kind", "Eviction"}, {"metadata", {{"name", "p"}}}};
    CHECK(c.post("/api/v1/namespaces/default/pods/p/eviction", eviction).status == 422);
  }
  SECTION("dry run needs a webhook without side effects") {
    config["webhooks"][0]["sideEffects"] = "Some";
    auto made = c.post(kHooks + "validatingwebhookconfigurations", config);
    if (made.status == 201) CHECK(c.post(kMaps + "?dryRun=All", config_map("a")).status == 400);
  }
}

TEST_CASE("a webhook that does not answer: its failure policy decides") {
  Cluster c;
  Json config;
  {
    ExtensionServer s(c, [](const net::Request& q) { return review_answer(q, true); });
    config = hook(s, false);
  }
  REQUIRE(c.post(kHooks + "validatingwebhookconfigurations", config).status == 201);
  auto refused = c.post(kMaps, config_map("a"));
  CHECK(refused.status == 500);
  CHECK(refused.message().find("failed calling webhook \"h.example.com\"") != std::string::npos);
  config["webhooks"][0]["failurePolicy"] = "Ignore";
  auto now = c.get(kHooks + "validatingwebhookconfigurations/hooks");
  config["metadata"]["resourceVersion"] = now.rv();
  REQUIRE(c.put(kHooks + "validatingwebhookconfigurations/hooks", config).status == 200);
  CHECK(c.post(kMaps, config_map("a")).status == 201);
}

TEST_CASE("a conversion webhook serves the other version, to readers and watchers") {
  Cluster c;
  ExtensionServer s(c, [](const net::Request& q) {
    auto review = parse_json(q.body);
    Json objects = (*review)["request"]["objects"];
    auto wanted = string_at(*review, {"request", "desiredAPIVersion"});
    for (auto& o : objects) {
      o["apiVersion"] = wanted;
      o["spec"]["color"] = wanted.ends_with("beta1") ? "red" : "blue";
    }
    net::Response r;
    r.body = dump_json({{"apiVersion", "apiextensions.k8s.io/v1"}, {"kind", "ConversionReview"},
                        {"response", {{"uid", string_at(*review, {"request", "uid"})}, {"result", {{"status", "Success"}}}, {"convertedObjects", objects}}}});
    return r;
  });
  auto d = widget_definition(true);
  d["spec"]["conversion"] = {{"strategy", "Webhook"}, {"webhook", {{"conversionReviewVersions", {"v1"}},
                             {"clientConfig", {{"url", s.url("/convert")}, {"caBundle", s.ca_bundle()}}}}}};
  REQUIRE(c.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", d).status == 201);
  const std::string v1 = "/apis/example.com/v1/namespaces/default/widgets", beta = "/apis/example.com/v1beta1/namespaces/default/widgets";
  REQUIRE(c.post(v1, widget("a", {{"color", "blue"}})).status == 201);
  CHECK(s.paths.empty());
  auto read = c.get(beta + "/a");
  INFO(read.text);
  CHECK(string_at(read.body, {"spec", "color"}) == "red");
  CHECK(string_at(c.get(beta).body["items"][0], {"apiVersion"}) == "example.com/v1beta1");
  Watch w(c, beta + "?watch=1");
  auto e = w.next();
  REQUIRE(e);
  CHECK(string_at(*e, {"object", "spec", "color"}) == "red");
  auto b = widget("b", {{"color", "red"}});
  b["apiVersion"] = "example.com/v1beta1";
  auto made = c.post(beta, b);
  CHECK(made.status == 201);
  CHECK(string_at(made.body, {"apiVersion"}) == "example.com/v1beta1");
  CHECK(string_at(c.get(v1 + "/b").body, {"spec", "color"}) == "blue");
}

TEST_CASE("an aggregated API is discovered, proxied, and its availability told") {
  std::string host_port;
  Cluster c;
  std::vector<std::string> users;
  ExtensionServer s(c, [&users](const net::Request& q) {
    users.emplace_back(q.headers.get("X-Remote-User"));
    net::Response r;
    r.headers.set("Content-Type", "application/json");
    if (q.path() == "/apis/things.example.com/v1")
      r.body = R"({"kind":"APIResourceList","apiVersion":"v1","groupVersion":"things.example.com/v1","resources":[{"name":"things","singularName":"","namespaced":true,"kind":"Thing","verbs":["get"]}]})";
    else
      r.body = R"({"kind":"Thing","path":")" + q.path() + "\"}";
    return r;
  });
  // The Service and its Endpoints say where it is.
  auto port = std::stoi(s.host_port().substr(s.host_port().find(':') + 1));
  REQUIRE(c.post("/api/v1/namespaces/default/services", {{"apiVersion", "v1"}, {"kind", "Service"}, {"metadata", {{"name", "ext"}}},
                 {"spec", {{"ports", Json::array({{{"port", 443}, {"name", "https"}}})}}}}).status == 201);
  REQUIRE(c.post("/api/v1/namespaces/default/endpoints", {{"apiVersion", "v1"}, {"kind", "Endpoints"}, {"metadata", {{"name", "ext"}}},
                 {"subsets", Json::array({{{"addresses", Json::array({{{"ip", "127.0.0.1"}}})}, {"ports", Json::array({{{"name", "https"}, {"port", port}}})}}})}}).status == 201);
  const std::string services = "/apis/apiregistration.k8s.io/v1/apiservices";
  auto made = c.post(services, {{"apiVersion", "apiregistration.k8s.io/v1"}, {"kind", "APIService"}, {"metadata", {{"name", "v1.things.example.com"}}},
                      {"spec", {{"group", "things.example.com"}, {"version", "v1"}, {"groupPriorityMinimum", 100}, {"versionPriority", 10},
                                {"caBundle", s.ca_bundle()}, {"service", {{"namespace", "default"}, {"name", "ext"}}}}}});
  INFO(made.text);
  REQUIRE(made.status == 201);
  CHECK(c.until([&] {
    auto o = c.get(services + "/v1.things.example.com");
    const Json* list = find(o.body, {"status", "conditions"});
    return list && !list->empty() && string_at((*list)[0], {"status"}) == "True";
  }));
  auto proxied = c.get("/apis/things.example.com/v1/namespaces/default/things/x?y=z");
  CHECK(string_at(proxied.body, {"path"}) == "/apis/things.example.com/v1/namespaces/default/things/x");
  CHECK(users.back() == "system:apiserver");
  auto doc = c.call("GET", "/apis", nullptr, {.accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"});
  CHECK(doc.text.find("\"things.example.com\"") != std::string::npos);
  CHECK(c.get("/apis").text.find("\"things.example.com/v1\"") != std::string::npos);
  CHECK(c.call("GET", "/apis/things.example.com/v1/namespaces/default/things/x", nullptr, {.user = "bob"}).status == 403);
}
