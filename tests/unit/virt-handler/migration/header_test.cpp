// The first line of a migration stream, from friends and from others.
#include <catch2/catch.hpp>

#include "virt-handler/migration/stream/connection.hpp"
#include "virt-handler/migration/stream/header.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler::migration;

TEST_CASE("a header is read as it was written") {
  for (Channel channel : {Channel::Control, Channel::Libvirt, Channel::Memory, Channel::Disk}) {
    StreamHeader header{"0c1b3f6e-0000-4000-8000-000000000001", "7d9c", channel, channel == Channel::Memory ? "s3cret" : ""};
    std::string line = format_header(header);
    REQUIRE(line.size() <= kMaxHeader);
    REQUIRE(line.back() == '\n');
    line.pop_back();
    auto read = parse_header(line);
    REQUIRE(read.ok());
    CHECK(*read == header);
  }
}

TEST_CASE("what is no header is refused") {
  struct Case { const char* name; std::string line; };
  const std::string uid = R"("migration":"m1","instance":"i1")";
  const Case cases[] = {
      {"empty", ""},
      {"no JSON", "GET / HTTP/1.1\r"},
      {"no object", R"(["version",1])"},
      {"another version", R"({"version":2,)" + uid + R"(,"channel":"memory"})"},
      {"no version", "{" + uid + R"(,"channel":"memory"})"},
      {"no channel", R"({"version":1,)" + uid + "}"},
      {"an unknown channel", R"({"version":1,)" + uid + R"(,"channel":"shell"})"},
      {"no uid", R"({"version":1,"instance":"i1","channel":"memory"})"},
      {"a path as uid", R"({"version":1,"migration":"../../etc","instance":"i1","channel":"memory"})"},
      {"a long uid", R"({"version":1,"migration":")" + std::string(65, 'a') + R"(","instance":"i1","channel":"memory"})"},
      {"a number as uid", R"({"version":1,"migration":7,"instance":"i1","channel":"memory"})"},
      {"a control character", "{\"version\":1,\"migration\":\"a\\u0000b\",\"instance\":\"i1\",\"channel\":\"memory\"}"},
      {"deep", std::string(500, '[')},
      {"long", std::string(kMaxHeader, ' ')},
  };
  for (const Case& c : cases) {
    DYNAMIC_SECTION(c.name) {
      auto read = parse_header(c.line);
      REQUIRE_FALSE(read.ok());
      CHECK(read.error().code == Code::InvalidArgument);
    }
  }
}

TEST_CASE("answers") {
  std::string ok = accepted_line(), no = refused_line({Code::NotFound, "not \"here\"\n" + std::string(5000, 'x')});
  ok.pop_back();
  CHECK(parse_answer(ok).ok());
  REQUIRE(no.size() <= kMaxHeader);
  no.pop_back();
  auto refused = parse_answer(no);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message.find("not \"here\"") != std::string::npos);
  CHECK_FALSE(parse_answer("{}").ok());
  CHECK_FALSE(parse_answer("nonsense").ok());
}

TEST_CASE("addresses") {
  struct Case { const char* text; const char* host; int port; };
  const Case cases[] = {{"10.0.0.1:8187", "10.0.0.1", 8187}, {"node2:1", "node2", 1}, {"[fd00::2]:65535", "fd00::2", 65535},
                        {"", nullptr, 0}, {":80", nullptr, 0}, {"a", nullptr, 0}, {"a:", nullptr, 0}, {"a:0", nullptr, 0},
                        {"a:65536", nullptr, 0}, {"a:1x", nullptr, 0}, {"fd00::2:1", nullptr, 0}, {"[]:1", nullptr, 0}};
  for (const Case& c : cases) {
    DYNAMIC_SECTION("\"" << c.text << "\"") {
      auto read = parse_address(c.text);
      REQUIRE(read.ok() == (c.host != nullptr));
      if (!c.host) continue;
      CHECK(read->host == c.host);
      CHECK(read->port == c.port);
    }
  }
}

TEST_CASE("only the right node's virt-handler is let in") {
  net::CertificateIdentity any{.common_name = "virt-handler"}, node1{.common_name = "virt-handler", .organizations = {"x", "nodevirt.io:node:node1"}};
  CHECK(check_peer(any, "node1").ok());
  CHECK(check_peer(node1, "node1").ok());
  CHECK_FALSE(check_peer(node1, "node2").ok());
  CHECK_FALSE(check_peer(std::nullopt, "node1").ok());
  CHECK_FALSE(check_peer(net::CertificateIdentity{.common_name = "virt-api"}, "node1").ok());
}
