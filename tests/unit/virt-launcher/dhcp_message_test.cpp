// The DHCP responder's parser and reply builder, without sockets.
#include <catch2/catch.hpp>

#include <optional>

#include "virt-launcher/dhcp/wanted.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_launcher::dhcp;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes message(Type type, Bytes options = {}, std::uint8_t last_mac_byte = 0x56) {
  Bytes b(236);
  b[0] = 1, b[1] = 1, b[2] = 6;
  b[4] = 0xde, b[5] = 0xad, b[6] = 0xbe, b[7] = 0xef;
  Bytes mac = {0x02, 0, 0, 0x12, 0x34, last_mac_byte};
  std::copy(mac.begin(), mac.end(), b.begin() + 28);
  b.insert(b.end(), {99, 130, 83, 99, 53, 1, static_cast<std::uint8_t>(type)});
  b.insert(b.end(), options.begin(), options.end());
  b.push_back(255);
  return b;
}

Lease lease() {
  Lease l;
  l.mac = *parse_mac("02:00:00:12:34:56");
  l.ip = *parse_ip("10.0.2.2");
  l.gateway = *parse_ip("10.0.2.1");
  l.dns = {*parse_ip("10.96.0.10")};
  l.search = {"default.svc.cluster.local", "svc.cluster.local"};
  l.mtu = 1480;
  l.hostname = "vm";
  return l;
}

std::optional<Bytes> option(const Bytes& reply, std::uint8_t code) {
  std::optional<Bytes> out;
  for (std::size_t at = 240; at < reply.size() && reply[at] != 255;) {
    if (reply[at] == 0) { ++at; continue; }
    std::size_t n = reply[at + 1];
    if (reply[at] == code) {
      if (!out) out.emplace();
      out->insert(out->end(), reply.begin() + static_cast<long>(at + 2), reply.begin() + static_cast<long>(at + 2 + n));
    }
    at += 2 + n;
  }
  return out;
}

std::optional<Bytes> ask(const Bytes& in, const Lease& l = lease()) {
  auto q = parse_request(in);
  REQUIRE(q.ok());
  return build_reply(*q, l);
}

}  // namespace

TEST_CASE("a discover is offered the whole configuration") {
  auto r = ask(message(Type::Discover));
  REQUIRE(r);
  CHECK(r->size() >= 300);
  CHECK((*r)[0] == 2);
  CHECK(Bytes(r->begin() + 4, r->begin() + 8) == Bytes{0xde, 0xad, 0xbe, 0xef});
  CHECK(Bytes(r->begin() + 16, r->begin() + 20) == Bytes{10, 0, 2, 2});
  CHECK(option(*r, 53) == Bytes{2});
  CHECK(option(*r, 54) == Bytes{10, 0, 2, 1});
  CHECK(option(*r, 51) == Bytes{255, 255, 255, 255});
  CHECK(option(*r, 1) == Bytes{255, 255, 255, 0});
  CHECK(option(*r, 3) == Bytes{10, 0, 2, 1});
  CHECK(option(*r, 6) == Bytes{10, 96, 0, 10});
  CHECK(option(*r, 12) == Bytes{'v', 'm'});
  CHECK(option(*r, 26) == Bytes{1480 >> 8, 1480 & 255});
  auto search = option(*r, 119);
  REQUIRE(search);
  CHECK(std::string(search->begin(), search->end()) ==
        std::string("\7default\3svc\7cluster\5local\0\3svc\7cluster\5local\0", 46));
  CHECK_FALSE(option(*r, 121));
}

TEST_CASE("who is answered, and how") {
  struct Case { const char* name; Bytes in; std::optional<std::uint8_t> want; };
  const Case cases[] = {
      {"its own address", message(Type::Request, {50, 4, 10, 0, 2, 2}), 5},
      {"another address", message(Type::Request, {50, 4, 10, 0, 2, 9}), 6},
      {"nothing asked for", message(Type::Request), 6},
      {"this server", message(Type::Request, {50, 4, 10, 0, 2, 2, 54, 4, 10, 0, 2, 1}), 5},
      {"another server", message(Type::Request, {50, 4, 10, 0, 2, 2, 54, 4, 10, 0, 2, 7}), std::nullopt},
      {"another machine", message(Type::Discover, {}, 0x57), std::nullopt},
      {"inform", message(Type::Inform), 5},
      {"release", message(Type::Release), std::nullopt},
      {"decline", message(Type::Decline), std::nullopt},
      {"an offer", message(Type::Offer), std::nullopt},
  };
  for (auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      auto r = ask(c.in);
      REQUIRE(r.has_value() == c.want.has_value());
      if (r) CHECK(option(*r, 53) == Bytes{*c.want});
      if (c.want == 6) CHECK_FALSE(option(*r, 1));
    }
  }
}

TEST_CASE("routes carry the default route along, because clients then ignore the router option") {
  Lease l = lease();
  l.routes = {*parse_route("10.96.0.0/12", "10.0.2.1")};
  auto r = ask(message(Type::Discover), l);
  REQUIRE(r);
  CHECK(option(*r, 121) == Bytes{12, 10, 96, 10, 0, 2, 1, 0, 10, 0, 2, 1});
}

TEST_CASE("what the instance wants to be told is told") {
  Lease l = lease();
  api::Interface wanted;
  wanted.name = "default";
  wanted.dhcp_options = Json::parse(R"({"tftpServerName": "boot", "bootFileName": "pxe.0", "ntpServers": ["10.1.2.3", "10.1.2.4"],
      "privateOptions": [{"option": 240, "value": "hi"}]})");
  REQUIRE(add_wanted_options(wanted, l).ok());
  auto r = ask(message(Type::Discover), l);
  REQUIRE(r);
  CHECK(option(*r, 66) == Bytes{'b', 'o', 'o', 't'});
  CHECK(option(*r, 67) == Bytes{'p', 'x', 'e', '.', '0'});
  CHECK(option(*r, 42) == Bytes{10, 1, 2, 3, 10, 1, 2, 4});
  CHECK(option(*r, 240) == Bytes{'h', 'i'});
  auto plain = ask(message(Type::Discover));
  for (std::uint8_t code : {66, 67, 42, 240}) CHECK_FALSE(option(*plain, code));
}

TEST_CASE("what cannot be told is named") {
  for (const char* bad : {R"({"ntpServers": ["pool"]})", R"({"ntpServers": [1]})", R"({"privateOptions": [{"option": 6, "value": "x"}]})",
                          R"({"privateOptions": [{"option": 255, "value": "x"}]})", R"({"privateOptions": [{"option": 230, "value": ""}]})",
                          R"({"privateOptions": [7]})"}) {
    DYNAMIC_SECTION(bad) {
      Lease l = lease();
      api::Interface wanted;
      wanted.name = "red";
      wanted.dhcp_options = Json::parse(bad);
      auto added = add_wanted_options(wanted, l);
      REQUIRE_FALSE(added.ok());
      CHECK(added.error().message.starts_with("interface red: dhcpOptions."));
    }
  }
}

TEST_CASE("hostile messages are refused") {
  struct Case { const char* name; Bytes in; };
  Bytes cut = message(Type::Discover);
  cut.resize(200);
  Bytes reply = message(Type::Discover);
  reply[0] = 2;
  Bytes cookie = message(Type::Discover);
  cookie[236] = 0;
  Bytes overlong = message(Type::Discover);
  overlong.back() = 12;
  overlong.push_back(200);
  Bytes untyped = message(Type::Discover);
  untyped[240] = 0, untyped[241] = 0, untyped[242] = 0;
  for (auto& c : {Case{"cut", cut}, Case{"reply", reply}, Case{"cookie", cookie}, Case{"overlong", overlong}, Case{"untyped", untyped}, Case{"empty", {}}})
    DYNAMIC_SECTION(c.name) { CHECK_FALSE(parse_request(c.in).ok()); }
}

TEST_CASE("addresses in text") {
  for (const char* bad : {"", "02:00:00:12:34", "02:00:00:12:34:5g", "02:00:00:12:34:567", "0200:00:12:34:56:"}) CHECK_FALSE(parse_mac(bad).ok());
  for (const char* bad : {"", "10.0.0", "10.0.0.256", "::1"}) CHECK_FALSE(parse_ip(bad).ok());
  CHECK_FALSE(parse_route("10.0.0.0/33", "10.0.0.1").ok());
  CHECK(format_ip(*parse_ip("192.168.7.1")) == "192.168.7.1");
}
