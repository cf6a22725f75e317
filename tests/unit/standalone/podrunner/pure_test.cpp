#include <catch2/catch.hpp>

#include "pkg/base/file.hpp"
#include "standalone/podrunner/environment.hpp"
#include "standalone/podrunner/node_agent.hpp"
#include "standalone/podrunner/pod_directory.hpp"
#include "standalone/podrunner/pod_status.hpp"
#include "standalone/podrunner/probe.hpp"
#include "standalone/podrunner/sandbox.hpp"
#include "standalone/podrunner/sandbox_command.hpp"
#include "standalone/podrunner/support.hpp"
#include "standalone/podrunner/volume_files.hpp"
#include "standalone/podrunner/volumes.hpp"

using namespace nodevirt;
using namespace nodevirt::podrunner;

namespace {

const char* kPod = R"json({"metadata":{"namespace":"ns","name":"virt-launcher-a","uid":"u1","resourceVersion":"5","labels":{"kubevirt.io":"virt-launcher"},
  "annotations":{"kubevirt.io/domain":"a"}},
 "spec":{"nodeName":"n1","restartPolicy":"Never","securityContext":{"runAsUser":107,"fsGroup":107},"readinessGates":[{"conditionType":"kubevirt.io/virtual-machine-unpaused"}],
  "containers":[{"name":"compute","image":"launcher","command":["/opt/nodevirt/bin/virt-launcher-monitor"],"args":["--name","$(NAME)"],
   "env":[{"name":"NAME","value":"a"},{"name":"TWICE","value":"$(NAME)-$$(NAME)-$(NONE)"},{"name":"IP","valueFrom":{"fieldRef":{"fieldPath":"status.podIP"}}},
          {"name":"DOMAIN","valueFrom":{"fieldRef":{"fieldPath":"metadata.annotations['kubevirt.io/domain']"}}},
          {"name":"SECRET","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}},{"name":"MEM","valueFrom":{"resourceFieldRef":{"resource":"limits.memory","divisor":"1Mi"}}}],
   "resources":{"requests":{"cpu":"100m","memory":"256Mi"},"limits":{"memory":"512Mi"}},
   "volumeMounts":[{"name":"sockets","mountPath":"/var/run/kubevirt/sockets"}]}],
  "volumes":[{"name":"sockets","emptyDir":{}},{"name":"s","secret":{"secretName":"s"}}]},"status":{"phase":"Pending"}})json";

PodView view(const std::string& patch = "{}") {
  Json pod = Json::parse(kPod);
  pod.merge_patch(Json::parse(patch));
  return PodView::decode(pod).value();
}

std::string words(const std::vector<std::string>& argv) {
  std::string out;
  for (const auto& w : argv) out += (out.empty() ? "" : w.starts_with("--") || w == "--" ? "\n" : " ") + w;
  return out;
}

const Json* condition(const Json& status, const std::string& type) {
  for (const auto& c : status.at("conditions"))
    if (c.at("type") == type) return &c;
  return nullptr;
}

}  // namespace

TEST_CASE("the sandbox' command line") {
  SandboxSpec spec;
  spec.hostname = "virt-launcher-a";
  spec.etc_dir = "/pods/u1/etc";
  spec.program_dir = "/usr/local/lib/nodevirt";
  spec.binds = {{"/pods/u1/private", "/var/run/kubevirt-private", false},
                {"/volumes/pv1", "/var/run/kubevirt-private/vmi-disks/root/", false},
                {"/images/x", "/var/run/kubevirt/container-disks/boot", true},
                {"/caps", "/var/lib/kubevirt/qemu-capabilities", true}};
  spec.devices = {{"/pods/u1/devices/kvm", "/dev/kvm", false}, {"/pods/u1/devices/net-tun", "/dev/net/tun", false}};
  spec.host_etc = {"ld.so.cache"};
  spec.root_links = {"bin", "lib64"};
  spec.groups = {107};
  spec.hold_fd = 4;
  spec.seccomp_fd = 5;
  spec.command = {"/opt/nodevirt/bin/virt-launcher-monitor", "--name", "a"};
  const std::string want = R"(/usr/bin/bwrap
--unshare-pid
--unshare-ipc
--unshare-uts
--unshare-cgroup-try
--as-pid-1
--hostname virt-launcher-a
--json-status-fd 3
--block-fd 4
--seccomp 5
--ro-bind /usr /usr
--symlink usr/bin /bin
--symlink usr/lib64 /lib64
--proc /proc
--dev /dev
--perms 1777
--tmpfs /dev/shm
--ro-bind /sys /sys
--perms 1777
--tmpfs /tmp
--perms 0755
--tmpfs /run
--perms 0755
--tmpfs /var
--symlink ../run /var/run
--perms 1777
--dir /var/tmp
--perms 0755
--dir /var/lib
--ro-bind /pods/u1/etc /etc
--ro-bind /etc/ld.so.cache /etc/ld.so.cache
--perms 0755
--dir /opt
--perms 0755
--dir /opt/nodevirt
--ro-bind /usr/local/lib/nodevirt /opt/nodevirt/bin
--dev-bind /pods/u1/devices/kvm /dev/kvm
--perms 0755
--dir /dev/net
--dev-bind /pods/u1/devices/net-tun /dev/net/tun
--bind /pods/u1/private /run/kubevirt-private
--perms 0755
--dir /run/kubevirt
--perms 0755
--dir /run/kubevirt/container-disks
--ro-bind /images/x /run/kubevirt/container-disks/boot
--perms 0755
--dir /run/kubevirt-private/vmi-disks
--bind /volumes/pv1 /run/kubevirt-private/vmi-disks/root
--perms 0755
--dir /var/lib/kubevirt
--ro-bind /caps /var/lib/kubevirt/qemu-capabilities
--chdir /
-- /usr/bin/setpriv
--reuid 107
--regid 107
--groups 107
--bounding-set=-all
--inh-caps=-all
--no-new-privs
-- /opt/nodevirt/bin/virt-launcher-monitor
--name a)";
  // Mount points of one depth keep the pod's order.
  const auto got = words(sandbox_argv(spec));
  INFO(got);
  CHECK(got.size() == want.size());
  CHECK(got.find("--bind /pods/u1/private /run/kubevirt-private\n") < got.find("--bind /volumes/pv1"));
  CHECK(got.starts_with(want.substr(0, want.find("--bind /pods"))));
  CHECK(got.ends_with(want.substr(want.find("--chdir"))));
}

TEST_CASE("places in a sandbox") {
  CHECK(sandbox_path("/var/run/kubevirt/sockets/") == "/run/kubevirt/sockets");
  CHECK(sandbox_path("/var/run") == "/run");
  CHECK(sandbox_path("/var/runner") == "/var/runner");
  CHECK(sandbox_path("/a//b/./c") == "/a/b/c");
}

TEST_CASE("what bwrap tells") {
  CHECK(parse_sandbox_status("").init == 0);
  auto s = parse_sandbox_status("{ \"child-pid\": 42, \"pid-namespace\": 1 }\n");
  CHECK(s.init == 42);
  CHECK_FALSE(s.exit_code);
  s = parse_sandbox_status("{ \"child-pid\": 42 }\n{ \"exit-code\": 137 }\n");
  CHECK(s.exit_code == 137);
  CHECK_FALSE(parse_sandbox_status("{ \"child-pid\": 42 }\n{ \"exit-co").exit_code);
  CHECK(parse_sandbox_status("rubbish\n[1]\n").init == 0);
}

TEST_CASE("environment and command line") {
  const auto pod = view();
  Objects objects{{{"Secret", "s"}, Json::parse(R"({"data":{"k":"dmFsdWU="}})")}};
  CHECK(referenced_objects(pod) == std::set<ObjectName>{{"Secret", "s"}});
  auto env = environment(pod, pod.containers[0], objects, {"n1", "10.0.0.2", "192.0.2.1"});
  REQUIRE(env.ok());
  const auto has = [&](const std::string& e) { return std::find(env->begin(), env->end(), e) != env->end(); };
  CHECK(has("NAME=a"));
  CHECK(has("TWICE=a-$(NAME)-$(NONE)"));
  CHECK(has("IP=10.0.0.2"));
  CHECK(has("DOMAIN=a"));
  CHECK(has("SECRET=value"));
  CHECK(has("MEM=512"));
  CHECK(needs_pod_ip(pod.containers[0]));
  CHECK_FALSE(needs_pod_ip(ContainerView{}));
  auto missing = environment(pod, pod.containers[0], {}, {"n1", "10.0.0.2", "192.0.2.1"});
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().reason == "CreateContainerConfigError");
  CHECK(missing.error().message == "secret \"s\" not found");
  CHECK(expand("$(A)b$$(A)$(", {{"A", "x"}}) == "xb$(A)$(");
}

TEST_CASE("which pods are run") {
  struct Case {
    std::string name, patch, reason;
  };
  const Case cases[] = {
      {"a launcher", "{}", ""},
      {"another image", R"({"spec":{"containers":[{"name":"c","image":"nginx"}]}})", "UnsupportedImage"},
      {"init containers", R"({"spec":{"initContainers":[{"name":"i","image":"launcher"}]}})", "UnsupportedPod"},
      {"host network", R"({"spec":{"hostNetwork":true}})", "UnsupportedPod"},
      {"restarts", R"({"spec":{"restartPolicy":"Always"}})", "UnsupportedPod"},
      {"root", R"({"spec":{"securityContext":{"runAsUser":0}}})", "UnsupportedPod"},
      {"privileged", R"({"spec":{"containers":[{"name":"c","image":"launcher","command":["x"],"securityContext":{"privileged":true}}]}})", "UnsupportedPod"},
      {"exec probe", R"({"spec":{"containers":[{"name":"c","image":"launcher","command":["x"],"readinessProbe":{"exec":{"command":["x"]}}}]}})", "UnsupportedPod"},
      {"tcp probe", R"({"spec":{"containers":[{"name":"c","image":"launcher","command":["x"],"readinessProbe":{"tcpSocket":{"port":22}}}]}})", ""},
      {"a mount of nothing", R"({"spec":{"volumes":[]}})", "UnsupportedPod"},
      {"a way out", R"({"spec":{"containers":[{"name":"c","image":"launcher","command":["x"],"volumeMounts":[{"name":"sockets","mountPath":"/a/../../b"}]}]}})", "UnsupportedPod"},
  };
  for (const auto& c : cases)
    DYNAMIC_SECTION(c.name) {
      const auto r = unsupported(view(c.patch), "launcher");
      CHECK((r ? r->reason : "") == c.reason);
    }
}

TEST_CASE("what is left of a node") {
  const auto pod = view();
  const auto other = view(R"({"metadata":{"uid":"u2"},"spec":{"containers":[{"name":"c","image":"launcher","resources":{"requests":{"cpu":"950m","memory":"1Gi"}}}]}})");
  const Allocatable node{api::Quantity::of(1), api::Quantity::of(std::int64_t(2) << 30), 2};
  CHECK_FALSE(does_not_fit(pod, {}, node));
  CHECK(does_not_fit(pod, {&other}, node)->reason == "OutOfcpu");
  CHECK(does_not_fit(pod, {&pod, &pod}, node)->reason == "OutOfpods");
  CHECK(does_not_fit(pod, {}, {api::Quantity::of(1), api::Quantity::of(1 << 20), 10})->reason == "OutOfmemory");
}

TEST_CASE("pod status") {
  PodFacts facts;
  facts.host_ip = "192.0.2.1";
  facts.start_time = "2026-01-01T00:00:00Z";
  const std::string now = "2026-01-02T00:00:00Z";
  SECTION("being made") {
    facts.container.message = "why it takes long";
    const auto s = compute_status(view(), facts, now);
    CHECK(s["phase"] == "Pending");
    CHECK(s["containerStatuses"][0]["state"]["waiting"]["reason"] == "ContainerCreating");
    CHECK((*condition(s, "Ready"))["status"] == "False");
    CHECK((*condition(s, "PodReadyToStartContainers"))["status"] == "False");
  }
  SECTION("running, with a readiness gate") {
    facts.network_ready = true;
    facts.pod_ip = "10.0.0.2";
    facts.container = {ContainerFacts::State::Running, "", "", 0, now, "", true, true, "nodevirt://u1"};
    auto s = compute_status(view(), facts, now);
    CHECK(s["phase"] == "Running");
    CHECK(s["podIPs"] == Json::parse(R"([{"ip":"10.0.0.2"}])"));
    CHECK(s["qosClass"] == "Burstable");
    CHECK((*condition(s, "ContainersReady"))["status"] == "True");
    CHECK((*condition(s, "Ready"))["reason"] == "ReadinessGatesNotReady");
    const auto open = view(R"({"status":{"conditions":[{"type":"kubevirt.io/virtual-machine-unpaused","status":"True"},{"type":"ContainersReady","status":"True","lastTransitionTime":"2026-01-01T12:00:00Z"}]}})");
    s = compute_status(open, facts, now);
    CHECK((*condition(s, "Ready"))["status"] == "True");
    CHECK((*condition(s, "ContainersReady"))["lastTransitionTime"] == "2026-01-01T12:00:00Z");
    CHECK(condition(s, "kubevirt.io/virtual-machine-unpaused") == nullptr);
  }
  struct Case {
    int code;
    std::string phase, ready_reason;
  };
  for (const auto& c : {Case{0, "Succeeded", "PodCompleted"}, {143, "Failed", "PodFailed"}})
    DYNAMIC_SECTION("ended with " << c.code) {
      facts.container = {ContainerFacts::State::Terminated, "Error", "last words", c.code, now, now, false, false, ""};
      const auto s = compute_status(view(), facts, now);
      CHECK(s["phase"] == c.phase);
      CHECK(s["containerStatuses"][0]["state"]["terminated"]["exitCode"] == c.code);
      CHECK((*condition(s, "Ready"))["reason"] == c.ready_reason);
    }
  SECTION("refused") {
    facts.failed_reason = "UnsupportedImage";
    facts.failed_message = "no";
    const auto s = compute_status(view(), facts, now);
    CHECK(s["phase"] == "Failed");
    CHECK(s["reason"] == "UnsupportedImage");
    CHECK_FALSE(s.contains("containerStatuses"));
  }
  SECTION("only differences are written") {
    const auto s = compute_status(view(), facts, now);
    Json current = s;
    current.erase("reason");
    current.erase("message");
    for (auto& c : current["conditions"]) {
      if (c["message"].is_null()) c.erase("message");
      c.erase("lastProbeTime");
    }
    current["conditions"].push_back(Json{{"type", "other"}, {"status", "True"}});
    CHECK_FALSE(status_differs(current, s));
    current["phase"] = "Running";
    CHECK(status_differs(current, s));
    CHECK(status_differs(Json::object(), s));
  }
}

TEST_CASE("quality of service") {
  CHECK(qos_class(view()) == "Burstable");
  CHECK(qos_class(view(R"({"spec":{"containers":[{"name":"c","image":"x"}]}})")) == "BestEffort");
  CHECK(qos_class(view(R"({"spec":{"containers":[{"name":"c","image":"x","resources":{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"1","memory":"1Gi"}}}]}})")) == "Guaranteed");
}

TEST_CASE("probes count before they judge") {
  ProbeView probe;
  probe.failure = 3, probe.success = 2;
  ProbeState s(true);
  CHECK_FALSE(s.record(probe, false));
  CHECK_FALSE(s.record(probe, false));
  CHECK_FALSE(s.record(probe, true));
  CHECK_FALSE(s.record(probe, false));
  CHECK_FALSE(s.record(probe, false));
  CHECK(s.record(probe, false));
  CHECK_FALSE(s.value());
  CHECK_FALSE(s.record(probe, true));
  CHECK(s.record(probe, true));
}

TEST_CASE("resolv.conf") {
  Options options;
  options.cluster_dns = "10.96.0.10";
  CHECK(resolv_conf(options, view(), "nameserver 1.1.1.1\n") ==
        "nameserver 10.96.0.10\nsearch ns.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n");
  CHECK(resolv_conf(options, view(R"({"spec":{"dnsPolicy":"Default"}})"), "# x\nnameserver 1.1.1.1\nsearch a b\n") == "nameserver 1.1.1.1\nsearch a b\n");
  CHECK(resolv_conf(options, view(R"({"spec":{"dnsPolicy":"None","dnsConfig":{"nameservers":["9.9.9.9\nx"],"options":[{"name":"ndots","value":"2"}]}}})"), "") ==
        "nameserver 9.9.9.9x\noptions ndots:2\n");
}

TEST_CASE("persistent disks are made once, exactly as large as the volume says, and never shrunk") {
  TempDir dir;
  const auto volumes = dir.path() / "volumes";
  Json pv = Json::parse(R"({"metadata":{"name":"pvc-1","annotations":{"pv.kubernetes.io/provisioned-by":"nodevirt.io/local-volume"}},"spec":{"capacity":{"storage":"10M"}}})");
  pv["spec"]["local"]["path"] = (volumes / "pvc-1").string();
  const auto disk = volumes / "pvc-1/disk.img";
  REQUIRE(materialise_volume(pv, volumes, ::getuid(), ::getgid()).ok());
  CHECK(std::filesystem::file_size(disk) == 10000000);
  pv["spec"]["capacity"]["storage"] = "20M";
  REQUIRE(materialise_volume(pv, volumes, ::getuid(), ::getgid()).ok());
  CHECK(std::filesystem::file_size(disk) == 20000000);
  pv["spec"]["capacity"]["storage"] = "5M";
  REQUIRE(materialise_volume(pv, volumes, ::getuid(), ::getgid()).ok());
  CHECK(std::filesystem::file_size(disk) == 20000000);
  std::filesystem::remove(disk);
  std::filesystem::create_symlink("/etc/passwd", disk);
  CHECK_FALSE(materialise_volume(pv, volumes, ::getuid(), ::getgid()).ok());
  pv["spec"]["local"]["path"] = "/etc";
  CHECK_FALSE(materialise_volume(pv, volumes, ::getuid(), ::getgid()).ok());
}

TEST_CASE("which volumes' files are removed here") {
  Json pv = Json::parse(R"({"metadata":{"name":"pvc-1","deletionTimestamp":"2026-01-01T00:00:00Z","finalizers":["nodevirt.io/volume-file"],
    "annotations":{"pv.kubernetes.io/provisioned-by":"nodevirt.io/local-volume"}},
    "spec":{"nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kubernetes.io/hostname","operator":"In","values":["n1"]}]}]}}}})");
  CHECK(volume_to_clear(pv, "n1"));
  CHECK_FALSE(volume_to_clear(pv, "n2"));
  pv["metadata"]["finalizers"].push_back("kubernetes.io/pv-protection");
  CHECK_FALSE(volume_to_clear(pv, "n1"));
  pv["metadata"]["finalizers"] = Json::array({"nodevirt.io/volume-file"});
  pv["metadata"].erase("deletionTimestamp");
  CHECK_FALSE(volume_to_clear(pv, "n1"));
}

TEST_CASE("CNI configuration") {
  CniOptions options;
  options.pod_cidr = "10.1.0.0/24";
  options.data_dir = "/d";
  CniAttachment a{"id", "/ns", "ns", "name", "uid", {}};
  CHECK(cni_plugins(options, a).size() == 1);
  a.host_ports = {{8080, 80, "tcp", ""}};
  const auto plugins = cni_plugins(options, a);
  REQUIRE(plugins.size() == 2);
  CHECK(plugins[0]["ipam"]["ranges"][0][0]["subnet"] == "10.1.0.0/24");
  CHECK(plugins[1]["runtimeConfig"]["portMappings"][0]["hostPort"] == 8080);
  CHECK(cni_address(Json::parse(R"({"ips":[{"address":"fd00::1/64"},{"address":"10.1.0.2/24"}]})")) == "10.1.0.2");
  CHECK(cni_address(Json::object()).empty());
}

TEST_CASE("every launcher pod that virt-controller renders is run") {
  int seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(NV_SOURCE_DIR) + "/tests/golden/pods")) {
    if (!entry.path().string().ends_with(".pod.json")) continue;
    ++seen;
    DYNAMIC_SECTION(entry.path().filename().string()) {
      Json pod = parse_json(nodevirt::read_file(entry.path()).value()).value();
      pod["metadata"]["uid"] = "u1";
      const auto decoded = PodView::decode(pod);
      REQUIRE(decoded.ok());
      const auto refusal = unsupported(*decoded, "nodevirt/virt-launcher:test");
      INFO((refusal ? refusal->message : ""));
      CHECK_FALSE(refusal);
    }
  }
  CHECK(seen > 0);
}
