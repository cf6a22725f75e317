#include <catch2/catch.hpp>

#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "pkg/base/file.hpp"
#include "standalone/supervisor/control.hpp"
#include "standalone/supervisor/flags.hpp"
#include "standalone/supervisor/pods_left.hpp"
#include "standalone/supervisor/program.hpp"
#include "standalone/supervisor/readiness.hpp"
#include "standalone/supervisor/spawn.hpp"
#include "standalone/supervisor/status_text.hpp"

using namespace nodevirt;
using namespace nodevirt::supervisor;

TEST_CASE("flags in every spelling", "[supervisor]") {
  struct Case { std::string name; std::vector<std::string> args; std::string want; };
  for (const Case& c : {
           Case{"apart", {"--nodes", "3", "--data-dir", "/x"}, "3 /x 0:"},
           Case{"joined", {"--nodes=3", "--data-dir=/a=b"}, "3 /a=b 0:"},
           Case{"letter", {"-d", "-n2"}, "2  1:"},
           Case{"others", {"a", "--detach", "b", "--", "--nodes"}, "0  1:a,b,--nodes"},
           Case{"switched off", {"--detach=false"}, "0  0:"},
           Case{"unknown", {"--node", "3"}, "unknown flag --node (did you mean --nodes?)"},
           Case{"far off", {"--zzzzzzzz"}, "unknown flag --zzzzzzzz"},
           Case{"no value", {"--nodes"}, "--nodes needs a value: N"},
           Case{"no number", {"--nodes", "many"}, "--nodes: \"many\" is not a number from 1 to 64"},
           Case{"too many", {"--nodes", "65"}, "--nodes: \"65\" is not a number from 1 to 64"},
           Case{"switch with a value", {"--detach=maybe"}, "--detach: takes no value but true or false"},
       }) {
    DYNAMIC_SECTION(c.name) {
      int nodes = 0;
      std::string dir;
      bool detach = false;
      auto rest = parse_flags(c.args, {int_flag("nodes", 'n', "N", "", nodes, 1, 64), string_flag("data-dir", 0, "DIR", "", dir), switch_flag("detach", 'd', "", detach)});
      std::string got = rest.ok() ? fmt::format("{} {} {}:{}", nodes, dir, detach ? 1 : 0, fmt::join(*rest, ",")) : rest.error().message;
      CHECK(got == c.want);
    }
  }
}

TEST_CASE("listen addresses", "[supervisor]") {
  struct Case { std::string text, want; };
  for (const Case& c : {Case{"127.0.0.1:6443", "127.0.0.1 6443"}, Case{":8443", "0.0.0.0 8443"}, Case{"localhost:1", "127.0.0.1 1"}, Case{"127.0.0.1", ""}, Case{"127.0.0.1:0", ""},
                        Case{"127.0.0.1:65536", ""}, Case{"host:1", ""}, Case{"127.0.0.1:1x", ""}, Case{"", ""}}) {
    DYNAMIC_SECTION(c.text) {
      auto l = parse_listen(c.text);
      CHECK((l.ok() ? fmt::format("{} {}", l->host, l->port) : "") == c.want);
    }
  }
}

TEST_CASE("an instance's file is read back, or refused for what is wrong with it", "[supervisor]") {
  Instance i;
  i.hash = "abcdef";
  i.nodes = 2;
  i.most_nodes = 3;
  i.ranges = {nodes::Cidr::parse("10.233.0.0/24").value(), nodes::Cidr::parse("10.234.0.0/16").value(), nodes::Cidr::parse("10.96.0.0/16").value()};
  auto again = decode_instance(encode_instance(i), "f");
  REQUIRE(again.ok());
  CHECK(encode_instance(*again) == encode_instance(i));
  CHECK_FALSE(again->userfaultfd);
  i.userfaultfd = true;
  CHECK(decode_instance(encode_instance(i), "f").value().userfaultfd);
  CHECK(again->topology().nodes.size() == 2);
  CHECK(again->whole_topology().nodes.size() == 3);

  Json j = parse_json(encode_instance(i)).value();
  struct Case { std::string name; std::string key; Json value; std::string want; };
  for (const Case& c : {Case{"later", "format", 99, "later version"}, Case{"no format", "format", "x", "damaged"}, Case{"nodes", "nodes", 0, "damaged"},
                        Case{"hash", "hash", "../../x", "damaged"}, Case{"range", "podCIDR", "nonsense", "damaged"}, Case{"listen", "listen", "x", "damaged"}}) {
    DYNAMIC_SECTION(c.name) {
      Json changed = j;
      changed[c.key] = c.value;
      auto got = decode_instance(changed.dump(), "f");
      REQUIRE_FALSE(got.ok());
      CHECK(got.error().message.find(c.want) != std::string::npos);
    }
  }
  CHECK_FALSE(decode_instance("{", "f").ok());
}

TEST_CASE("waiting before a restart grows and stops growing", "[supervisor]") {
  CHECK(restart_delay(1).count() == 0);
  CHECK(restart_delay(2).count() == 100);
  CHECK(restart_delay(3).count() == 200);
  CHECK(restart_delay(50).count() == 30000);
  for (int n = 1; n < 40; ++n) CHECK(restart_delay(n) <= restart_delay(n + 1));
}

namespace {
ProgramContext context() {
  ProgramContext c;
  c.data = DataDir{"/d"};
  c.installation = {"/b/nodevirt", "/l", "/s", "/s/k"};
  c.instance.hash = "abcdef";
  c.instance.nodes = 2;
  c.instance.ranges = {nodes::Cidr::parse("10.233.0.0/24").value(), nodes::Cidr::parse("10.234.0.0/16").value(), nodes::Cidr::parse("10.96.0.0/16").value()};
  c.users = {{901, 902}, {903, 904}};
  c.api_listeners = {10, 11, 12};
  c.virt_api_listener = 13;
  c.virt_api_port = 4711;
  c.virt_controller_listener = 14;
  c.node_netns = {20, 21};
  c.host_netns = 22;
  return c;
}
bool has(const Program& p, const std::string& flag, const std::string& value) {
  for (std::size_t i = 0; i + 1 < p.args.size(); ++i)
    if (p.args[i] == flag && p.args[i + 1] == value) return true;
  return false;
}
}  // namespace

TEST_CASE("who is started, as whom and where", "[supervisor]") {
  auto all = programs_of(context(), {true, true, true, true, true});
  std::vector<std::string> names;
  for (const Program& p : all) names.push_back(p.name);
  CHECK(names == std::vector<std::string>{"apiserver", "virt-api", "virt-controller", "node-node1", "virt-handler-node1", "node-node2", "virt-handler-node2"});
  CHECK(has(all[0], "--resolve-service", "kubevirt/virt-api=127.0.0.1:4711"));
  CHECK(all[0].descriptors == std::vector<int>{10, 11, 12});
  CHECK(has(all[0], "--listen-fd", "5"));
  for (const Program& p : all) {
    const bool per_node = p.name.find("-node") != std::string::npos;
    CHECK(p.privileged == per_node);           // the control plane has no rights
    CHECK((p.netns >= 0) == per_node);
  }
  CHECK(all[5].netns == 21);
  CHECK(has(all[3], "--host-table", "nodevirt-abcdef-services"));   // one keeps the host's rules
  CHECK_FALSE(has(all[5], "--host-table", "nodevirt-abcdef-services"));
  CHECK(has(all[6], "--advertise-address", "10.233.0.12:8186"));
  CHECK(programs_of(context(), {.apiserver = true}).size() == 1);
}

TEST_CASE("mount points are found below a folder, deepest first", "[supervisor]") {
  const std::string info =
      "22 1 0:1 / / rw - ext4 x rw\n"
      "30 22 0:2 / /d/nodes/a rw - tmpfs x rw\n"
      "31 30 0:3 / /d/nodes/a/deep\\040one rw - tmpfs x rw\n"
      "32 22 0:4 / /dd/other rw - tmpfs x rw\n";
  CHECK(mounts_under(info, "/d") == std::vector<std::string>{"/d/nodes/a/deep one", "/d/nodes/a"});
}

TEST_CASE("one instance per data directory, whoever asks is told who", "[supervisor]") {
  TempDir dir;
  DataDir data{dir.path() / std::string(120, 'x')};   // longer than a socket's address
  REQUIRE(make_dirs(data.run()).ok());
  CHECK(lock_holder(data) == 0);
  {
    auto lock = take_lock(data);
    REQUIRE(lock.ok());
    REQUIRE(note_holder(*lock, 4711).ok());
    CHECK(lock_holder(data) == 4711);
    auto second = take_lock(data);
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().message.find("pid 4711") != std::string::npos);
  }
  CHECK(lock_holder(data) == 0);
  CHECK(take_lock(data).ok());

  auto socket = listen_control(data);
  REQUIRE(socket.ok());
  socket = listen_control(data);   // after a crash: the stale one is replaced
  REQUIRE(socket.ok());
  CHECK(ask_control(data, "status", std::chrono::milliseconds(20)).error().code == Code::Unavailable);   // nobody accepts
}

TEST_CASE("a port that is taken names who has it", "[supervisor]") {
  auto first = listen_tcp("127.0.0.1", 0, "--listen");
  REQUIRE(first.ok());
  auto second = listen_tcp("127.0.0.1", port_of(*first), "--listen");
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().message.find(fmt::format("(pid {})", getpid())) != std::string::npos);
  CHECK(second.error().message.find("--listen") != std::string::npos);
  CHECK_FALSE(listen_tcp("192.0.2.250", 0, "--listen").ok());
}

TEST_CASE("a port is waited for that a process of ours is about to leave", "[supervisor]") {
  auto left = listen_tcp("127.0.0.1", 0, "--listen");
  REQUIRE(left.ok());
  auto port = port_of(*left);
  pid_t leaving = fork();
  if (leaving == 0) {
    usleep(100'000);
    _exit(0);
  }
  left->reset();
  auto taken = listen_tcp("127.0.0.1", port, "--listen");
  INFO((taken.ok() ? "" : taken.error().message));
  CHECK(taken.ok());
  CHECK(waitpid(leaving, nullptr, 0) == leaving);
}

TEST_CASE("a kubeconfig of another cluster is left alone", "[supervisor]") {
  CHECK(check_kubeconfig("f", "", "CA").ok());
  CHECK(check_kubeconfig("f", "x: Q0E=", "CA").ok());
  CHECK_FALSE(check_kubeconfig("f", "clusters: []", "CA").ok());
  CHECK_FALSE(check_kubeconfig("f", "clusters: []", "").ok());
}

TEST_CASE("the last lines of a log", "[supervisor]") {
  TempDir dir;
  REQUIRE(write_file_atomic(dir.path() / "l", "one\ntwo\nthree\n").ok());
  CHECK(last_lines(dir.path() / "l", 2) == "two\nthree");
  CHECK(last_lines(dir.path() / "l", 9) == "one\ntwo\nthree");
  CHECK(last_lines(dir.path() / "missing", 2).empty());
}

TEST_CASE("status for people", "[supervisor]") {
  CHECK(short_duration(3.25) == "3.2s");
  CHECK(short_duration(75) == "1m15s");
  CHECK(short_duration(7300) == "2h1m");
  CHECK(short_duration(200000) == "2d7h");
  CHECK(status_text(Json{{"running", false}, {"dataDir", "/d"}}).find("not running") == 0);
  Json s = parse_json(R"({"running":true,"memoryBytes":2097152,"supervisor":{"pid":1,"version":"0.1.0","server":"https://x","uptimeSeconds":5.0,
    "programs":[{"name":"apiserver","pid":-1,"restarts":2,"lastEnd":"exit code 1"}]},"nodes":[{"name":"node1","ready":true}],"guests":{"instances":2,"running":1}})").value();
  std::string text = status_text(s);
  CHECK(text.find("exit code 1") != std::string::npos);
  CHECK(text.find("node node1: ready") != std::string::npos);
  CHECK(text.find("2.0 MiB") != std::string::npos);
  CHECK(text.find("userfaultfd") == std::string::npos);
  s["allowUserfaultfd"] = true;
  CHECK(status_text(s).find("not possible: somebody has set vm.unprivileged_userfaultfd back") != std::string::npos);
  s["unprivilegedUserfaultfd"] = true;
  CHECK(status_text(s).find("vm.unprivileged_userfaultfd is 1 on this machine, as --allow-userfaultfd asked") != std::string::npos);
  for (const char* odd : {"{}", R"({"running":true})", R"({"running":true,"supervisor":[],"nodes":{}})"}) status_text(parse_json(odd).value());
}

TEST_CASE("readiness is told milestone by milestone, and given up with a reason", "[supervisor]") {
  boost::asio::io_context io;
  std::vector<std::string> lines;
  int asked = 0;
  std::string hopeless;
  Result<void> result;
  auto run = [&](bool second) {
    io.restart();
    lines.clear();
    asked = 0;
    ReadinessOptions o;
    o.began = system_clock().now();
    o.patience = std::chrono::milliseconds(400);
    o.print = [&](const std::string& l) { lines.push_back(l); };
    o.hopeless = [&] { return hopeless; };
    o.milestones.push_back({"a", "first", [&]() -> Awaitable<bool> { co_return ++asked >= 2; }});
    o.milestones.push_back({"b", "second", [second]() -> Awaitable<bool> { co_return second; }});
    auto task = [](ReadinessOptions options, Result<void>* out) -> Awaitable<void> { *out = co_await wait_until_ready(system_clock(), std::move(options)); };
    boost::asio::co_spawn(io, task(std::move(o), &result), boost::asio::detached);
    io.run();
  };
  run(true);
  CHECK(result.ok());
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].starts_with("[ok] first ("));
  CHECK(asked == 2);
  run(false);
  CHECK(result.error().code == Code::DeadlineExceeded);
  CHECK(lines.size() == 1);
  hopeless = "b does not stay up";
  run(false);
  CHECK(result.error().message == hopeless);
}
