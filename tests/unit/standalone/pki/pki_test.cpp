#include <catch2/catch.hpp>

#include <sys/stat.h>

#include "pkg/base/file.hpp"
#include "standalone/pki/store.hpp"

using namespace nodevirt;
using namespace nodevirt::pki;

namespace {
EnsureOptions options_in(const TempDir& dir) {
  ClusterNames names{.nodes = {"node1"}, .listen_addresses = {"127.0.0.1"}, .service_address = "10.96.0.1"};
  return {.dir = dir.path() / "pki", .identities = identities_of(names), .server_url = "https://127.0.0.1:6443"};
}
std::string text(const EnsureOptions& o, const std::string& name) { return read_file(o.dir / name).value(); }
}  // namespace

TEST_CASE("a certificate says what was asked for", "[pki]") {
  auto ca = make_authority("test-ca", Days(10)).value();
  Subject want{.common_name = "kube-apiserver", .organizations = {"a", "b"}, .dns_names = {"localhost", "kubernetes.default.svc"},
               .ip_addresses = {"127.0.0.1", "::1"}, .server = true, .client = true};
  auto pair = issue(ca, want, Days(365)).value();
  auto facts = inspect(pair.certificate_pem).value();
  CHECK(facts.subject == want);
  CHECK_FALSE(facts.authority);
  CHECK(inspect(ca.certificate_pem).value().authority);
  CHECK(matches(pair));
  CHECK_FALSE(matches({pair.certificate_pem, ca.private_key_pem}));
  CHECK(signed_by(pair.certificate_pem, ca.certificate_pem));
  CHECK_FALSE(signed_by(pair.certificate_pem, make_authority("test-ca", Days(10)).value().certificate_pem));
  CHECK_FALSE(issue(ca, {.common_name = "x", .dns_names = {"a,IP:1.2.3.4"}}, Days(1)).ok());
  CHECK_FALSE(inspect("nonsense").ok());
}

TEST_CASE("ensure makes everything once", "[pki]") {
  TempDir dir;
  auto o = options_in(dir);
  auto now = system_clock().wall();
  auto first = ensure(o, now);
  REQUIRE(first.ok());
  CHECK(first->new_authority);
  CHECK(first->issued.size() == o.identities.size());
  std::string admin = text(o, "admin.kubeconfig"), ca = text(o, "ca.crt");
  struct stat s{};
  for (const char* name : {"ca.key", "admin.kubeconfig", "admin.key", "sa.key", "virt-handler-node1.key"}) {
    REQUIRE(stat((o.dir / name).c_str(), &s) == 0);
    CHECK((s.st_mode & 0777) == 0600);
  }
  CHECK(admin.find("server: https://127.0.0.1:6443\n") != std::string::npos);

  SECTION("again: nothing changes") {
    auto second = ensure(o, now);
    REQUIRE(second.ok());
    CHECK_FALSE(second->new_authority);
    CHECK(second->issued.empty());
    CHECK(text(o, "admin.kubeconfig") == admin);
  }
  SECTION("a year later all leaves are renewed, the authority stays") {
    auto second = ensure(o, now + Days(340));
    REQUIRE(second.ok());
    CHECK(second->issued.size() == o.identities.size());
    CHECK(text(o, "ca.crt") == ca);
  }
  SECTION("another listen address renews the server's certificate only") {
    ClusterNames names{.nodes = {"node1"}, .listen_addresses = {"192.0.2.7"}, .service_address = "10.96.0.1"};
    o.identities = identities_of(names);
    CHECK(ensure(o, now)->issued == std::vector<std::string>{"apiserver"});
  }
  SECTION("another port changes the kubeconfigs and no certificate") {
    o.server_url = "https://127.0.0.1:7443";
    CHECK(ensure(o, now)->issued.empty());
    CHECK(text(o, "admin.kubeconfig").find(":7443") != std::string::npos);
  }
  SECTION("interrupted between key and certificate: that pair is made again") {
    REQUIRE(write_file_atomic(o.dir / "admin.key", make_private_key().value(), 0600).ok());
    CHECK(ensure(o, now)->issued == std::vector<std::string>{"admin"});
  }
  SECTION("interrupted before the authority's certificate") {
    std::filesystem::remove(o.dir / "ca.crt");
    auto second = ensure(o, now);
    REQUIRE(second.ok());
    CHECK(second->issued.size() == o.identities.size());
  }
  SECTION("a lost authority key is not replaced in silence") {
    std::filesystem::remove(o.dir / "ca.key");
    auto second = ensure(o, now);
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().message.find("ca.key") != std::string::npos);
    CHECK(text(o, "ca.crt") == ca);
  }
}
