#include <catch2/catch.hpp>

#include "standalone/scheduler/schedule.hpp"

using namespace nodevirt;
using namespace nodevirt::scheduler;

namespace {

/// Fills in what every test would repeat: names come from the text.
std::shared_ptr<const PodView> pod(const std::string& text) {
  Json j = parse_json(text).value();
  j["metadata"]["namespace"] = string_at(j, {"metadata", "namespace"}, "default");
  return std::make_shared<const PodView>(PodView::decode(j).value());
}

std::shared_ptr<const NodeView> node(const std::string& name, const std::string& more = "{}") {
  Json j = parse_json(more).value();
  j["metadata"]["name"] = name;
  j["metadata"]["labels"]["kubernetes.io/hostname"] = name;
  if (!find(j, {"status", "allocatable"})) j["status"]["allocatable"] = Json{{"cpu", "4"}, {"memory", "1Gi"}, {"pods", "10"}};
  return std::make_shared<const NodeView>(NodeView::decode(j).value());
}

Snapshot two_nodes() {
  Snapshot s;
  s.nodes = {node("node1"), node("node2", R"({"metadata":{"labels":{"disk":"ssd"}}})")};
  return s;
}

const char* kSmall = R"({"metadata":{"name":"p","labels":{"app":"a"}},"spec":{"containers":[{"resources":{"requests":{"memory":"100Mi"}}}]}})";

}  // namespace

TEST_CASE("what keeps a pod from a node is said as kube-scheduler says it", "[scheduler]") {
  struct Case { std::string name, node, spec, want; };
  const std::vector<Case> cases{
      {"memory", "{}", R"("containers":[{"resources":{"requests":{"memory":"2Gi"}}}])", "0/1 nodes are available: 1 Insufficient memory."},
      {"cpu and memory", "{}", R"("containers":[{"resources":{"requests":{"memory":"2Gi","cpu":"5"}}}])",
       "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."},
      {"a limit stands for the request", "{}", R"("containers":[{"resources":{"limits":{"memory":"2Gi"}}}])", "0/1 nodes are available: 1 Insufficient memory."},
      {"init containers need room before the rest", "{}", R"("initContainers":[{"resources":{"requests":{"memory":"2Gi"}}}],"containers":[{}])",
       "0/1 nodes are available: 1 Insufficient memory."},
      {"device that the node has not", "{}", R"("containers":[{"resources":{"limits":{"devices.kubevirt.io/kvm":"1"}}}])",
       "0/1 nodes are available: 1 Insufficient devices.kubevirt.io/kvm."},
      {"pods", R"({"status":{"allocatable":{"cpu":"4","memory":"1Gi","pods":"0"}}})", R"("containers":[{}])", "0/1 nodes are available: 1 Too many pods."},
      {"cordoned", R"({"spec":{"unschedulable":true}})", R"("containers":[{}])", "0/1 nodes are available: 1 node(s) were unschedulable."},
      {"taint", R"({"spec":{"taints":[{"key":"k","value":"v","effect":"NoSchedule"}]}})", R"("containers":[{}])",
       "0/1 nodes are available: 1 node(s) had untolerated taint {k: v}."},
      {"node selector", "{}", R"("nodeSelector":{"disk":"ssd"},"containers":[{}])",
       "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."},
      {"node affinity without terms matches nothing", "{}",
       R"("affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{}]}}},"containers":[{}])",
       "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."},
      {"missing claim", "{}", R"("volumes":[{"persistentVolumeClaim":{"claimName":"c"}}],"containers":[{}])",
       "0/1 nodes are available: persistentvolumeclaim \"c\" not found."},
  };
  for (const Case& c : cases) {
    DYNAMIC_SECTION(c.name) {
      Snapshot s;
      s.nodes = {node("node1", c.node)};
      auto d = schedule(*pod(R"({"metadata":{"name":"p"},"spec":{)" + c.spec + "}}"), s);
      CHECK(d.node.empty());
      CHECK(d.message == c.want);
    }
  }
  CHECK(schedule(*pod(kSmall), Snapshot{}).message == "no nodes available to schedule pods");
}

TEST_CASE("a pod goes where it fits", "[scheduler]") {
  struct Case { std::string name, spec, want; };
  const std::vector<Case> cases{
      {"no wish: by name when equal", R"("containers":[{}])", "node1"},
      {"node selector", R"("nodeSelector":{"disk":"ssd"},"containers":[{}])", "node2"},
      {"required affinity by field",
       R"("affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":[{"key":"metadata.name","operator":"In","values":["node2"]}]}]}}},"containers":[{}])",
       "node2"},
      {"terms are alternatives",
       R"("affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"nope","operator":"Exists"}]},{"matchExpressions":[{"key":"disk","operator":"In","values":["ssd"]}]}]}}},"containers":[{}])",
       "node2"},
      {"preferred affinity",
       R"("affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":10,"preference":{"matchExpressions":[{"key":"disk","operator":"Exists"}]}}]}},"containers":[{}])",
       "node2"},
  };
  for (const Case& c : cases) {
    DYNAMIC_SECTION(c.name) { CHECK(schedule(*pod(R"({"metadata":{"name":"p"},"spec":{)" + c.spec + "}}"), two_nodes()).node == c.want); }
  }
}

TEST_CASE("what others use is not there any more", "[scheduler]") {
  Snapshot s;
  s.nodes = {node("node1")};
  auto big = pod(R"({"metadata":{"name":"big"},"spec":{"containers":[{"resources":{"requests":{"memory":"1000Mi"}}}]}})");
  s.pods = {{big, "node1"}};
  CHECK(schedule(*pod(kSmall), s).message == "0/1 nodes are available: 1 Insufficient memory.");
  s.pods.clear();
  CHECK(schedule(*pod(kSmall), s).node == "node1");
}

TEST_CASE("equal pods are spread", "[scheduler]") {
  Snapshot s = two_nodes();
  s.pods = {{pod(kSmall), "node1"}};
  CHECK(schedule(*pod(kSmall), s).node == "node2");
}

TEST_CASE("tolerations", "[scheduler]") {
  struct Case { std::string name; Toleration t; bool want; };
  const Taint taint{"k", "v", "NoSchedule"};
  for (const Case& c : {Case{"equal", {"k", "Equal", "v", ""}, true}, Case{"other value", {"k", "Equal", "w", ""}, false},
                        Case{"exists", {"k", "Exists", "", ""}, true}, Case{"other effect", {"k", "Exists", "", "NoExecute"}, false},
                        Case{"everything", {"", "Exists", "", ""}, true}, Case{"empty key needs Exists", {"", "Equal", "", ""}, false}}) {
    DYNAMIC_SECTION(c.name) { CHECK(tolerates({c.t}, taint) == c.want); }
  }
  CHECK_FALSE(tolerates({}, taint));
}

TEST_CASE("pods that want or shun each other", "[scheduler]") {
  Snapshot s = two_nodes();
  s.pods = {{pod(kSmall), "node1"}};
  auto wish = [](const std::string& kind, const std::string& app, const std::string& own = "x") {
    return pod(R"({"metadata":{"name":"q","labels":{"app":")" + own + R"("}},"spec":{"affinity":{")" + kind +
               R"(":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"kubernetes.io/hostname","labelSelector":{"matchLabels":{"app":")" + app +
               R"("}}}]}},"containers":[{}]}})");
  };
  CHECK(schedule(*wish("podAffinity", "a"), s).node == "node1");
  CHECK(schedule(*wish("podAntiAffinity", "a"), s).node == "node2");
  CHECK(schedule(*wish("podAffinity", "nobody"), s).message == "0/2 nodes are available: 2 node(s) didn't match pod affinity rules.");
  CHECK_FALSE(schedule(*wish("podAffinity", "me", "me"), s).node.empty());   // the first of a group

  SECTION("who is there already may object") {
    s.pods = {{wish("podAntiAffinity", "a"), "node1"}, {wish("podAntiAffinity", "a"), "node2"}};
    CHECK(schedule(*pod(kSmall), s).message == "0/2 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules.");
  }
  SECTION("another namespace is not meant") {
    s.pods = {{pod(R"({"metadata":{"name":"o","namespace":"other","labels":{"app":"a"}},"spec":{"containers":[{}]}})"), "node1"}};
    CHECK(schedule(*wish("podAffinity", "a"), s).node.empty());
  }
}

TEST_CASE("host ports are had once per node", "[scheduler]") {
  auto with_port = pod(R"({"metadata":{"name":"h"},"spec":{"containers":[{"ports":[{"hostPort":80,"containerPort":80}]}]}})");
  Snapshot s = two_nodes();
  s.pods = {{with_port, "node1"}};
  CHECK(schedule(*with_port, s).node == "node2");
  s.pods.push_back({with_port, "node2"});
  CHECK(schedule(*with_port, s).message == "0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports.");
}

TEST_CASE("volumes decide where a pod can be", "[scheduler]") {
  Snapshot s = two_nodes();
  auto consumer = pod(R"({"metadata":{"name":"p"},"spec":{"volumes":[{"persistentVolumeClaim":{"claimName":"c"}}],"containers":[{}]}})");
  auto claim = [&](const std::string& text) { s.claims["default/c"] = std::make_shared<const ClaimView>(ClaimView::decode(parse_json(text).value()).value()); };
  auto cls = [&](const std::string& mode) {
    s.classes["k"] = std::make_shared<const ClassView>(ClassView::decode(Json{{"metadata", {{"name", "k"}}}, {"volumeBindingMode", mode}}).value());
  };
  const std::string unbound = R"({"metadata":{"name":"c","namespace":"default"},"spec":{"storageClassName":"k"},"status":{"phase":"Pending"}})";

  SECTION("bound: where the volume is") {
    claim(R"({"metadata":{"name":"c","namespace":"default"},"spec":{"storageClassName":"k","volumeName":"v"},"status":{"phase":"Bound"}})");
    s.volumes["v"] = std::make_shared<const VolumeView>(VolumeView::decode(parse_json(
        R"({"metadata":{"name":"v"},"spec":{"nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kubernetes.io/hostname","operator":"In","values":["node2"]}]}]}}}})").value()).value());
    auto d = schedule(*consumer, s);
    CHECK(d.node == "node2");
    CHECK(d.claims_to_place.empty());
  }
  SECTION("unbound and immediate: not yet") {
    claim(unbound);
    cls("Immediate");
    CHECK(schedule(*consumer, s).message == "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.");
  }
  SECTION("unbound and waiting: the choice is told to the claim, and kept") {
    claim(unbound);
    cls("WaitForFirstConsumer");
    CHECK(schedule(*consumer, s).claims_to_place == std::vector<std::string>{"default/c"});
    claim(R"({"metadata":{"name":"c","namespace":"default","annotations":{"volume.kubernetes.io/selected-node":"node2"}},"spec":{"storageClassName":"k"},"status":{"phase":"Pending"}})");
    CHECK(schedule(*consumer, s).node == "node2");
  }
}

TEST_CASE("topology spread", "[scheduler]") {
  Snapshot s = two_nodes();
  auto member = pod(R"({"metadata":{"name":"p","labels":{"app":"a"}},"spec":{"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"kubernetes.io/hostname","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"app":"a"}}}],"containers":[{}]}})");
  s.pods = {{member, "node2"}};
  CHECK(reasons_against(*member, *s.nodes[1], s) == std::vector<std::string>{"node(s) didn't match pod topology spread constraints"});
  CHECK(reasons_against(*member, *s.nodes[0], s).empty());
}

TEST_CASE("hostile objects are read or refused, never more", "[scheduler]") {
  for (const char* text : {"{}", R"({"spec":[]})", R"({"spec":{"containers":{"a":1},"tolerations":[1,"x",null],"volumes":7}})",
                           R"({"spec":{"affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[null,5]}}}})",
                           R"({"spec":{"containers":[{"resources":{"requests":{"memory":"lots"}}}]}})"}) {
    DYNAMIC_SECTION(text) {
      auto p = PodView::decode(parse_json(text).value());
      if (p.ok()) schedule(*p, two_nodes());
    }
  }
}
