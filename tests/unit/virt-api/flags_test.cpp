// The command line: what stands for what, and what is missing.
#include <catch2/catch.hpp>

#include "virt-api/flags.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_api;

TEST_CASE("one CA and one certificate stand for all", "[virt-api]") {
  auto f = parse_flags({"--register", "--kubeconfig", "k", "--listen-fd", "3", "--tls-cert", "c", "--tls-key", "p", "--ca", "ca"});
  REQUIRE(f.ok());
  CHECK(f->client_ca == "ca");
  CHECK(f->ca_bundle == "ca");
  CHECK(f->handler_ca == "ca");
  CHECK(f->handler_cert == "c");
  CHECK(f->handler_key == "p");
  CHECK(f->listen_fd == 3);
  CHECK(f->register_self);
  CHECK(f->allowed_cn == std::vector<std::string>{"apiserver-client"});
}

TEST_CASE("what is missing or unknown is said", "[virt-api]") {
  struct Case {
    std::vector<std::string> args;
    std::string contains;
  };
  for (const auto& c : std::vector<Case>{{{}, "--tls-cert"}, {{"--tls-cert", "c", "--tls-key", "k"}, "--ca is missing"},
                                         {{"--tls-cert", "c", "--tls-key", "k", "--ca", "x", "--frobnicate"}, "frobnicate"}}) {
    DYNAMIC_SECTION(c.contains) {
      auto f = parse_flags(c.args);
      REQUIRE_FALSE(f.ok());
      CHECK(f.error().message.find(c.contains) != std::string::npos);
    }
  }
  auto help = parse_flags({"--help"});
  REQUIRE(help.ok());
  CHECK(help->help);
  CHECK(help->help_text.find("--listen-fd") != std::string::npos);
}
