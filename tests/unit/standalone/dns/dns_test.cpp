#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "pkg/base/file.hpp"
#include "standalone/dns/server.hpp"

using namespace nodevirt;
using namespace nodevirt::dns;

namespace {

std::string name_bytes(const std::string& name) {
  std::string out;
  std::istringstream in(name);
  for (std::string label; std::getline(in, label, '.');) out += static_cast<char>(label.size()) + label;
  return out + '\0';
}

std::string query_bytes(const std::string& name, std::uint16_t type, std::uint16_t id = 0x1234) {
  std::string out{static_cast<char>(id >> 8), static_cast<char>(id & 255), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  return out + name_bytes(name) + std::string{static_cast<char>(type >> 8), static_cast<char>(type & 255), 0, 1};
}

struct FakeRecords final : Records {
  std::vector<std::shared_ptr<const services::ServiceView>> all;
  std::vector<std::shared_ptr<const services::SliceView>> slice_list;

  void add_service(const std::string& text) {
    all.push_back(std::make_shared<const services::ServiceView>(services::ServiceView::decode(parse_json(text).value()).value()));
  }
  void add_slice(const std::string& text) {
    slice_list.push_back(std::make_shared<const services::SliceView>(services::SliceView::decode(parse_json(text).value()).value()));
  }
  std::shared_ptr<const services::ServiceView> service(const std::string& ns, const std::string& name) const override {
    for (const auto& s : all)
      if (s->meta.ns == ns && s->meta.name == name) return s;
    return nullptr;
  }
  std::vector<std::shared_ptr<const services::SliceView>> slices(const std::string& ns, const std::string& service) const override {
    std::vector<std::shared_ptr<const services::SliceView>> out;
    for (const auto& s : slice_list)
      if (s->meta.ns == ns && s->service == service) out.push_back(s);
    return out;
  }
  std::vector<std::shared_ptr<const services::ServiceView>> services_at(const std::string& address) const override {
    std::vector<std::shared_ptr<const services::ServiceView>> out;
    for (const auto& s : all)
      if (s->cluster_ip == address) out.push_back(s);
    return out;
  }
  std::vector<std::shared_ptr<const services::SliceView>> slices_at(const std::string& address) const override {
    std::vector<std::shared_ptr<const services::SliceView>> out;
    for (const auto& s : slice_list)
      for (const auto& e : s->endpoints)
        if (e.address == address) out.push_back(s);
    return out;
  }
};

FakeRecords cluster() {
  FakeRecords r;
  r.add_service(R"({"metadata":{"name":"web","namespace":"default"},"spec":{"clusterIP":"10.96.0.5","ports":[{"name":"http","port":80}]}})");
  r.add_service(R"({"metadata":{"name":"vms","namespace":"default"},"spec":{"clusterIP":"None","ports":[{"name":"ssh","port":22}]}})");
  r.add_service(R"({"metadata":{"name":"out","namespace":"default"},"spec":{"type":"ExternalName","externalName":"example.org"}})");
  r.add_slice(R"({"metadata":{"name":"vms-1","namespace":"default","labels":{"kubernetes.io/service-name":"vms"}},"addressType":"IPv4","ports":[{"name":"ssh","port":22}],
    "endpoints":[{"addresses":["10.234.1.2"],"hostname":"vm1","conditions":{"ready":true}},{"addresses":["10.234.1.3"],"conditions":{"ready":true}},{"addresses":["10.234.1.4"],"conditions":{"ready":false}}]})");
  return r;
}

std::string shown(const Answer& a) {
  std::string out = a.code == kNameError ? "NXDOMAIN" : "";
  for (const Record& r : a.answers)
    out += fmt::format("{}{}", out.empty() ? "" : " ", r.type == kA ? r.address : r.type == kSRV ? fmt::format("{}:{}", r.target, r.port) : r.target);
  return out;
}

}  // namespace

TEST_CASE("the cluster's names", "[dns]") {
  FakeRecords records = cluster();
  ZoneOptions options;
  options.own_address = [](const std::string& a) { return a.starts_with("10.96."); };
  struct Case { std::string name; std::uint16_t type; std::string want; };
  for (const Case& c : {
           Case{"web.default.svc.cluster.local", kA, "10.96.0.5"},
           Case{"web.default.svc.cluster.local", kAAAA, ""},
           Case{"nope.default.svc.cluster.local", kA, "NXDOMAIN"},
           Case{"vms.default.svc.cluster.local", kA, "10.234.1.2 10.234.1.3"},
           Case{"vm1.vms.default.svc.cluster.local", kA, "10.234.1.2"},
           Case{"10-234-1-3.vms.default.svc.cluster.local", kA, "10.234.1.3"},
           Case{"vm2.vms.default.svc.cluster.local", kA, "NXDOMAIN"},
           Case{"_http._tcp.web.default.svc.cluster.local", kSRV, "web.default.svc.cluster.local:80"},
           Case{"_ssh._tcp.vms.default.svc.cluster.local", kSRV, "vm1.vms.default.svc.cluster.local:22 10-234-1-3.vms.default.svc.cluster.local:22"},
           Case{"_http._udp.web.default.svc.cluster.local", kSRV, "NXDOMAIN"},
           Case{"out.default.svc.cluster.local", kA, "example.org"},
           Case{"10-1-2-3.default.pod.cluster.local", kA, "10.1.2.3"},
           Case{"x.default.pod.cluster.local", kA, "NXDOMAIN"},
           Case{"svc.cluster.local", kA, ""},
           Case{"cluster.local", kA, ""},
           Case{"a.b.c.d.e.f.svc.cluster.local", kA, "NXDOMAIN"},
           Case{"5.0.96.10.in-addr.arpa", kPTR, "web.default.svc.cluster.local"},
           Case{"2.1.234.10.in-addr.arpa", kPTR, "vm1.vms.default.svc.cluster.local"},
           Case{"9.0.96.10.in-addr.arpa", kPTR, "NXDOMAIN"},
       }) {
    DYNAMIC_SECTION(c.name << " " << c.type) {
      auto a = resolve({c.name, c.name, c.type, kInternet}, records, options);
      REQUIRE(a);
      CHECK(shown(*a) == c.want);
    }
  }
  for (const char* foreign : {"example.org", "notcluster.local", "8.8.8.8.in-addr.arpa", ""}) CHECK_FALSE(resolve({foreign, foreign, kA, kInternet}, records, options));
}

TEST_CASE("hostile messages are refused", "[dns]") {
  const std::string good = query_bytes("web.default.svc.cluster.local", kA);
  REQUIRE(parse_query(good).ok());
  struct Case { std::string name, bytes; };
  std::string answer = good, two = good, loop = good.substr(0, 12) + std::string("\xc0\x0c\0\1\0\1", 6), forward = good.substr(0, 12) + std::string("\xc0\x20\0\1\0\1", 6);
  answer[2] = static_cast<char>(0x80);
  two[5] = 2;
  std::string dotted = query_bytes("a", kA);
  dotted[13] = '.';
  std::string extra = good;
  extra[11] = 1;   // announces a record that is not there
  for (const Case& c : {Case{"empty", ""}, Case{"short", good.substr(0, 11)}, Case{"cut name", good.substr(0, 20)}, Case{"cut type", good.substr(0, good.size() - 1)},
                        Case{"an answer", answer}, Case{"two questions", two}, Case{"pointer to itself", loop}, Case{"pointer forward", forward},
                        Case{"dot in a label", dotted}, Case{"missing record", extra}, Case{"long label", good.substr(0, 12) + std::string(80, '\x7f')}}) {
    DYNAMIC_SECTION(c.name) { CHECK_FALSE(parse_query(c.bytes).ok()); }
  }
  std::string endless = good.substr(0, 12);
  for (int i = 0; i < 60; ++i) endless += std::string("\x05" "aaaaa");
  CHECK_FALSE(parse_query(endless + std::string("\0\0\1\0\1", 5)).ok());
}

TEST_CASE("case of the question is kept, answers fit or say that they do not", "[dns]") {
  auto q = parse_query(query_bytes("WeB.Default.svc.cluster.local", kA)).value();
  CHECK(q.question.name == "web.default.svc.cluster.local");
  Answer a;
  for (int i = 0; i < 100; ++i) a.answers.push_back({.name = q.question.name, .type = kA, .address = "10.0.0.1"});
  std::string small = encode_response(q, a, q.udp_size), large = encode_response(q, a, 65535);
  CHECK(small.size() <= 512);
  CHECK(truncated(small));
  CHECK_FALSE(truncated(large));
  CHECK(answers(large, q));
  CHECK(large.find("WeB") != std::string::npos);
  CHECK(large.size() == 12 + 31 + 4 + 100 * 16);
}

TEST_CASE("nameservers of resolv.conf", "[dns]") {
  CHECK(upstreams_of("# x\nsearch a\nnameserver 10.0.0.1\nnameserver ::1\n nameserver 10.0.0.2\nnameserver nonsense\n") ==
        std::vector<std::string>{"10.0.0.1", "10.0.0.2"});
  CHECK(upstreams_of("").empty());
}

namespace {

/// Asks over a real socket and returns the answer, or "" after two seconds.
std::string ask(std::uint16_t port, int type, const std::string& message) {
  Fd fd(socket(AF_INET, type, 0));
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  timeval t{.tv_sec = 2, .tv_usec = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) != 0) return "";
  std::string framed = message;
  if (type == SOCK_STREAM) framed.insert(0, {static_cast<char>(message.size() >> 8), static_cast<char>(message.size() & 255)});
  if (send(fd.get(), framed.data(), framed.size(), 0) < 0) return "";
  char buffer[4096];
  std::string out;
  do {
    ssize_t n = recv(fd.get(), buffer, sizeof buffer, 0);
    if (n <= 0) break;
    out.append(buffer, static_cast<std::size_t>(n));
  } while (type == SOCK_STREAM && out.size() < 12);
  return type == SOCK_STREAM && out.size() > 2 ? out.substr(2) : out;
}

struct Running {
  explicit Running(ServerOptions o, const Records& r) : server(io.get_executor(), std::move(o), r) {
    port = server.listen().value();
    boost::asio::co_spawn(io, server.run(stop.get_token()), boost::asio::detached);
    thread = std::thread([this] { io.run(); });
  }
  ~Running() {
    boost::asio::post(io, [this] { stop.request_stop(); });
    thread.join();
  }
  boost::asio::io_context io;
  Server server;
  StopSource stop;
  std::uint16_t port = 0;
  std::thread thread;
};

}  // namespace

TEST_CASE("served over UDP and TCP, others forwarded", "[dns]") {
  FakeRecords records = cluster(), other;
  other.add_service(R"({"metadata":{"name":"far","namespace":"x"},"spec":{"clusterIP":"192.0.2.9","ports":[]}})");
  ServerOptions upstream_options;
  upstream_options.port = 0;
  upstream_options.zone.domain = "example.org";
  Running upstream(upstream_options, other);
  ServerOptions options;
  options.port = 0;
  options.upstreams = {fmt::format("127.0.0.1#{}", upstream.port)};
  Running server(options, records);
  const std::string service = query_bytes("web.default.svc.cluster.local", kA), foreign = query_bytes("far.x.svc.example.org", kA);
  const std::string address("\x0a\x60\x00\x05", 4), far("\xc0\x00\x02\x09", 4);
  for (int type : {SOCK_DGRAM, SOCK_STREAM}) {
    DYNAMIC_SECTION((type == SOCK_DGRAM ? "UDP" : "TCP")) {
      CHECK(ask(server.port, type, service).ends_with(address));
      std::string forwarded = ask(server.port, type, foreign);
      CHECK(forwarded.ends_with(far));
      CHECK(forwarded.substr(0, 2) == "\x12\x34");
    }
  }
  CHECK(ask(server.port, SOCK_DGRAM, "\x12\x34garbagegarbage").substr(0, 2) == "\x12\x34");
}
