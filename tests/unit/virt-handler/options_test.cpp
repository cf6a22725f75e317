// virt-handler's command line.
#include <catch2/catch.hpp>

#include "virt-handler/options.hpp"

using namespace nodevirt::virt_handler;

TEST_CASE("flags are read in both forms") {
  auto options = parse_options({"--node-name", "n1", "--listen=[::1]:8186", "--launcher-uid", "990", "--agent-socket=/run/a.sock"});
  REQUIRE(options.ok());
  CHECK(options->node_name == "n1");
  CHECK(options->listen_address == "::1");
  CHECK(options->listen_port == 8186);
  CHECK(options->launcher_uid == 990);
  CHECK(options->agent_socket == "/run/a.sock");
  CHECK(options->kubelet_root == "/var/lib/kubelet");
}

TEST_CASE("wrong flags are named") {
  struct Case { std::vector<std::string> args; std::string names; };
  for (const Case& c : {Case{{"--what"}, "--what"}, Case{{"--listen", "nowhere"}, "--listen"}, Case{{"--launcher-uid", "x"}, "--launcher-uid"},
                        Case{{"--node-name"}, "--node-name"}, Case{{"word"}, "word"}, Case{{"--tls-cert", "a"}, "--tls-key"}}) {
    DYNAMIC_SECTION(c.names) {
      auto options = parse_options(c.args);
      REQUIRE_FALSE(options.ok());
      CHECK(options.error().message.find(c.names) != std::string::npos);
    }
  }
}
