// The pod's network as text: what ip and nft are given.
#include <catch2/catch.hpp>

#include "virt-handler/network/masquerade.hpp"
#include "virt-handler/network/resolv_conf.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler;

namespace {

api::Instance with_interface(api::Interface interface, std::string cidr = "") {
  api::Instance vmi;
  vmi.metadata.uid = "u1";
  vmi.spec.networks.push_back({.name = interface.name, .pod = true, .vm_network_cidr = std::move(cidr)});
  vmi.spec.domain.devices.interfaces.push_back(std::move(interface));
  return vmi;
}

MasqueradePlan the_plan(const api::Instance& vmi) {
  auto plans = plan_masquerade(vmi);
  REQUIRE(plans.ok());
  REQUIRE(plans->size() == 1);
  return plans->front();
}

}  // namespace

TEST_CASE("all ports are forwarded when none is declared") {
  MasqueradePlan plan = the_plan(with_interface({.name = "default", .binding = "masquerade"}));
  CHECK(render_nft(plan) == R"(table ip nodevirt {
}
delete table ip nodevirt
table ip nodevirt {
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    iifname "eth0" jump preinbound
  }
  chain preinbound {
    dnat to 10.0.2.2
  }
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr 127.0.0.1 dnat to 10.0.2.2
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    oifname "k6t-eth0" jump postinbound
    ip saddr 10.0.2.2 masquerade
  }
  chain postinbound {
    ip saddr 127.0.0.1 snat to 10.0.2.1
  }
}
)");
}

TEST_CASE("declared ports are forwarded, and no others") {
  api::Interface interface{.name = "default", .binding = "masquerade"};
  interface.ports = {{.name = "http", .protocol = "TCP", .port = 80}, {.name = "ssh", .protocol = "", .port = 22}, {.name = "dns", .protocol = "UDP", .port = 53}};
  std::string text = render_nft(the_plan(with_interface(interface, "192.168.100.0/28")));
  CHECK(text.find("    tcp dport { 22, 80 } dnat to 192.168.100.2\n    udp dport { 53 } dnat to 192.168.100.2\n") != std::string::npos);
  CHECK(text.find("ip daddr 127.0.0.1 tcp dport { 22, 80 } dnat to 192.168.100.2\n") != std::string::npos);
  CHECK(text.find("    dnat to") == std::string::npos);
  CHECK(text.find("snat to 192.168.100.1\n") != std::string::npos);
}

TEST_CASE("a pod with IPv6 has a second family") {
  MasqueradePlan plan = the_plan(with_interface({.name = "default", .binding = "masquerade"}));
  plan.ipv6 = true;
  CHECK(render_nft(plan).find("table ip6 nodevirt {") != std::string::npos);
  CHECK(render_nft(plan).find("dnat to fd10:0:2::2") != std::string::npos);
  CHECK(render_ip_batch(plan, {}).find("addr replace fd10:0:2::1/120 dev k6t-eth0 nodad\n") != std::string::npos);
}

TEST_CASE("only what is missing is made") {
  MasqueradePlan plan = the_plan(with_interface({.name = "default", .binding = "masquerade"}));
  plan.mtu = 1450;
  plan.tap_owner = 990;
  CHECK(render_ip_batch(plan, {}) ==
        "link add k6t-eth0 address 02:00:00:00:00:00 mtu 1450 type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n"
        "tuntap add dev tap0 mode tap user 990\n"
        "link set dev tap0 mtu 1450 master k6t-eth0 up\n"
        "link set dev k6t-eth0 mtu 1450 up\n"
        "addr replace 10.0.2.1/24 dev k6t-eth0\n");
  CHECK(render_ip_batch(plan, {.bridge = true, .tap = true}) ==
        "link set dev tap0 mtu 1450 master k6t-eth0 up\n"
        "link set dev k6t-eth0 mtu 1450 up\n"
        "addr replace 10.0.2.1/24 dev k6t-eth0\n");
}

TEST_CASE("what the instance asks of its network") {
  SECTION("nothing said: one masquerade interface") {
    api::Instance vmi;
    vmi.metadata.uid = "u1";
    CHECK(the_plan(vmi).interface_name == "default");
  }
  SECTION("none wanted") {
    api::Instance vmi;
    vmi.spec.domain.devices.autoattach_pod_interface = false;
    auto plans = plan_masquerade(vmi);
    REQUIRE(plans.ok());
    CHECK(plans->empty());
  }
  SECTION("another binding is refused by name") {
    auto plans = plan_masquerade(with_interface({.name = "net1", .binding = "sriov"}));
    REQUIRE_FALSE(plans.ok());
    CHECK(plans.error().message.find("sriov") != std::string::npos);
  }
  SECTION("the MAC that was given stays; without one it is the same at every start") {
    CHECK(the_plan(with_interface({.name = "default", .binding = "masquerade", .mac = "02-00-00-00-00-01"})).mac == "02:00:00:00:00:01");
    std::string mac = the_plan(with_interface({.name = "default", .binding = "masquerade"})).mac;
    CHECK(mac == stable_mac("u1", "default"));
    CHECK(mac.size() == 17);
    CHECK(mac.substr(0, 3) == "02:");
    CHECK(mac != stable_mac("u2", "default"));
  }
}

TEST_CASE("guest networks") {
  struct Case { std::string cidr, gateway, guest; };
  for (const Case& c : {Case{"10.0.2.0/24", "10.0.2.1", "10.0.2.2"}, Case{"10.11.12.13/8", "10.0.0.1", "10.0.0.2"}, Case{"192.168.1.4/30", "192.168.1.5", "192.168.1.6"}}) {
    DYNAMIC_SECTION(c.cidr) {
      auto parsed = parse_guest_network(c.cidr);
      REQUIRE(parsed.ok());
      CHECK(parsed->gateway == c.gateway);
      CHECK(parsed->guest == c.guest);
    }
  }
  for (const char* wrong : {"", "10.0.2.0", "10.0.2.0/31", "10.0.2.0/0", "10.0.2/24", "10.0.2.0/24x", "fd00::/64", "10.0.2.0/-1"})
    DYNAMIC_SECTION("refused: " << wrong) { CHECK_FALSE(parse_guest_network(wrong).ok()); }
}

TEST_CASE("resolv.conf") {
  ResolvConf conf = parse_resolv_conf(
      "# comment\nnameserver 127.0.0.53\nnameserver 10.96.0.10\n nameserver\t8.8.8.8 \nnameserver fd00::53\nnameserver ::1\nnameserver x\n"
      "search old.example\nsearch default.svc.cluster.local svc.cluster.local ba/d\noptions ndots:5\n");
  CHECK(conf.servers == std::vector<std::string>{"10.96.0.10", "8.8.8.8", "fd00::53"});
  CHECK(conf.search == std::vector<std::string>{"default.svc.cluster.local", "svc.cluster.local"});
  CHECK(parse_resolv_conf("").servers.empty());
  CHECK(parse_resolv_conf(std::string(3, '\0')).servers.empty());
}
