// A real sandbox around a tiny program. Needs root, bubblewrap and the CNI plugins.
#include <catch2/catch.hpp>

#include <boost/asio/io_context.hpp>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "pkg/base/file.hpp"
#include "pkg/base/id.hpp"
#include "pkg/base/process.hpp"
#include "standalone/podrunner/network_namespace.hpp"
#include "standalone/podrunner/pod_runner.hpp"
#include "standalone/podrunner/pod_start.hpp"
#include "standalone/podrunner/sandbox.hpp"
#include "tests/support/memory_api.hpp"

using namespace nodevirt;
using namespace nodevirt::podrunner;
namespace fs = std::filesystem;
namespace res = k8s::resources;

namespace {

std::string missing() {
  if (::geteuid() != 0) return "needs root";
  for (const auto* path : {"/usr/bin/bwrap", "/usr/lib/cni/bridge", "/usr/lib/cni/host-local"})
    if (!fs::exists(path)) return std::string("needs ") + path;
  Fd probe(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  bool allowed = false;
  std::thread([&] { allowed = ::unshare(CLONE_NEWNET) == 0; }).join();
  return allowed ? "" : "needs the right to make network namespaces";
}

/// A node on its own: a folder, a network namespace that this thread enters, an API in memory.
struct Node {
  /// `at`: the folder of another process' node, whose network namespace this one is in already.
  explicit Node(std::string at = "", bool run = true) : borrowed(!at.empty()) {
    const fs::path root = borrowed ? fs::path(at) : dir.path();
    options.node_name = "nvtest";
    options.node_ip = "127.0.0.1";
    options.data_dir = root / "data";
    options.run_dir = root / "run";
    options.program_dir = root / "bin";
    options.launcher_image = "launcher:1";
    options.launcher_uid = options.launcher_gid = 10107;
    options.cni.pod_cidr = "10.203.0.0/24";
    options.cni.bridge = "nvt0";
    fs::create_directories(options.program_dir);
    if (!borrowed) {
      fs::permissions(dir.path(), fs::perms(0711));
      before.reset(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
      REQUIRE(::unshare(CLONE_NEWNET) == 0);
    }
    if (run) start();
  }
  ~Node() {
    stop_runner();
    if (borrowed) return;
    // What a failed test left: pods of this node, found by their folders.
    std::error_code ec;
    for (auto it = fs::directory_iterator(options.netns_dir(), ec); !ec && it != fs::directory_iterator(); it.increment(ec)) {
      kill_sandbox(it->path().string(), 100);
      (void)remove_network_namespace(it->path());
    }
    (void)unmount_below(dir.path());
    const auto groups = CgroupLayout::detect();
    for (const auto& root : {groups.v2, groups.cpu, groups.memory})
      if (!root.empty()) ::rmdir((root + "/nodevirt/" + options.node_name).c_str()), ::rmdir((root + "/nodevirt").c_str());
    ::setns(before.get(), CLONE_NEWNET);
  }
  void start() {
    stop = StopSource();
    runner = std::make_unique<PodRunner>(client::Client(api), system_clock(), options);
    ended = false;
    auto run = [](PodRunner* r, StopToken token, bool* done) -> Awaitable<void> {
      co_await r->run(token);
      *done = true;
    };
    spawn(io.get_executor(), run(runner.get(), stop.get_token(), &ended), "runner");
  }
  /// As if it were killed: nothing of it goes on, its pods do.
  void stop_runner() {
    stop.request_stop();
    until([&] { return ended; });
    io.run_for(std::chrono::milliseconds(50));
    runner.reset();
  }
  bool until(std::function<bool()> condition, std::chrono::seconds limit = std::chrono::seconds(20)) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      io.restart();
      io.run_one_for(std::chrono::milliseconds(20));
    }
    return true;
  }
  /// Its environment holds the pod's address, unless `address` is false: then the sandbox is made beside the network.
  Json pod(const std::string& name, const std::string& script, const std::string& uid = "", bool address = true) {
    Json p = Json::parse(R"({"metadata":{"namespace":"default"},"spec":{"restartPolicy":"Never","terminationGracePeriodSeconds":5,
      "containers":[{"name":"compute","image":"launcher:1","command":["/bin/sh","-c"],
        "volumeMounts":[{"name":"sockets","mountPath":"/var/run/kubevirt/sockets"},{"name":"conf","mountPath":"/conf"},
          {"name":"inner","mountPath":"/var/run/kubevirt/sockets/deep/inner"}],
        "env":[{"name":"POD_IP","valueFrom":{"fieldRef":{"fieldPath":"status.podIP"}}}],
        "resources":{"requests":{"cpu":"100m","memory":"64Mi"},"limits":{"devices.kubevirt.io/tun":"1","devices.kubevirt.io/kvm":"1"}}}],
      "volumes":[{"name":"sockets","emptyDir":{}},{"name":"inner","emptyDir":{}},{"name":"conf","configMap":{"name":"conf"}}]},"status":{"phase":"Pending"}})");
    p["metadata"]["name"] = name;
    if (!address) p["spec"]["containers"][0].erase("env");
    if (!uid.empty()) p["metadata"]["uid"] = uid;
    p["spec"]["nodeName"] = options.node_name;
    p["spec"]["containers"][0]["args"] = Json::array({script});
    return api->put(res::kPods, p);
  }
  std::string phase(const std::string& name) const {
    const Json* p = api->get(res::kPods, "default", name);
    return p ? string_at(*p, {"status", "phase"}) : "gone";
  }
  const Json& object(const std::string& name) const {
    const Json* p = api->get(res::kPods, "default", name);
    REQUIRE(p);
    return *p;
  }
  std::string log(const Json& p) const {
    auto text = nodevirt::read_file(options.pods_dir() / string_at(p, {"metadata", "uid"}) / "containers/compute/log");
    return text.ok() ? *text : "";
  }
  void remove(const std::string& name, int grace) {
    Json p = object(name);
    p["metadata"]["deletionTimestamp"] = format_time(system_clock().wall() + std::chrono::seconds(grace));
    p["metadata"]["deletionGracePeriodSeconds"] = grace;
    api->put(res::kPods, p);
  }

  bool borrowed;
  TempDir dir{"nvpod"};
  Fd before;
  boost::asio::io_context io;
  std::shared_ptr<testing::MemoryApi> api = std::make_shared<testing::MemoryApi>();
  Options options;
  StopSource stop;
  bool ended = true;
  std::unique_ptr<PodRunner> runner;
};

constexpr const char* kUid = "2b0c6a0e-5a52-4ff0-9d36-6a0f8e3c1d11";
constexpr const char* kStubborn = "trap 'exit 0' TERM; while :; do sleep 0.05; done";

std::string condition(const Json& pod, const std::string& type) {
  for (const auto& c : pod["status"]["conditions"])
    if (string_at(c, {"type"}) == type) return string_at(c, {"status"});
  return "";
}

}  // namespace

TEST_CASE("a pod runs in its sandbox, ends, and leaves nothing") {
  if (const auto why = missing(); !why.empty()) {
    WARN("skipped: " + why);
    return;
  }
  Node node;
  node.api->put(res::kConfigMaps, Json::parse(R"({"metadata":{"namespace":"default","name":"conf"},"data":{"key":"value"}})"));
  const Json made = node.pod("ends", "id -u; cat /proc/1/comm; grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status; cat /conf/key; echo; "
                                     "echo $POD_IP; hostname; touch /var/run/kubevirt/sockets/x && echo writable; mount -t tmpfs none /tmp || echo nomount; "
                                     "unshare -U true || echo nouserns; touch /run/kubevirt/sockets/deep/inner/x && echo nested; test -w /dev/net/tun && echo tun; cat /sys/class/net/*/operstate; ls /; echo bye >/dev/termination-log; exit 3");
  REQUIRE(node.until([&] { return node.phase("ends") == "Failed"; }));
  const Json pod = node.object("ends");
  const std::string log = node.log(made);
  INFO(log << "\n" << pod["status"].dump(1));
  CHECK(log.find("10107\nsh\n") != std::string::npos);
  CHECK(log.find("CapEff:\t0000000000000000") != std::string::npos);
  CHECK(log.find("CapBnd:\t0000000000000000") != std::string::npos);
  CHECK(log.find("NoNewPrivs:\t1") != std::string::npos);
  CHECK(log.find("Seccomp:\t2") != std::string::npos);
  CHECK(log.find("value\n" + string_at(pod, {"status", "podIP"}) + "\nends\nwritable\n") != std::string::npos);
  CHECK(log.find("nomount") != std::string::npos);
  CHECK(log.find("nouserns") != std::string::npos);
  CHECK(log.find("nested\n") != std::string::npos);
  CHECK(log.find("tun\n") != std::string::npos);
  CHECK(string_at(pod, {"status", "podIP"}).starts_with("10.203.0."));
  const Json& terminated = pod["status"]["containerStatuses"][0]["state"]["terminated"];
  CHECK(terminated["exitCode"] == 3);
  CHECK(terminated["message"] == "bye\n");
  CHECK(condition(pod, "Ready") == "False");
  // Its network is given back at once, its folder with its object.
  CHECK(fs::is_empty(node.options.netns_dir()));
  node.remove("ends", 0);
  CHECK(node.until([&] { return node.phase("ends") == "gone"; }));
  CHECK(fs::is_empty(node.options.pods_dir()));
}

TEST_CASE("a pod survives the runner, is taken over, and is gone before its object is") {
  if (const auto why = missing(); !why.empty()) {
    WARN("skipped: " + why);
    return;
  }
  Node node;
  node.api->put(res::kConfigMaps, Json::parse(R"({"metadata":{"namespace":"default","name":"conf"},"data":{}})"));
  const Json made = node.pod("stays", "trap 'echo term; exit 0' TERM; echo up; while :; do sleep 0.05; done");
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(node.until([&] { return node.phase("stays") == "Running"; }));
  WARN("bound to Running: " << std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin).count() << " ms (with the start of the runner)");
  const auto netns = (node.options.netns_dir() / string_at(made, {"metadata", "uid"})).string();
  REQUIRE(node.until([&] { return node.log(made).find("up") != std::string::npos; }));
  const auto first = find_sandbox(netns);
  REQUIRE(first.init > 0);
  REQUIRE(first.shim > 0);
  CHECK(condition(node.object("stays"), "Ready") == "True");
  // Where the host lets us, the pod's processes stand in its group; it is gone with them.
  const auto groups = CgroupLayout::detect();
  const auto group = (groups.v2.empty() ? groups.cpu : groups.v2) + "/nodevirt/nvtest/pod" + string_at(made, {"metadata", "uid"});
  if (fs::exists(group)) CHECK(nodevirt::read_file(group + "/cgroup.procs").value().find(std::to_string(first.init) + "\n") != std::string::npos);
  else WARN("no cgroup could be made");
  const auto second = std::chrono::steady_clock::now();
  node.pod("second", "trap 'exit 0' TERM; while :; do sleep 0.05; done");
  REQUIRE(node.until([&] { return node.phase("second") == "Running"; }));
  WARN("bound to Running, the runner being there: " << std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - second).count() << " ms");
  if (auto rollup = nodevirt::read_file("/proc/" + std::to_string(first.shim) + "/smaps_rollup"); rollup.ok())
    WARN("the sandbox' parent: " << rollup->substr(rollup->find("Pss:"), 30));
  node.remove("second", 2);
  REQUIRE(node.until([&] { return node.phase("second") == "gone"; }));

  SECTION("killed and started again, the runner ends it in order") {
    node.stop_runner();
    CHECK(find_sandbox(netns).init == first.init);
    node.start();
    node.until([] { return false; }, std::chrono::seconds(1));
    CHECK(node.phase("stays") == "Running");
    CHECK(find_sandbox(netns).init == first.init);
    bool alive_at_delete = false;
    node.api->fault = [&](const net::Request& r) -> std::optional<Error> {
      if (r.method == "DELETE") alive_at_delete = find_sandbox(netns).alive();
      return std::nullopt;
    };
    node.remove("stays", 5);
    REQUIRE(node.until([&] { return node.phase("stays") == "gone"; }));
    CHECK_FALSE(alive_at_delete);
    CHECK_FALSE(fs::exists(group));
    CHECK(fs::is_empty(node.options.pods_dir()));
    CHECK(fs::is_empty(node.options.netns_dir()));
  }
  SECTION("without bwrap's outer process it goes on, and its end is still noticed") {
    ::kill(first.shim, SIGKILL);
    node.until([] { return false; }, std::chrono::seconds(1));
    CHECK(node.phase("stays") == "Running");
    ::kill(first.init, SIGKILL);
    REQUIRE(node.until([&] { return node.phase("stays") == "Failed"; }));
  }
  SECTION("its object gone, it is ended without grace") {
    node.api->erase(res::kPods, "default", "stays");
    REQUIRE(node.until([&] { return fs::is_empty(node.options.pods_dir()); }));
    CHECK_FALSE(find_sandbox(netns).alive());
  }
  SECTION("its object gone while no runner was there, the next one ends it") {
    node.stop_runner();
    node.api->erase(res::kPods, "default", "stays");
    node.start();
    REQUIRE(node.until([&] { return fs::is_empty(node.options.pods_dir()); }));
    CHECK_FALSE(find_sandbox(netns).alive());
    CHECK(::kill(first.init, 0) != 0);
  }
  SECTION("what ended while no runner was there is told by the next one") {
    node.stop_runner();
    ::kill(first.init, SIGTERM);
    for (int i = 0; i < 200 && find_sandbox(netns).alive(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    node.start();
    REQUIRE(node.until([&] { return node.phase("stays") == "Succeeded"; }));
  }
}

TEST_CASE("a pod that ignores SIGTERM is killed when its grace is over") {
  if (const auto why = missing(); !why.empty()) {
    WARN("skipped: " + why);
    return;
  }
  Node node;
  node.api->put(res::kConfigMaps, Json::parse(R"({"metadata":{"namespace":"default","name":"conf"},"data":{}})"));
  node.pod("deaf", "trap '' TERM; while :; do sleep 0.05; done");
  REQUIRE(node.until([&] { return node.phase("deaf") == "Running"; }));
  node.remove("deaf", 1);
  REQUIRE(node.until([&] { return node.phase("deaf") == "gone"; }));
}

TEST_CASE("what cannot run says why") {
  if (const auto why = missing(); !why.empty()) {
    WARN("skipped: " + why);
    return;
  }
  Node node;
  Json other = node.pod("other", "true");
  other["spec"]["containers"][0]["image"] = "nginx";
  other["metadata"]["name"] = "nginx";
  other["metadata"].erase("uid");
  node.api->put(res::kPods, other);
  REQUIRE(node.until([&] { return node.phase("nginx") == "Failed"; }));
  CHECK(string_at(node.object("nginx"), {"status", "reason"}) == "UnsupportedImage");
  // The ConfigMap is missing: the pod waits, says so, and goes on once it is there.
  REQUIRE(node.until([&] { return string_at(node.object("other"), {"status", "containerStatuses", "0"}).empty() && node.object("other")["status"].contains("containerStatuses"); }));
  CHECK(string_at(node.object("other")["status"]["containerStatuses"][0], {"state", "waiting", "message"}).find("\"conf\" not found") != std::string::npos);
  node.api->put(res::kConfigMaps, Json::parse(R"({"metadata":{"namespace":"default","name":"conf"},"data":{}})"));
  REQUIRE(node.until([&] { return node.phase("other") == "Succeeded"; }));
}

TEST_CASE("the node is registered") {
  if (const auto why = missing(); !why.empty()) {
    WARN("skipped: " + why);
    return;
  }
  Node node;
  const auto& name = node.options.node_name;
  REQUIRE(node.until([&] { return node.api->get(res::kLeases, "kube-node-lease", name) != nullptr; }));
  const Json* object = node.api->get(res::kNodes, "", name);
  REQUIRE(object);
  CHECK(condition(*object, "Ready") == "True");
  CHECK(string_at(*object, {"metadata", "labels", "kubernetes.io/hostname"}) == name);
  CHECK(string_at(*object, {"status", "allocatable", "pods"}) == "110");
}

// The part of the next test that is killed: runs a pod (and ends it) in the folder that the environment names.
TEST_CASE("the runner that is killed", "[.killed]") {
  const char* at = std::getenv("NV_TEST_NODE");
  if (!at) return;
  Node node(at);
  node.api->put(res::kConfigMaps, Json::parse(R"({"metadata":{"namespace":"default","name":"conf"},"data":{}})"));
  node.pod("p", kStubborn, kUid, !std::getenv("NV_TEST_WITHOUT_ADDRESS"));
  node.until([&] { return node.phase("p") == "Running"; });
  node.remove("p", 5);
  node.until([&] { return node.phase("p") == "gone"; });
}

TEST_CASE("killed anywhere, the runner's successor has one pod, and then none") {
  if (const auto why = missing(); !why.empty()) {
    WARN("skipped: " + why);
    return;
  }
  struct Case {
    std::string failpoint;
    bool ending;                  // the pod was being deleted when the runner was killed
    bool address = true;          // the sandbox is made after the network
  };
  const Case cases[] = {{"podrunner.namespace-made", false}, {"podrunner.connected", false},       {"podrunner.start-noted", false}, {"podrunner.spawned", false},
                        {"podrunner.sandbox-held", false}, {"podrunner.sandbox-held", false, false}, {"podrunner.connected", false, false}, {"podrunner.start-noted", false, false},
                        {"podrunner.container-ended", true}, {"podrunner.sandbox-down", true}, {"podrunner.folder-removed", true}};
  for (const auto& c : cases)
    DYNAMIC_SECTION(c.failpoint << (c.address ? "" : ", beside the network")) {
      Node node("", false);
      Command child;
      child.argv = {"/proc/self/exe", "[.killed]"};
      child.argv[0] = fs::read_symlink("/proc/self/exe").string();
      child.env = {{"NV_TEST_NODE", node.dir.path().string()}, {"NODEVIRT_FAILPOINTS", c.failpoint + "=kill"}};
      if (!c.address) child.env["NV_TEST_WITHOUT_ADDRESS"] = "1";
      auto killed = run_command(child);
      REQUIRE(killed.ok());
      INFO(killed->out << killed->err);
      REQUIRE(killed->exit_code == 137);
      // The server knows the pod as it was when the runner died.
      node.api->put(res::kConfigMaps, Json::parse(R"({"metadata":{"namespace":"default","name":"conf"},"data":{}})"));
      node.pod("p", kStubborn, kUid, c.address);
      if (c.ending) node.remove("p", 5);
      node.start();
      if (!c.ending) {
        REQUIRE(node.until([&] { return node.phase("p") == "Running"; }));
        const auto netns = (node.options.netns_dir() / kUid).string();
        REQUIRE(node.until([&] { return find_sandbox(netns).init > 0; }));
        int shims = 0;
        for (const auto& p : processes_in(namespace_id(netns))) shims += p.name == "bwrap" && !p.own_pid_namespace;
        CHECK(shims == 1);
        CHECK(string_at(node.object("p"), {"status", "podIP"}).starts_with("10.203.0."));
        node.remove("p", 5);
      }
      REQUIRE(node.until([&] { return node.phase("p") == "gone"; }));
      CHECK(fs::is_empty(node.options.pods_dir()));
      CHECK(fs::is_empty(node.options.netns_dir()));
      CniOptions cni = node.options.cni;
      cni.data_dir = node.options.node_dir() / "cni";
      CHECK(cni_leases(cni).empty());
    }
}

TEST_CASE("a sandbox is made beside its network, and stands still until that is there") {
  if (const auto why = missing(); !why.empty()) {
    WARN("skipped: " + why);
    return;
  }
  Node node("", false);
  // A plugin that waits to be told "go on" or "fail".
  const fs::path plugins = node.dir.path() / "plugins", gate = node.dir.path() / "gate";
  fs::create_directories(plugins);
  fs::create_symlink("/usr/lib/cni/host-local", plugins / "host-local");
  std::ofstream(plugins / "bridge") << "#!/bin/sh\n[ $CNI_COMMAND = DEL ] || { read word <" << gate.string() <<
      "; [ \"$word\" = go ] || { echo '{\"msg\":\"told to fail\"}'; exit 1; }; }\nexec /usr/lib/cni/bridge\n";
  fs::permissions(plugins / "bridge", fs::perms(0755));
  REQUIRE(::mkfifo(gate.c_str(), 0600) == 0);
  Fd door(::open(gate.c_str(), O_RDWR | O_CLOEXEC));
  const auto tell = [&](const std::string& word) { REQUIRE(::write(door.get(), (word + "\n").data(), word.size() + 1) == static_cast<ssize_t>(word.size() + 1)); };
  node.options.cni.plugin_dir = plugins;
  node.start();
  node.api->put(res::kConfigMaps, Json::parse(R"({"metadata":{"namespace":"default","name":"conf"},"data":{}})"));
  const Json made = node.pod("waits", "cat /etc/hosts; echo began; trap 'exit 0' TERM; while :; do sleep 0.05; done", kUid, false);
  const auto netns = (node.options.netns_dir() / kUid).string();
  PodPaths paths(node.options, kUid, "compute");
  const auto held = [&] { return find_sandbox(netns).init > 0; };
  REQUIRE(node.until(held));
  const auto first = find_sandbox(netns);
  CHECK(node.phase("waits") == "Pending");
  CHECK(node.log(made).empty());
  CHECK_FALSE(fs::exists(paths.start_file()));

  SECTION("it is there") {
    tell("go");
    REQUIRE(node.until([&] { return node.phase("waits") == "Running"; }));
    REQUIRE(node.until([&] { return node.log(made).find("began") != std::string::npos; }));
    CHECK(find_sandbox(netns).init == first.init);
    CHECK(node.log(made).find(string_at(node.object("waits"), {"status", "podIP"}) + "\twaits\n") != std::string::npos);
  }
  SECTION("it cannot be made at first: that sandbox is gone, and another one starts") {
    tell("fail");
    REQUIRE(node.until([&] { return ::kill(first.init, 0) != 0; }));
    REQUIRE(node.until(held));
    CHECK(node.log(made).empty());
    tell("go");
    REQUIRE(node.until([&] { return node.log(made).find("began") != std::string::npos; }));
    CHECK(node.log(made).find("began") == node.log(made).rfind("began"));
  }
  SECTION("the pod is deleted meanwhile: nothing of it ever runs") {
    node.remove("waits", 5);
    tell("go");
    REQUIRE(node.until([&] { return node.phase("waits") == "gone"; }));
    CHECK(::kill(first.init, 0) != 0);
  }
  if (node.phase("waits") != "gone") {
    node.remove("waits", 5);
    REQUIRE(node.until([&] { return node.phase("waits") == "gone"; }));
  }
  CHECK(fs::is_empty(node.options.pods_dir()));
  CHECK(fs::is_empty(node.options.netns_dir()));
}

// For trying things out by hand: NV_SCRIPT is what the container's shell runs.
TEST_CASE("a script in a sandbox", "[.script]") {
  const char* script = std::getenv("NV_SCRIPT");
  if (!script) return;
  Node node;
  node.api->put(res::kConfigMaps, Json::parse(R"({"metadata":{"namespace":"default","name":"conf"},"data":{}})"));
  const Json made = node.pod("script", script);
  node.until([&] { return node.phase("script") == "Succeeded" || node.phase("script") == "Failed"; }, std::chrono::seconds(120));
  WARN(node.log(made));
}
