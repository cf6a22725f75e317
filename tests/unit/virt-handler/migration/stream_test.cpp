// Migration streams over loopback sockets: pod socket -> one node's virt-handler -> the other's port -> pod socket.
#include <sys/socket.h>
#include <sys/stat.h>

#include <filesystem>
#include <future>
#include <thread>
#include <unistd.h>

#include "tests/unit/pkg/net/net_testing.hpp"
#include "unix_streams.hpp"
#include "virt-handler/migration/stream/control_link.hpp"
#include "virt-handler/migration/stream/node_port.hpp"
#include "virt-handler/migration/stream/pod_sockets.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler::migration;
using net::testing::eventually;
using net::testing::run;
using test::accept_at;
using test::connect_to;
using test::listen_at;

namespace {

void put(const Fd& fd, const std::string& bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    ssize_t n = send(fd.get(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (n <= 0) return;
    at += static_cast<std::size_t>(n);
  }
}
std::string take_all(const Fd& fd) {
  std::string out;
  char buffer[65536];
  for (ssize_t n; (n = recv(fd.get(), buffer, sizeof buffer, 0)) > 0;) out.append(buffer, static_cast<std::size_t>(n));
  return out;
}
std::string pattern(std::size_t size, unsigned seed) {
  std::string out(size, 0);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>((i * 2654435761u + seed) >> 13);
  return out;
}

struct Pki {
  net::testing::Certificate ca = net::testing::make_certificate("ca", "");
  StreamTls of(const std::string& cn, const std::string& node) {
    auto own = net::testing::make_certificate(cn, node.empty() ? "" : std::string(kNodeOrganization) + node, &ca, "DNS:virt-handler");
    auto tls = make_stream_tls(own.cert, own.key, ca.cert);
    REQUIRE(tls.ok());
    return *tls;
  }
};

/// Two nodes; `io` runs on a thread of its own, the pods' programs are the test's.
struct Nodes {
  boost::asio::io_context io;
  Pki pki;
  TempDir source{"ms"}, target{"mt"};
  StopSource stop;
  std::unique_ptr<NodePort> port;
  std::unique_ptr<PodSockets> sockets;
  std::uint16_t number = 0;
  std::mutex mutex;
  std::vector<std::string> failures;
  std::vector<std::shared_ptr<ControlLink>> accepted;
  std::thread loop;
  Fd libvirt, memory, disk;

  explicit Nodes(bool tls = true, std::string token = "") {
    port = std::make_unique<NodePort>(NodePort::Deps{io.get_executor(), tls ? pki.of("virt-handler", "node2") : StreamTls{}});
    auto bound = port->listen("127.0.0.1", 0);
    REQUIRE(bound.ok());
    number = *bound;
    spawn(io.get_executor(), port->run(stop.get_token()), "port");
    port->expect({.migration = "m1", .instance = "i1", .source_node = "node1", .libvirt_dir = target.path(), .migration_dir = target.path(),
                  .libvirt_socket = "libvirt-sock", .plain_token = token});
    sockets = std::make_unique<PodSockets>(PodSockets::Deps{
        .executor = io.get_executor(), .tls = tls ? pki.of("virt-handler", "node1") : StreamTls{}, .folder = source.path(), .launcher_uid = geteuid(),
        .migration = "m1", .instance = "i1", .target_node = "node2", .address = address(), .plain_token = token,
        .failed = [this](Error error) {
          std::lock_guard lock(mutex);
          failures.push_back(error.message);
        }});
    REQUIRE(sockets->listen({}).ok());
    libvirt = listen_at(target.path() / "libvirt-sock");
    memory = listen_at(target.path() / "memory.sock");
    disk = listen_at(target.path() / "disk.sock");
    loop = std::thread([this] {
      auto work = boost::asio::make_work_guard(io);
      io.run();
    });
  }
  ~Nodes() {
    on_loop([this] {
      sockets->end_streams();
      port->forget("m1", true);
    });
    auto until = std::chrono::steady_clock::now() + 10s;
    auto open = [this] { return on_loop([this] { return sockets->streams() + port->streams(); }); };
    while (open() > 0 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    stop.request_stop();
    io.stop();
    loop.join();
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(number); }
  template <class F>
  auto on_loop(F f) -> decltype(f()) {
    std::promise<decltype(f())> done;
    boost::asio::post(io, [&] {
      if constexpr (std::is_void_v<decltype(f())>) {
        f();
        done.set_value();
      } else {
        done.set_value(f());
      }
    });
    return done.get_future().get();
  }
  /// On the loop.
  void until(const std::function<bool()>& what) {
    auto end = std::chrono::steady_clock::now() + 10s;
    while (!on_loop(what)) {
      REQUIRE(std::chrono::steady_clock::now() < end);
      std::this_thread::yield();
    }
  }
  std::string last_failure() {
    auto until = std::chrono::steady_clock::now() + 10s;
    for (;;) {
      std::lock_guard lock(mutex);
      if (!failures.empty() || std::chrono::steady_clock::now() > until) return failures.empty() ? "" : failures.back();
    }
  }
};

/// Both directions at once, each as long as it likes; each end says when it has said all.
void exchange(const Fd& near, const Fd& far, std::size_t out_size, std::size_t back_size) {
  std::string out = pattern(out_size, 1), back = pattern(back_size, 2);
  std::thread writer([&] { put(near, out); shutdown(near.get(), SHUT_WR); });
  std::thread answerer([&] { put(far, back); shutdown(far.get(), SHUT_WR); });
  std::string came_back;
  std::thread reader([&] { came_back = take_all(near); });
  std::string came = take_all(far);
  for (std::thread* t : {&writer, &answerer, &reader}) t->join();
  CHECK((came == out));
  CHECK((came_back == back));
}

}  // namespace

TEST_CASE("streams carry every byte, both ways, and the end of each half") {
  struct Case { const char* name; bool tls; const char* token; };
  const Case cases[] = {{"with TLS", true, ""}, {"memory and disks in clear text", true, "tok3n"}, {"nodes without certificates", false, ""}};
  for (const Case& c : cases) {
    DYNAMIC_SECTION(c.name) {
      Nodes nodes(c.tls, c.token);
      Fd near = connect_to(nodes.source.path() / "memory.sock"), far = accept_at(nodes.memory);
      exchange(near, far, 24u << 20, 3u << 20);
      near = connect_to(nodes.source.path() / "source-libvirt.sock");
      far = accept_at(nodes.libvirt);
      exchange(near, far, 1, 200000);
      near = connect_to(nodes.source.path() / "disk.sock");
      far = accept_at(nodes.disk);
      exchange(near, far, 0, 0);
      near = connect_to(nodes.source.path() / "disk.sock");
      far = accept_at(nodes.disk);
      exchange(near, far, 70000, 5);
      nodes.until([&] { return nodes.sockets->streams() == 0; });
      CHECK(nodes.sockets->sent() == (24u << 20) + 70000);  // without libvirt's own words
    }
  }
}

TEST_CASE("in post-copy a memory stream is kept until the target takes it") {
  Nodes nodes;
  nodes.memory.reset();
  std::filesystem::remove(nodes.target.path() / "memory.sock");
  nodes.on_loop([&] { nodes.sockets->keep_trying("127.0.0.1:1"); });
  {
    Fd given_up = connect_to(nodes.source.path() / "memory.sock");
    put(given_up, "nobody");
  }
  CHECK_FALSE(nodes.last_failure().empty());
  Fd near = connect_to(nodes.source.path() / "memory.sock");
  nodes.on_loop([&] { nodes.sockets->keep_trying(nodes.address()); });
  nodes.memory = listen_at(nodes.target.path() / "memory.sock");
  Fd far = accept_at(nodes.memory);
  exchange(near, far, 70000, 3000);
}

TEST_CASE("in post-copy no memory stream is let in before QEMU listens again, and it is known whether one is open") {
  Nodes nodes;
  using Flow = NodePort::Flow;
  auto flow = [&](Channel channel) { return nodes.on_loop([&nodes, channel] { return nodes.port->flow("m1", channel); }); };
  auto expect = [&](bool waits) {
    nodes.on_loop([&nodes, waits] {
      nodes.port->expect({.migration = "m1", .instance = "i1", .source_node = "node1", .libvirt_dir = nodes.target.path(), .migration_dir = nodes.target.path(),
                          .libvirt_socket = "libvirt-sock", .plain_token = {}, .memory_waits = waits});
    });
  };
  expect(true);
  nodes.on_loop([&] { nodes.sockets->keep_trying("127.0.0.1:1"); });
  {
    Fd refused = connect_to(nodes.source.path() / "memory.sock");
    nodes.on_loop([&] { nodes.sockets->keep_trying(nodes.address()); });
    Fd other = connect_to(nodes.source.path() / "disk.sock"), there = accept_at(nodes.disk);
    nodes.until([&] { return nodes.port->flow("m1", Channel::Disk) == Flow::Open; });
    CHECK(flow(Channel::Memory) == Flow::None);
    CHECK(nodes.on_loop([&] { return nodes.port->flow("m2", Channel::Disk); }) == Flow::None);
    expect(false);
    Fd far = accept_at(nodes.memory);
    nodes.until([&] { return nodes.port->flow("m1", Channel::Memory) == Flow::Open; });
  }
  nodes.until([&] { return nodes.port->flow("m1", Channel::Memory) == Flow::None && nodes.port->flow("m1", Channel::Disk) == Flow::None; });
}

TEST_CASE("parallel memory streams do not mix") {
  Nodes nodes;
  std::vector<Fd> near, far;
  for (int i = 0; i < 8; ++i) near.push_back(connect_to(nodes.source.path() / "memory.sock"));
  for (int i = 0; i < 8; ++i) far.push_back(accept_at(nodes.memory));
  std::vector<std::thread> writers;
  for (int i = 0; i < 8; ++i)
    writers.emplace_back([&, i] {
      put(near[i], std::string(1, static_cast<char>('a' + i)) + std::string(700000, static_cast<char>('A' + i)));
      shutdown(near[i].get(), SHUT_WR);
    });
  std::vector<bool> seen(8);
  for (const Fd& fd : far) {
    std::string all = take_all(fd);
    REQUIRE(all.size() == 700001);
    int which = all[0] - 'a';
    seen[static_cast<std::size_t>(which)] = true;
    CHECK((all.substr(1) == std::string(700000, static_cast<char>('A' + which))));
  }
  for (std::thread& t : writers) t.join();
  CHECK(std::count(seen.begin(), seen.end(), true) == 8);
}

TEST_CASE("a reader that is gone ends the writer") {
  Nodes nodes;
  Fd near = connect_to(nodes.source.path() / "memory.sock"), far = accept_at(nodes.memory);
  far.reset();
  std::string piece(1u << 20, 'x');
  bool ended = false;
  for (int i = 0; i < 200 && !ended; ++i) ended = send(near.get(), piece.data(), piece.size(), MSG_NOSIGNAL) < 0;
  CHECK(ended);
}

TEST_CASE("the streams to a target that has ended are cut, and not those of its next try") {
  Nodes nodes;
  Fd near = connect_to(nodes.source.path() / "disk.sock"), far = accept_at(nodes.disk);
  put(near, "hello");
  char first = 0;
  REQUIRE(recv(far.get(), &first, 1, 0) == 1);
  auto end = nodes.on_loop([&] { return nodes.sockets->ending_these(); });
  Fd later = connect_to(nodes.source.path() / "disk.sock"), there = accept_at(nodes.disk);
  put(later, "hello");
  REQUIRE(recv(there.get(), &first, 1, 0) == 1);
  nodes.on_loop(end);
  CHECK(take_all(near).empty());
  CHECK(take_all(far).size() <= 4);
  put(there, "x");
  CHECK(recv(later.get(), &first, 1, 0) == 1);
}

TEST_CASE("a forgotten migration's streams end, and no new one is let in") {
  Nodes nodes;
  Fd near = connect_to(nodes.source.path() / "memory.sock"), far = accept_at(nodes.memory);
  put(near, "hello");
  char first = 0;
  REQUIRE(recv(far.get(), &first, 1, 0) == 1);
  nodes.on_loop([&] { nodes.port->forget("m1", true); });
  CHECK(take_all(far).size() <= 4);
  CHECK(take_all(near).empty());
  Fd late = connect_to(nodes.source.path() / "memory.sock");
  CHECK(take_all(late).empty());
  CHECK(nodes.last_failure().find("no migration of this uid") != std::string::npos);
}

TEST_CASE("who is not the source's virt-handler is refused") {
  struct Case { const char* name; const char* cn; const char* node; StreamHeader header; const char* why; };
  const Case cases[] = {
      {"another node", "virt-handler", "node3", {"m1", "i1", Channel::Memory, ""}, "not the virt-handler of node node1"},
      {"another program", "virt-api", "", {"m1", "i1", Channel::Memory, ""}, "no certificate of a virt-handler"},
      {"another migration", "virt-handler", "node1", {"m2", "i1", Channel::Control, ""}, "no migration of this uid"},
      {"another instance", "virt-handler", "node1", {"m1", "i2", Channel::Libvirt, ""}, "of another instance"},
  };
  for (const Case& c : cases) {
    DYNAMIC_SECTION(c.name) {
      Nodes nodes;
      StreamTls tls = nodes.pki.of(c.cn, c.node);
      boost::asio::io_context io;
      std::optional<Error> error;
      auto attempt = [](std::string address, StreamTls own, StreamHeader header, std::optional<Error>& out) -> Awaitable<void> {
        StreamTarget target{.address = address, .node = "node2"};
        auto opened = co_await open_stream(target, own, header);
        if (!opened.ok()) out = opened.error();
      };
      run(io, attempt(nodes.address(), tls, c.header, error));
      REQUIRE(error);
      CHECK(error->message.find(c.why) != std::string::npos);
    }
  }
}

TEST_CASE("a port that is not the target's virt-handler is not talked to") {
  Nodes nodes;
  StreamTls tls = nodes.pki.of("virt-handler", "node1");
  boost::asio::io_context io;
  std::optional<Error> error;
  auto attempt = [](std::string address, StreamTls own, std::optional<Error>& out) -> Awaitable<void> {
    StreamTarget target{.address = address, .node = "node9"};
    StreamHeader header{"m1", "i1", Channel::Control, ""};
    auto opened = co_await open_stream(target, own, header);
    if (!opened.ok()) out = opened.error();
  };
  run(io, attempt(nodes.address(), tls, error));
  REQUIRE(error);
  CHECK(error->code == Code::PermissionDenied);
}

TEST_CASE("clear text only where it was agreed on, and only for memory and disks") {
  struct Case { const char* name; const char* token; Channel channel; const char* said; bool in; };
  const Case cases[] = {{"not agreed", "", Channel::Memory, "x", false}, {"no token", "t", Channel::Memory, "", false},
                        {"a wrong token", "t", Channel::Memory, "u", false}, {"libvirt", "t", Channel::Libvirt, "t", false},
                        {"control", "t", Channel::Control, "t", false}, {"memory", "t", Channel::Memory, "t", true}};
  for (const Case& c : cases) {
    DYNAMIC_SECTION(c.name) {
      Nodes nodes(true, c.token);
      boost::asio::io_context io;
      bool in = false;
      auto attempt = [](std::string address, StreamHeader header, bool& out) -> Awaitable<void> {
        StreamTarget target{.address = address, .node = "node2", .plain = true};
        auto opened = co_await open_stream(target, StreamTls{}, header);
        out = opened.ok();
      };
      run(io, attempt(nodes.address(), {"m1", "i1", c.channel, c.said}, in));
      CHECK(in == c.in);
    }
  }
}

TEST_CASE("nonsense on the port harms nobody") {
  Nodes nodes(false);
  const std::string cases[] = {"\n", "GET / HTTP/1.1\r\n\r\n", std::string(100000, 'a'), std::string("\x16\x03\x01\x00\x05hello", 10), std::string(1024, '{') + "\n"};
  for (const std::string& text : cases) {
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(nodes.number);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    put(fd, text);
    shutdown(fd.get(), SHUT_WR);
    std::string answer = take_all(fd);
    CHECK((answer.empty() || answer.find("error") != std::string::npos));
  }
  Fd near = connect_to(nodes.source.path() / "memory.sock"), far = accept_at(nodes.memory);
  exchange(near, far, 1000, 1000);
}

TEST_CASE("the pod's socket is the launcher's, whatever stood at its name") {
  TempDir dir{"ps"};
  std::filesystem::create_symlink("/etc/passwd", dir.path() / "memory.sock");
  auto socket = listen_in_folder(dir.path(), "memory.sock", geteuid());
  REQUIRE(socket.ok());
  struct stat info {};
  REQUIRE(lstat((dir.path() / "memory.sock").c_str(), &info) == 0);
  CHECK(S_ISSOCK(info.st_mode));
  CHECK((info.st_mode & 0777) == 0600);
  CHECK(std::filesystem::exists("/etc/passwd"));
  CHECK_FALSE(listen_in_folder(dir.path(), "../x", 0).ok());
  CHECK_FALSE(listen_in_folder(dir.path() / "none", "x", 0).ok());
}

TEST_CASE("a control link: messages in order, then the end of it") {
  boost::asio::io_context io;
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
  auto a = std::make_shared<ControlLink>(io.get_executor(), std::make_shared<net::FdStream>(io.get_executor(), ends[0]));
  auto b = std::make_shared<ControlLink>(io.get_executor(), std::make_shared<net::FdStream>(io.get_executor(), ends[1]));
  std::vector<Json> heard;
  bool a_gone = false, b_gone = false;
  a->start([](Json) {}, [&](Error) { a_gone = true; });
  b->start([&](Json message) { heard.push_back(std::move(message)); }, [&](Error) { b_gone = true; });
  SECTION("messages") {
    for (int i = 0; i < 20; ++i) a->say({{"type", "n"}, {"n", i}});
    run(io, [](std::vector<Json>& all) -> Awaitable<void> { co_await eventually([&] { return all.size() == 20; }); }(heard));
    for (int i = 0; i < 20; ++i) CHECK(int_at(heard[static_cast<std::size_t>(i)], {"n"}) == i);
    b->close();
    run(io, [](bool& x, bool& y) -> Awaitable<void> { co_await eventually([&] { return x && y; }); }(a_gone, b_gone));
    CHECK(a_gone);
    CHECK(b_gone);
  }
  SECTION("nonsense ends it") {
    REQUIRE(send(ends[0], "nonsense\n", 9, MSG_NOSIGNAL) == 9);
    run(io, [](bool& x, bool& y) -> Awaitable<void> { co_await eventually([&] { return x && y; }); }(a_gone, b_gone));
    CHECK(b_gone);
    CHECK(heard.empty());
  }
  SECTION("a line without an end ends it") {
    std::string piece(ControlLink::kMaxLine + 10, 'a');
    a->say({{"x", piece}});
    run(io, [](bool& y) -> Awaitable<void> { co_await eventually([&] { return y; }); }(b_gone));
    CHECK(b_gone);
    CHECK(heard.empty());
  }
}
