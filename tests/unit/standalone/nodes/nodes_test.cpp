#include <atomic>
#include <fcntl.h>
#include <sys/file.h>
#include <thread>

#include <catch2/catch.hpp>

#include "standalone/nodes/machine_lock.hpp"
#include "standalone/nodes/network.hpp"

using namespace nodevirt;
using namespace nodevirt::nodes;

TEST_CASE("ranges are read strictly", "[nodes]") {
  struct Case { std::string name, text, want; };
  for (const Case& c : {Case{"range", "10.233.0.0/24", "10.233.0.0/24"}, Case{"address", "10.1.2.3", "10.1.2.3/32"},
                        Case{"everything", "0.0.0.0/0", "0.0.0.0/0"}, Case{"host bits", "10.1.2.3/24", ""},
                        Case{"too long", "10.0.0.0/33", ""}, Case{"no number", "10.0.0.0/x", ""}, Case{"trailing", "10.0.0.0/24 ", ""},
                        Case{"not an address", "fe80::/64", ""}, Case{"empty", "", ""}}) {
    DYNAMIC_SECTION(c.name) {
      auto got = Cidr::parse(c.text);
      REQUIRE(got.ok() == !c.want.empty());
      if (got.ok()) CHECK(got->to_string() == c.want);
    }
  }
}

TEST_CASE("ranges overlap when one holds the other", "[nodes]") {
  auto c = [](const char* t) { return Cidr::parse(t).value(); };
  CHECK(c("10.0.0.0/8").overlaps(c("10.233.0.0/24")));
  CHECK(c("10.233.0.0/24").overlaps(c("10.0.0.0/8")));
  CHECK_FALSE(c("10.233.0.0/24").overlaps(c("10.233.1.0/24")));
  CHECK(c("10.234.0.0/16").sub(24, 3).to_string() == "10.234.3.0/24");
}

TEST_CASE("ranges that somebody uses are passed over", "[nodes]") {
  auto routes = parse_json(R"([{"dst":"default","dev":"eth0"},{"dst":"10.233.0.0/24","dev":"br-x"},
                               {"dst":"10.96.0.0/16","dev":"nvbrabc"},{"type":"multicast","dst":"224.0.0.0/4"}])").value();
  auto addresses = parse_json(R"([{"ifname":"eth0","addr_info":[{"local":"10.234.9.9","prefixlen":24}]}])").value();
  auto taken = ranges_in_use(routes, addresses, "nvbrabc");
  auto r = choose_ranges({}, taken);
  REQUIRE(r.ok());
  CHECK(r->nodes.to_string() == "10.233.1.0/24");
  CHECK(r->pods.to_string() == "10.235.0.0/16");
  CHECK(r->services.to_string() == "10.96.0.0/16");   // its own bridge does not count

  auto clash = choose_ranges({.nodes = "10.233.0.0/24"}, taken);
  REQUIRE_FALSE(clash.ok());
  CHECK(clash.error().message.find("--node-cidr") != std::string::npos);
  CHECK_FALSE(choose_ranges({.pods = "10.9.0.0/24"}, taken).ok());
}

TEST_CASE("an instance that comes back sees that another one has its ranges", "[nodes]") {
  const Ranges ours{Cidr::parse("10.233.0.0/24").value(), Cidr::parse("10.234.0.0/16").value(), Cidr::parse("10.96.0.0/16").value()};
  struct Case { std::string name, routes, want; };
  for (const Case& c : {Case{"nobody", R"([{"dst":"default","dev":"eth0"}])", ""},
                        Case{"its own bridge", R"([{"dst":"10.233.0.0/24","dev":"nvbraaaaaa"}])", ""},
                        Case{"another's pods", R"([{"dst":"10.234.2.0/24","dev":"nvbrbbbbbb"}])", "10.234.0.0/16 (nvbrbbbbbb)"},
                        Case{"a wider route of the machine", R"([{"dst":"10.0.0.0/8","dev":"wg0"}])", ""},
                        Case{"another's other ranges", R"([{"dst":"10.233.1.0/24","dev":"nvbrbbbbbb"}])", ""}}) {
    DYNAMIC_SECTION(c.name) { CHECK(range_of_another(parse_json(c.routes).value(), ours, "nvbraaaaaa") == c.want); }
  }
}

TEST_CASE("a lock of the machine is held by one", "[nodes]") {
  TempDir dir;
  auto first = lock_machine("networks", dir.path());
  REQUIRE(first.ok());
  std::atomic<bool> second_has_it = false;
  std::thread second([&] { second_has_it = lock_machine("networks", dir.path()).ok(); });
  Fd probe(open((dir.path() / "networks.lock").c_str(), O_RDWR | O_CLOEXEC));
  CHECK(flock(probe.get(), LOCK_EX | LOCK_NB) != 0);
  CHECK_FALSE(second_has_it);
  first->reset();
  second.join();
  CHECK(second_has_it);
}

TEST_CASE("two data directories never share a name", "[nodes]") {
  Ranges r{Cidr::parse("10.233.0.0/24").value(), Cidr::parse("10.234.0.0/16").value(), Cidr::parse("10.96.0.0/16").value()};
  auto a = make_topology(instance_hash("/var/lib/nodevirt"), true, r, 2);
  auto b = make_topology(instance_hash("/tmp/other"), false, r, 2);
  CHECK(a.bridge != b.bridge);
  CHECK(a.table != b.table);
  CHECK(a.nodes[0].netns == "nodevirt-node1");
  CHECK(b.nodes[0].netns == "nodevirt-" + b.hash + "-node1");
  CHECK(a.nodes[1].host_link != b.nodes[1].host_link);
  for (const auto& n : a.nodes) CHECK(n.host_link.size() <= 15);
  CHECK(a.nodes[1].address == "10.233.0.12");
  CHECK(a.nodes[1].pods.to_string() == "10.234.2.0/24");
  CHECK(a.dns_address == "10.96.0.10");
}

TEST_CASE("the link of a node is made once, everything else is repeatable", "[nodes]") {
  Ranges r{Cidr::parse("10.233.0.0/24").value(), Cidr::parse("10.234.0.0/16").value(), Cidr::parse("10.96.0.0/16").value()};
  auto t = make_topology("abcdef", false, r, 2);
  std::string again = host_batch(t, true, {true, true});
  CHECK(again.find("link add") == std::string::npos);
  CHECK(host_batch(t, false, {true, false}).find("link add nvabcdefn2 type veth peer name eth0 netns nodevirt-abcdef-node2") != std::string::npos);
  CHECK(node_batch(t, t.nodes[0]).find("route replace 10.234.2.0/24 via 10.233.0.12") != std::string::npos);
}
