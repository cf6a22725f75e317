// Namespaces, owners, services, pods, budgets, quotas, access.
#include <catch2/catch.hpp>

#include "tests/conformance/cluster.hpp"

using namespace nodevirt;
using namespace nodevirt::conformance;

namespace {
const std::string kMaps = "/api/v1/namespaces/default/configmaps";
const std::string kPods = "/api/v1/namespaces/default/pods";
const std::string kServices = "/api/v1/namespaces/default/services";

Json owned(const std::string& name, const Json& owner, bool block = false) {
  auto o = config_map(name);
  o["metadata"]["ownerReferences"] = Json::array({{{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"name", string_at(owner, {"metadata", "name"})},
                                                   {"uid", string_at(owner, {"metadata", "uid"})}, {"blockOwnerDeletion", block}}});
  return o;
}

Json service(const std::string& name, const std::string& type = "ClusterIP") {
  return {{"apiVersion", "v1"}, {"kind", "Service"}, {"metadata", {{"name", name}}},
          {"spec", {{"type", type}, {"selector", {{"a", "b"}}}, {"ports", Json::array({{{"port", 80}}})}}}};
}

void make_ready(Cluster& c, const std::string& name) {
  c.merge(kPods + "/" + name + "/status", {{"status", {{"phase", "Running"}, {"conditions", Json::array({{{"type", "Ready"}, {"status", "True"}}})}}}});
}
}  // namespace

TEST_CASE("owners take their dependents along, in three ways") {
  Cluster c;
  auto owner = c.post(kMaps, config_map("owner"));
  REQUIRE(c.post(kMaps, owned("child", owner.body, true)).status == 201);
  SECTION("background") {
    c.remove(kMaps + "/owner", {{"propagationPolicy", "Background"}});
    CHECK(c.until([&] { return c.get(kMaps + "/child").status == 404; }));
  }
  SECTION("foreground: the owner goes last") {
    auto r = c.remove(kMaps + "/owner", {{"propagationPolicy", "Foreground"}});
    CHECK(r.body["metadata"]["finalizers"] == Json{"foregroundDeletion"});
    CHECK(c.until([&] { return c.get(kMaps + "/owner").status == 404; }));
    CHECK(c.get(kMaps + "/child").status == 404);
  }
  SECTION("orphan") {
    c.remove(kMaps + "/owner", {{"propagationPolicy", "Orphan"}});
    CHECK(c.until([&] { return c.get(kMaps + "/owner").status == 404; }));
    auto child = c.get(kMaps + "/child");
    CHECK(child.status == 200);
    CHECK(!child.body["metadata"].contains("ownerReferences"));
  }
  SECTION("an owner that never was") {
    Json ghost = owner.body;
    ghost["metadata"]["uid"] = "11111111-1111-4111-8111-111111111111";
    REQUIRE(c.post(kMaps, owned("lost", ghost)).status == 201);
    CHECK(c.until([&] { return c.get(kMaps + "/lost").status == 404; }));
  }
}

TEST_CASE("a namespace goes with its contents") {
  Cluster c;
  const std::string spaces = "/api/v1/namespaces";
  REQUIRE(c.post(spaces, {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "n"}}}}).status == 201);
  CHECK(c.until([&] { return c.get(spaces + "/n/serviceaccounts/default").status == 200; }));
  auto held = config_map("held");
  held["metadata"]["finalizers"] = {"example.com/hold"};
  REQUIRE(c.post(spaces + "/n/configmaps", held).status == 201);
  auto r = c.remove(spaces + "/n");
  CHECK(string_at(r.body, {"status", "phase"}) == "Terminating");
  auto refused = c.post(spaces + "/n/configmaps", config_map("late"));
  CHECK(refused.status == 403);
  CHECK(string_at(refused.body["details"]["causes"][0], {"reason"}) == "NamespaceTerminating");
  CHECK(c.until([&] { return !string_at(c.get(spaces + "/n/configmaps/held").body, {"metadata", "deletionTimestamp"}).empty(); }));
  CHECK(c.get(spaces + "/n").status == 200);
  c.merge(spaces + "/n/configmaps/held", {{"metadata", {{"finalizers", nullptr}}}});
  CHECK(c.until([&] { return c.get(spaces + "/n").status == 404; }));
}

TEST_CASE("services get addresses and ports that nobody else has") {
  Cluster c([](apiserver::Options& o) { o.service_cidr = "10.50.0.0/29"; o.node_port_first = 31000; o.node_port_last = 31001; });
  std::set<std::string> ips;
  for (const char* name : {"a", "b", "c"}) {
    auto r = c.post(kServices, service(name));
    REQUIRE(r.status == 201);
    CHECK(ips.insert(string_at(r.body, {"spec", "clusterIP"})).second);
    CHECK(int_at(r.body["spec"]["ports"][0], {"targetPort"}) == 80);
  }
  c.reopen();
  auto taken = service("d");
  taken["spec"]["clusterIP"] = *ips.begin();
  CHECK(c.post(kServices, taken).status == 422);
  auto port = c.post(kServices, service("e", "NodePort"));
  REQUIRE(port.status == 201);
  auto number = int_at(port.body["spec"]["ports"][0], {"nodePort"});
  CHECK((number == 31000 || number == 31001));
  c.remove(kServices + "/a");
  auto kept = c.merge(kServices + "/b", {{"spec", {{"selector", {{"x", "y"}}}}}});
  CHECK(kept.status == 200);
  CHECK(ips.contains(string_at(kept.body, {"spec", "clusterIP"})));
  CHECK(c.merge(kServices + "/b", {{"spec", {{"clusterIP", string_at(kept.body, {"spec", "clusterIP"}) == "10.50.0.6" ? "10.50.0.5" : "10.50.0.6"}}}}).status == 422);
  auto headless = service("h");
  headless["spec"]["clusterIP"] = "None";
  CHECK(string_at(c.post(kServices, headless).body, {"spec", "clusterIP"}) == "None");
}

TEST_CASE("pods: defaults, binding, grace, immutability") {
  Cluster c;
  auto made = c.post(kPods, pod("p"));
  REQUIRE(made.status == 201);
  CHECK(string_at(made.body, {"spec", "restartPolicy"}) == "Always");
  CHECK(string_at(made.body, {"spec", "dnsPolicy"}) == "ClusterFirst");
  CHECK(int_at(made.body, {"spec", "terminationGracePeriodSeconds"}) == 30);
  CHECK(string_at(made.body, {"status", "qosClass"}) == "BestEffort");
  CHECK(string_at(made.body, {"status", "phase"}) == "Pending");
  CHECK(c.merge(kPods + "/p", {{"spec", {{"hostname", "other"}}}}).status == 422);
  Json binding{{"apiVersion", "v1"}, {"kind", "Binding"}, {"metadata", {{"name", "p"}}}, {"target", {{"kind", "Node"}, {"name", "n1"}}}};
  CHECK(c.post(kPods + "/p/binding", binding).status == 201);
  CHECK(c.post(kPods + "/p/binding", binding).status == 409);
  CHECK(c.get(kPods + "?fieldSelector=spec.nodeName%3Dn1").body["items"].size() == 1);
  auto deleting = c.remove(kPods + "/p");
  CHECK(int_at(deleting.body, {"metadata", "deletionGracePeriodSeconds"}) == 30);
  CHECK(c.get(kPods + "/p").status == 200);
  CHECK(c.remove(kPods + "/p", {{"gracePeriodSeconds", 0}}).status == 200);
  CHECK(c.get(kPods + "/p").status == 404);
  REQUIRE(c.post(kPods, pod("q")).status == 201);
  c.remove(kPods + "/q");
  CHECK(c.get(kPods + "/q").status == 404);
  CHECK(c.post("/api/v1/namespaces/default/pods/q/exec", Json::object()).status == 400);
}

TEST_CASE("an eviction respects the budget") {
  Cluster c;
  for (const char* name : {"a", "b"}) {
    auto p = pod(name, "n1");
    p["metadata"]["labels"]["app"] = "x";
    REQUIRE(c.post(kPods, p).status == 201);
    make_ready(c, name);
  }
  const std::string budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
  REQUIRE(c.post(budgets, {{"apiVersion", "policy/v1"}, {"kind", "PodDisruptionBudget"}, {"metadata", {{"name", "b"}}},
                           {"spec", {{"minAvailable", 1}, {"selector", {{"matchLabels", {{"app", "x"}}}}}}}}).status == 201);
  CHECK(c.until([&] { return int_at(c.get(budgets + "/b").body, {"status", "disruptionsAllowed"}) == 1; }));
  Json eviction{{"apiVersion", "policy/v1"}, {"kind", "Eviction"}, {"metadata", {{"name", "a"}, {"namespace", "default"}}}};
  CHECK(c.post(kPods + "/a/eviction", eviction).status == 201);
  CHECK(!string_at(c.get(kPods + "/a").body, {"metadata", "deletionTimestamp"}).empty());
  eviction["metadata"]["name"] = "b";
  auto refused = c.post(kPods + "/b/eviction", eviction);
  CHECK(refused.status == 429);
  CHECK(string_at(refused.body["details"]["causes"][0], {"reason"}) == "DisruptionBudget");
}

TEST_CASE("a quota is a limit") {
  Cluster c;
  const std::string quotas = "/api/v1/namespaces/default/resourcequotas";
  REQUIRE(c.post(quotas, {{"apiVersion", "v1"}, {"kind", "ResourceQuota"}, {"metadata", {{"name", "q"}}}, {"spec", {{"hard", {{"pods", "1"}}}}}}).status == 201);
  REQUIRE(c.post(kPods, pod("a")).status == 201);
  auto refused = c.post(kPods, pod("b"));
  CHECK(refused.status == 403);
  CHECK(refused.message().find("exceeded quota: q") != std::string::npos);
  CHECK(c.until([&] { return string_at(c.get(quotas + "/q").body, {"status", "used", "pods"}) == "1"; }));
}

TEST_CASE("a quota of what pods take and claims hold") {
  Cluster c;
  const std::string quotas = "/api/v1/namespaces/default/resourcequotas", claims = "/api/v1/namespaces/default/persistentvolumeclaims";
  REQUIRE(c.post(quotas, {{"apiVersion", "v1"}, {"kind", "ResourceQuota"}, {"metadata", {{"name", "q"}}},
                          {"spec", {{"hard", {{"requests.cpu", "1"}, {"requests.memory", "100Mi"}, {"requests.storage", "3Gi"}, {"persistentvolumeclaims", "2"},
                                              {"count/configmaps", "2"}}}}}}).status == 201);
  auto sized = [](const std::string& name, const std::string& cpu, const std::string& memory) {
    Json p = pod(name);
    p["spec"]["containers"][0]["resources"]["requests"] = Json{{"cpu", cpu}, {"memory", memory}};
    return p;
  };
  auto unsaid = c.post(kPods, pod("a"));
  CHECK(unsaid.status == 403);
  CHECK(unsaid.message().find("failed quota: q: must specify requests.cpu for: ") != std::string::npos);
  REQUIRE(c.post(kPods, sized("a", "600m", "60Mi")).status == 201);
  auto more = c.post(kPods, sized("b", "600m", "60Mi"));
  CHECK(more.status == 403);
  CHECK(more.message().find("exceeded quota: q, requested: requests.cpu=600m,requests.memory=60Mi, used: requests.cpu=600m,requests.memory=60Mi, "
                            "limited: requests.cpu=1,requests.memory=100Mi") != std::string::npos);
  REQUIRE(c.post(kPods, sized("b", "400m", "40Mi")).status == 201);
  CHECK(c.until([&] {
    auto used = c.get(quotas + "/q").body["status"]["used"];
    return string_at(used, {"requests.cpu"}) == "1" && string_at(used, {"requests.memory"}) == "100Mi";
  }));

  auto claim = [](const std::string& name, const std::string& size) {
    return Json{{"apiVersion", "v1"}, {"kind", "PersistentVolumeClaim"}, {"metadata", {{"name", name}}},
                {"spec", {{"accessModes", Json::array({"ReadWriteOnce"})}, {"resources", {{"requests", {{"storage", size}}}}}}}};
  };
  REQUIRE(c.post(claims, claim("one", "1Gi")).status == 201);
  auto large = c.post(claims, claim("two", "3Gi"));
  CHECK(large.status == 403);
  CHECK(large.message().find("requested: requests.storage=3Gi, used: requests.storage=1Gi, limited: requests.storage=3Gi") != std::string::npos);
  REQUIRE(c.post(claims, claim("two", "1Gi")).status == 201);
  CHECK(c.post(claims, claim("three", "1Mi")).message().find("persistentvolumeclaims=2") != std::string::npos);
  // Freed is free.
  REQUIRE(c.call("DELETE", kPods + "/a?gracePeriodSeconds=0", nullptr).status == 200);
  CHECK(c.until([&] { return c.post(kPods, sized("c", "600m", "60Mi")).status == 201; }));
}

TEST_CASE("access is what roles and bindings give") {
  Cluster c;
  Ask alice{.user = "alice"};
  CHECK(c.call("GET", kMaps, nullptr, alice).status == 403);
  const std::string rbac = "/apis/rbac.authorization.k8s.io/v1";
  REQUIRE(c.post(rbac + "/namespaces/default/rolebindings",
                 {{"apiVersion", "rbac.authorization.k8s.io/v1"}, {"kind", "RoleBinding"}, {"metadata", {{"name", "v"}}},
                  {"roleRef", {{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "ClusterRole"}, {"name", "view"}}},
                  {"subjects", Json::array({{{"kind", "User"}, {"apiGroup", "rbac.authorization.k8s.io"}, {"name", "alice"}}})}}).status == 201);
  CHECK(c.call("GET", kMaps, nullptr, alice).status == 200);
  CHECK(c.call("GET", "/api/v1/namespaces/default/secrets", nullptr, alice).status == 403);
  auto refused = c.call("POST", kMaps, config_map("x"), alice);
  CHECK(refused.status == 403);
  CHECK(refused.message() == "configmaps is forbidden: User \"alice\" cannot create resource \"configmaps\" in API group \"\" in the namespace \"default\"");
  CHECK(c.call("GET", "/api/v1/configmaps", nullptr, alice).status == 403);
  const std::string reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
  Json review{{"apiVersion", "authorization.k8s.io/v1"}, {"kind", "SelfSubjectAccessReview"},
              {"spec", {{"resourceAttributes", {{"verb", "list"}, {"resource", "pods"}, {"namespace", "default"}}}}}};
  auto answer = c.call("POST", reviews, review, alice);
  CHECK(answer.status == 201);
  CHECK(bool_at(answer.body, {"status", "allowed"}));
  review["spec"]["resourceAttributes"]["verb"] = "delete";
  CHECK(!bool_at(c.call("POST", reviews, review, alice).body, {"status", "allowed"}));
}

TEST_CASE("both kinds of events are one store") {
  Cluster c;
  const std::string core = "/api/v1/namespaces/default/events", newer = "/apis/events.k8s.io/v1/namespaces/default/events";
  Json e{{"apiVersion", "v1"}, {"kind", "Event"}, {"metadata", {{"name", "e"}, {"namespace", "default"}}},
         {"involvedObject", {{"kind", "Pod"}, {"name", "p"}, {"namespace", "default"}}}, {"reason", "R"}, {"message", "M"}, {"type", "Normal"}};
  REQUIRE(c.post(core, e).status == 201);
  CHECK(string_at(c.get(newer + "/e").body, {"note"}) == "M");
  CHECK(c.get(core + "?fieldSelector=involvedObject.name%3Dp").body["items"].size() == 1);
  CHECK(c.get(newer + "?fieldSelector=regarding.name%3Dp").body["items"].size() == 1);
  CHECK(c.get(core + "?fieldSelector=involvedObject.name%3Dq").body["items"].empty());
}
