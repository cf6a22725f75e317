// The pod's network in a real network namespace: what is made, that making it again changes nothing, and
// that a node's own namespace is never touched. Needs root.
#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <csignal>
#include <netinet/in.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "pkg/base/process.hpp"
#include "virt-handler/network/netns.hpp"
#include "virt-handler/network/pod_network.hpp"
#include "virt-handler/streams/pod_connect.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler;

namespace {

/// A child that sits in a network namespace of its own, as a launcher would.
class Pod {
 public:
  Pod() {
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      char ok = unshare(CLONE_NEWNET) == 0 ? 'y' : 'n';
      (void)!write(ready[1], &ok, 1);
      for (;;) pause();
    }
    char ok = 'n';
    (void)!read(ready[0], &ok, 1);
    close(ready[0]);
    close(ready[1]);
    REQUIRE(ok == 'y');
    netns_ = std::move(*open_pod_netns(pid_));
    run({"ip", "link", "add", "eth0", "mtu", "1450", "type", "veth", "peer", "name", "far0"});
    run({"ip", "addr", "add", "10.99.0.2/24", "dev", "eth0"});
    run({"ip", "link", "set", "eth0", "up"});
    run({"ip", "link", "set", "far0", "up"});
    run({"ip", "link", "set", "lo", "up"});
  }
  ~Pod() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }
  std::string run(std::vector<std::string> argv) {
    Command command{.argv = std::move(argv), .netns_fd = netns_.get()};
    auto out = check_output(command);
    INFO((out.ok() ? std::string() : out.error().message));
    REQUIRE(out.ok());
    return *out;
  }
  int netns() const { return netns_.get(); }

 private:
  pid_t pid_ = 0;
  Fd netns_;
};

using Prepared = Result<std::vector<launcher::v1::InterfaceOptions>>;

Awaitable<void> prepare_into(pid_t pid, std::optional<Prepared>& out) {
  PodNetworkRequest request{.pid = pid, .launcher_uid = 4711};
  auto vmi = std::make_shared<api::Instance>();
  vmi->metadata.name = "vm1.example";
  vmi->metadata.uid = "u1";
  std::shared_ptr<const api::Instance> view = vmi;
  out.emplace(co_await prepare_pod_network(request, view));
}

Prepared prepare(pid_t pid) {
  boost::asio::io_context io;
  std::optional<Prepared> out;
  spawn(io.get_executor(), prepare_into(pid, out), "test");
  io.run();
  return std::move(*out);
}

Awaitable<void> connect_into(pid_t pid, std::string address, std::uint16_t port, Code& out) {
  auto stream = co_await connect_guest(pid, address, port, false);
  out = stream.ok() ? Code::OK : stream.error().code;
}

Code connect_to(pid_t pid, std::string address, std::uint16_t port) {
  boost::asio::io_context io;
  Code out = Code::Unknown;
  spawn(io.get_executor(), connect_into(pid, std::move(address), port, out), "test");
  io.run();
  return out;
}

bool skipped() {
  if (geteuid() == 0) return false;
  WARN("skipped: making network namespaces needs root");
  return true;
}

}  // namespace

TEST_CASE("the pod's network is made, and made again") {
  if (skipped()) return;
  Pod pod;
  Prepared first = prepare(pod.pid());
  INFO((first.ok() ? std::string() : first.error().message));
  REQUIRE(first.ok());
  REQUIRE(first->size() == 1);
  CHECK(first->front().tap() == "tap0");
  CHECK(first->front().guest_ip() == "10.0.2.2");
  CHECK(first->front().gateway() == "10.0.2.1");
  CHECK(first->front().mtu() == 1450);
  CHECK(first->front().hostname() == "vm1");

  std::string rules = pod.run({"nft", "list", "ruleset"});
  CHECK(rules.find("dnat to 10.0.2.2") != std::string::npos);
  std::string links = pod.run({"ip", "-o", "link"});
  CHECK(links.find("k6t-eth0") != std::string::npos);
  CHECK(links.find("master k6t-eth0") != std::string::npos);
  std::string tap = pod.run({"ip", "-d", "link", "show", "tap0"});
  CHECK(tap.find("user 4711") != std::string::npos);
  std::string port_start, forward;
  auto read_sysctls = [&]() -> Result<void> {
    port_start = *read_file("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    forward = *read_file("/proc/sys/net/ipv4/ip_forward");
    return {};
  };
  REQUIRE(in_netns(pod.netns(), read_sysctls).ok());
  CHECK(port_start == "0\n");
  CHECK(forward == "1\n");
  CHECK(*read_file("/proc/sys/net/ipv4/ip_unprivileged_port_start") != "0\n");

  Prepared second = prepare(pod.pid());
  REQUIRE(second.ok());
  CHECK(pod.run({"nft", "list", "ruleset"}) == rules);
  CHECK(pod.run({"ip", "-o", "addr"}).find("10.0.2.1/24") != std::string::npos);
  CHECK(second->front().mac() == first->front().mac());
}

TEST_CASE("half of it that a killed virt-handler left is completed") {
  if (skipped()) return;
  Pod pod;
  pod.run({"ip", "link", "add", "k6t-eth0", "type", "bridge"});
  Prepared prepared = prepare(pod.pid());
  INFO((prepared.ok() ? std::string() : prepared.error().message));
  REQUIRE(prepared.ok());
  CHECK(pod.run({"ip", "-o", "addr"}).find("10.0.2.1/24") != std::string::npos);
}

TEST_CASE("a guest is reached from inside its pod's network") {
  if (skipped()) return;
  Pod pod;
  REQUIRE(prepare(pod.pid()).ok());
  // The gateway's address stands for a guest: it, too, exists only in the pod.
  Fd listener;
  sockaddr_in address{};
  socklen_t size = sizeof address;
  auto listen_in_pod = [&]() -> Result<void> {
    listener = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    address.sin_family = AF_INET;
    inet_pton(AF_INET, "10.0.2.1", &address.sin_addr);
    if (bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listener.get(), 1) != 0)
      return errno_error(errno, "listen");
    getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
    return {};
  };
  REQUIRE(in_netns(pod.netns(), listen_in_pod).ok());
  std::uint16_t port = ntohs(address.sin_port);
  CHECK(connect_to(pod.pid(), "10.0.2.1", port) == Code::OK);
  listener.reset();
  CHECK(connect_to(pod.pid(), "10.0.2.1", port) == Code::Unavailable);
  CHECK(connect_to(pod.pid(), "", port) == Code::FailedPrecondition);
}

TEST_CASE("the node's own network is refused") {
  Prepared prepared = prepare(getpid());
  REQUIRE_FALSE(prepared.ok());
  CHECK(prepared.error().code == Code::FailedPrecondition);
}
