// Kubeconfigs as kubectl reads them, and a clear message for every one that cannot be used.
#include <catch2/catch.hpp>

#include <cstdlib>

#include "pkg/base/file.hpp"
#include "pkg/client/base64.hpp"
#include "pkg/client/http_transport.hpp"
#include "pkg/client/kubeconfig.hpp"

using namespace nodevirt;
using namespace nodevirt::client;

namespace {

constexpr const char* kGood = R"(
apiVersion: v1
kind: Config
current-context: here
clusters:
- {name: c, cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: Q0E=}}
- {name: d, cluster: {server: "https://example.org/prefix/", certificate-authority: ca.pem, tls-server-name: x}}
users:
- {name: u, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}
- {name: t, user: {token: secret}}
- {name: e, user: {exec: {command: aws}}}
- {name: half, user: {client-key-data: S0VZ}}
contexts:
- {name: here, context: {cluster: c, user: u, namespace: lab}}
- {name: there, context: {cluster: d, user: t}}
- {name: exec, context: {cluster: c, user: e}}
- {name: half, context: {cluster: c, user: half}}
- {name: lost, context: {cluster: zzz, user: u}}
- {name: nobody, context: {cluster: c, user: zzz}}
)";

struct Files {
  TempDir dir{"kubeconfig"};
  std::string write(const std::string& name, std::string_view content) {
    auto path = dir.path() / name;
    REQUIRE(write_file_atomic(path, content).ok());
    return path.string();
  }
};

}  // namespace

TEST_CASE("a kubeconfig gives the endpoint of its context") {
  Files files;
  std::string path = files.write("config", kGood);
  files.write("ca.pem", "PEM");
  auto here = load_kubeconfig({.path = path});
  REQUIRE(here.ok());
  CHECK(here->server == "https://127.0.0.1:6443");
  CHECK(here->ns == "lab");
  CHECK(here->user == "u");
  CHECK(here->tls.ca_pem == "CA");
  CHECK(here->tls.certificate_pem == "CERT");
  CHECK(here->tls.private_key_pem == "KEY");
  auto there = load_kubeconfig({.path = path, .context = "there"});
  REQUIRE(there.ok());
  CHECK(there->tls.ca_pem == "PEM");
  CHECK(there->token == "secret");
  CHECK(there->ns == "default");
  CHECK(there->tls.server_name == "x");
}

TEST_CASE("KUBECONFIG is a list: the first file to name something wins, missing files do not matter") {
  Files files;
  std::string first = files.write("first", "current-context: there\nusers: [{name: t, user: {token: mine}}]\n");
  files.write("ca.pem", "PEM");
  std::string second = files.write("second", kGood);
  setenv("KUBECONFIG", (files.dir.path().string() + "/absent:" + first + ":" + second).c_str(), 1);
  auto got = load_kubeconfig({});
  unsetenv("KUBECONFIG");
  REQUIRE(got.ok());
  CHECK(got->context == "there");
  CHECK(got->token == "mine");
}

TEST_CASE("a kubeconfig that cannot be used says why") {
  Files files;
  std::string path = files.write("config", kGood);
  struct Case { const char *context, *part; };
  auto c = GENERATE(values<Case>({{"exec", "exec"}, {"half", "only one of"}, {"lost", "zzz"}, {"nobody", "zzz"}, {"none", "there are: "}}));
  DYNAMIC_SECTION(c.context) {
    auto got = load_kubeconfig({.path = path, .context = c.context});
    REQUIRE_FALSE(got.ok());
    CHECK_THAT(got.error().message, Catch::Contains(c.part));
  }
}

TEST_CASE("hostile kubeconfigs are errors, nothing else") {
  Files files;
  std::string deep(200000, '[');
  auto content = GENERATE_COPY(as<std::string>{}, "", "[]", "{", "a: b: c", "current-context: [x]\ncontexts: {}\n",
                               "current-context: x\ncontexts: [1, {name: x}]\n", "&a [*a]", "%YAML 9\n", std::string("\0\xff", 2), deep,
                               "current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: 'ftp://x'}}]",
                               "current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: [a]}}]",
                               "current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: 'https://h', certificate-authority-data: '!!'}}]");
  std::string path = files.write("config", content);
  auto got = load_kubeconfig({.path = path});
  REQUIRE_FALSE(got.ok());
  CHECK_FALSE(got.error().message.empty());
}

TEST_CASE("addresses of servers") {
  struct Case { const char *text, *host; int port; const char* prefix; };
  auto c = GENERATE(values<Case>({
      {"https://a", "a", 443, ""}, {"https://a:6443/", "a", 6443, ""}, {"http://a", "a", 80, ""},
      {"https://[::1]:8443/x/y/", "::1", 8443, "/x/y"}, {"https://[::1]", "::1", 443, ""},
  }));
  auto url = parse_server_url(c.text);
  REQUIRE(url.ok());
  CHECK(url->host == c.host);
  CHECK(url->port == c.port);
  CHECK(url->prefix == c.prefix);
  for (const char* wrong : {"", "a:1", "https://", "https://a:0", "https://a:70000", "https://a:x", "https://[::1", "https://u@h", "https://a b"})
    CHECK_FALSE(parse_server_url(wrong).ok());
}

TEST_CASE("base64") {
  CHECK(*decode_base64("") == "");
  CHECK(*decode_base64("Zg==") == "f");
  CHECK(*decode_base64("Zm8=") == "fo");
  CHECK(*decode_base64("Zm9v\nYg") == "foob");
  for (const char* wrong : {"Z", "Z===", "Zg=", "Zg==Zg", "Z*"}) CHECK_FALSE(decode_base64(wrong).ok());
}
