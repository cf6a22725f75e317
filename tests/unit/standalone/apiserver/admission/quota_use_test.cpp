// What counts against which key of a ResourceQuota.
#include <catch2/catch.hpp>

#include "standalone/apiserver/admission/quota_use.hpp"

using namespace nodevirt;
using namespace nodevirt::apiserver;

namespace {
const Json& pod() {
  static const Json p = parse_json(R"({"spec":{"overhead":{"memory":"1Mi"},"priorityClassName":"high",
    "initContainers":[{"name":"i","resources":{"requests":{"cpu":"2"}}}],
    "containers":[{"name":"a","resources":{"requests":{"cpu":"100m","memory":"64Mi"},"limits":{"memory":"128Mi"}}},
                  {"name":"b","resources":{"limits":{"cpu":"1","memory":"64Mi"}}}]}})").value();
  return p;
}
const Json& claim() {
  static const Json c = parse_json(R"({"spec":{"storageClassName":"local","resources":{"requests":{"storage":"10Gi"}}}})").value();
  return c;
}
const Json& service() {
  static const Json s = parse_json(R"({"spec":{"type":"NodePort","ports":[{"port":1},{"port":2}]}})").value();
  return s;
}
}  // namespace

TEST_CASE("what one object uses of a quota", "[quota]") {
  struct Case { std::string key, id; const Json* object; std::string want; };
  for (const Case& c : {
           Case{"pods", "pods", &pod(), "1"}, Case{"count/pods", "pods", &pod(), "1"},
           Case{"cpu", "pods", &pod(), "2"},                       // an init container takes more than all others
           Case{"requests.cpu", "pods", &pod(), "2"}, Case{"limits.cpu", "pods", &pod(), "1"},
           Case{"requests.memory", "pods", &pod(), "129Mi"},       // 64 + 64 (b's limit) + overhead
           Case{"limits.memory", "pods", &pod(), "193Mi"}, Case{"requests.storage", "pods", &pod(), "0"},
           Case{"persistentvolumeclaims", "persistentvolumeclaims", &claim(), "1"},
           Case{"requests.storage", "persistentvolumeclaims", &claim(), "10Gi"},
           Case{"local.storageclass.storage.k8s.io/requests.storage", "persistentvolumeclaims", &claim(), "10Gi"},
           Case{"shared.storageclass.storage.k8s.io/requests.storage", "persistentvolumeclaims", &claim(), "0"},
           Case{"local.storageclass.storage.k8s.io/persistentvolumeclaims", "persistentvolumeclaims", &claim(), "1"},
           Case{"services", "services", &service(), "1"}, Case{"services.nodeports", "services", &service(), "2"},
           Case{"services.loadbalancers", "services", &service(), "0"},
           Case{"count/virtualmachines.kubevirt.io", "virtualmachines.kubevirt.io", &pod(), "1"},
           Case{"count/virtualmachines.kubevirt.io", "pods", &pod(), "0"}, Case{"example.org/none", "pods", &pod(), "0"}}) {
    DYNAMIC_SECTION(c.key << " of " << c.id) { CHECK(quota_text(c.key, quota_use(c.key, c.id, *c.object)) == c.want); }
  }
  Json done = pod();
  done["status"]["phase"] = "Succeeded";
  CHECK(quota_use("cpu", "pods", done).zero());
  CHECK(quota_use("pods", "pods", done).zero());
  CHECK_FALSE(quota_use("count/pods", "pods", done).zero());
}

TEST_CASE("a quota of cpu or memory wants every container to say", "[quota]") {
  CHECK(quota_unsaid("requests.cpu", pod()).empty());             // a limit is a request, too
  CHECK(quota_unsaid("limits.cpu", pod()) == std::vector<std::string>{"a", "i"});
  CHECK(quota_unsaid("memory", pod()) == std::vector<std::string>{"i"});
  CHECK(quota_unsaid("pods", pod()).empty());
}

TEST_CASE("a quota's scopes select pods", "[quota]") {
  struct Case { std::string spec; bool want; };
  for (const Case& c : {
           Case{R"({})", true}, Case{R"({"scopes":["NotBestEffort"]})", true}, Case{R"({"scopes":["BestEffort"]})", false},
           Case{R"({"scopes":["NotTerminating","NotBestEffort"]})", true}, Case{R"({"scopes":["Terminating"]})", false}, Case{R"({"scopes":["Nonsense"]})", false},
           Case{R"({"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"In","values":["high","higher"]}]}})", true},
           Case{R"({"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"NotIn","values":["high"]}]}})", false},
           Case{R"({"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"Exists"}]}})", true},
           Case{R"({"scopeSelector":{"matchExpressions":[{"scopeName":"BestEffort","operator":"Exists"}]}})", false}}) {
    DYNAMIC_SECTION(c.spec) { CHECK(quota_selects(parse_json(c.spec).value(), "pods", pod()) == c.want); }
  }
  CHECK_FALSE(quota_selects(parse_json(R"({"scopes":["NotBestEffort"]})").value(), "services", service()));
  CHECK(quota_selects(Json::object(), "services", service()));
}
