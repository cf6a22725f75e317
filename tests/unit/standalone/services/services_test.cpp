#include <catch2/catch.hpp>

#include <unistd.h>

#include "pkg/base/process.hpp"
#include "standalone/services/endpoints.hpp"
#include "standalone/services/rules.hpp"

using namespace nodevirt;
using namespace nodevirt::services;

namespace {

std::shared_ptr<const ServiceView> service(const std::string& text) {
  return std::make_shared<const ServiceView>(ServiceView::decode(parse_json(text).value()).value());
}
std::shared_ptr<const BackendPod> pod(const std::string& name, const std::string& ip, bool ready, const std::string& more = "{}") {
  Json j{{"metadata", {{"name", name}, {"namespace", "default"}, {"uid", "u-" + name}, {"labels", {{"app", "a"}}}}},
         {"spec", {{"nodeName", "node1"}, {"containers", Json::array({{{"ports", Json::array({{{"name", "http"}, {"containerPort", 8080}}})}}})}}},
         {"status", {{"podIP", ip}, {"phase", "Running"}, {"conditions", Json::array({{{"type", "Ready"}, {"status", ready ? "True" : "False"}}})}}}};
  j.merge_patch(parse_json(more).value());
  return std::make_shared<const BackendPod>(BackendPod::decode(j).value());
}
const std::string kWeb =
    R"({"metadata":{"name":"web","namespace":"default","uid":"s1","labels":{"l":"v"}},"spec":{"clusterIP":"10.96.0.5","selector":{"app":"a"},"ports":[{"port":80,"targetPort":"http","nodePort":30080}]}})";

std::vector<std::string> addresses(const Json& endpoints, const char* kind) {
  std::vector<std::string> out;
  if (const Json* subsets = find(endpoints, {"subsets"}))
    for (const Json& s : *subsets)
      if (const Json* list = find(s, {kind}))
        for (const Json& a : *list) out.push_back(string_at(a, {"ip"}));
  return out;
}

std::shared_ptr<const SliceView> slice_of(const Json& object) { return std::make_shared<const SliceView>(SliceView::decode(object).value()); }

}  // namespace

TEST_CASE("endpoints follow the pods", "[services]") {
  auto s = service(kWeb);
  Pods pods{pod("b", "10.234.1.3", true), pod("a", "10.234.1.2", true), pod("c", "10.234.1.4", false), pod("gone", "10.234.1.5", true, R"({"status":{"phase":"Succeeded"}})"),
            pod("other", "10.234.1.6", true, R"({"metadata":{"labels":{"app":"b"}}})"), pod("new", "", false),
            pod("ending", "10.234.1.7", true, R"({"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"}})")};
  Json e = endpoints_object(*s, pods);
  CHECK(addresses(e, "addresses") == std::vector<std::string>{"10.234.1.2", "10.234.1.3"});
  CHECK(addresses(e, "notReadyAddresses") == std::vector<std::string>{"10.234.1.4"});
  CHECK(e["subsets"][0]["ports"] == parse_json(R"([{"port":8080,"protocol":"TCP"}])").value());
  CHECK(says_the_same(e, endpoints_object(*s, {pods.rbegin(), pods.rend()})));

  auto slices = slice_objects(*s, pods);
  REQUIRE(slices.size() == 1);
  auto view = slice_of(slices[0]);
  CHECK(view->service == "web");
  REQUIRE(view->endpoints.size() == 4);
  CHECK(view->endpoints[3].terminating);
  CHECK_FALSE(view->endpoints[3].ready);
  CHECK(view->endpoints[3].serving);
}

TEST_CASE("a service without pods still has its objects", "[services]") {
  auto s = service(kWeb);
  CHECK(addresses(endpoints_object(*s, {}), "addresses").empty());
  auto slices = slice_objects(*s, {});
  REQUIRE(slices.size() == 1);
  CHECK(slices[0]["endpoints"].empty());
  CHECK(slices[0]["metadata"]["name"] == slice_objects(*s, {pod("a", "10.0.0.1", true)})[0]["metadata"]["name"]);
}

TEST_CASE("pods may be published before they are ready", "[services]") {
  auto s = service(R"({"metadata":{"name":"web","namespace":"default","uid":"s"},"spec":{"clusterIP":"None","publishNotReadyAddresses":true,"selector":{"app":"a"},"ports":[{"port":22}]}})");
  CHECK(addresses(endpoints_object(*s, {pod("a", "10.0.0.1", false)}), "addresses") == std::vector<std::string>{"10.0.0.1"});
  CHECK(slice_objects(*s, {pod("a", "10.0.0.1", false)})[0]["endpoints"][0]["conditions"]["ready"] == true);
  CHECK(endpoints_object(*s, {})["metadata"]["labels"].contains("service.kubernetes.io/headless"));
}

TEST_CASE("pods that lack a named port are no backends of it", "[services]") {
  auto s = service(R"({"metadata":{"name":"web","namespace":"default","uid":"s"},"spec":{"clusterIP":"10.96.0.5","selector":{"app":"a"},"ports":[{"port":80,"targetPort":"nope"}]}})");
  CHECK(addresses(endpoints_object(*s, {pod("a", "10.0.0.1", true)}), "addresses").empty());
}

TEST_CASE("a hostname under its service", "[services]") {
  auto s = service(kWeb);
  auto named = pod("a", "10.0.0.1", true, R"({"spec":{"hostname":"vm1","subdomain":"web"}})");
  auto elsewhere = pod("b", "10.0.0.2", true, R"({"spec":{"hostname":"vm2","subdomain":"other"}})");
  auto view = slice_of(slice_objects(*s, {named, elsewhere})[0]);
  CHECK(view->endpoints[0].hostname == "vm1");
  CHECK(view->endpoints[1].hostname.empty());
}

TEST_CASE("rules name every service that has somebody behind it", "[services]") {
  auto s = service(kWeb);
  auto empty = service(R"({"metadata":{"name":"empty","namespace":"default","uid":"s2"},"spec":{"clusterIP":"10.96.0.6","selector":{"app":"x"},"ports":[{"port":80}]}})");
  auto headless = service(R"({"metadata":{"name":"h","namespace":"default","uid":"s3"},"spec":{"clusterIP":"None","selector":{"app":"a"},"ports":[{"port":22}]}})");
  Slices behind{slice_of(slice_objects(*s, {pod("a", "10.234.1.2", true), pod("b", "10.234.2.3", true), pod("c", "10.234.2.4", false)})[0])};
  auto targets = targets_of({s, empty, headless}, [&](const std::string&, const std::string& name) { return name == "web" ? behind : Slices{}; });
  REQUIRE(targets.size() == 1);
  CHECK(targets[0].backends == std::vector<std::pair<std::string, std::uint16_t>>{{"10.234.1.2", 8080}, {"10.234.2.3", 8080}});

  RulesPlace node{.table = "t", .services_range = "10.96.0.0/16", .dns_address = "10.96.0.10", .pods_range = "10.234.1.0/24", .nodes_range = ""};
  std::string text = rules_document(node, targets);
  CHECK(text.find("10.96.0.5 . tcp . 80 : goto service-0") != std::string::npos);
  CHECK(text.find("tcp . 30080 : goto node-port-0") != std::string::npos);
  CHECK(text.find("dnat ip to numgen random mod 2 map { 0 : 10.234.1.2 . 8080, 1 : 10.234.2.3 . 8080 }") != std::string::npos);
  CHECK(text.find("10.96.0.6") == std::string::npos);

  SECTION("who ends serves on while nobody else does") {
    Slices ending{slice_of(slice_objects(*s, {pod("a", "10.234.1.2", true, R"({"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"}})")})[0])};
    auto t = targets_of({s}, [&](const std::string&, const std::string&) { return ending; });
    REQUIRE(t.size() == 1);
    CHECK(t[0].backends.size() == 1);
  }
}

TEST_CASE("nft accepts the rules", "[services]") {
  if (geteuid() != 0) return;   // checking rules needs the right to change them
  Target one{"default/a:1", "tcp", "10.96.0.5", 80, 30080, false, {{"10.234.1.2", 8080}}};
  Target many{"default/b:2", "udp", "10.96.0.6", 53, 0, false, {{"10.234.1.2", 53}, {"10.234.1.3", 53}}};
  Target sticky{"default/c:3", "tcp", "10.96.0.7", 80, 0, true, {{"10.234.1.2", 80}, {"10.234.1.3", 80}}};
  RulesPlace node{.table = "nodevirt-check", .services_range = "10.96.0.0/16", .dns_address = "10.96.0.10", .pods_range = "10.234.1.0/24", .nodes_range = ""};
  RulesPlace host = node;
  host.pods_range = "10.234.0.0/16";
  host.nodes_range = "10.233.0.0/24";
  for (const RulesPlace& place : {node, host})
    for (const std::vector<Target>& targets : {std::vector<Target>{}, std::vector<Target>{one, many, sticky}}) {
      auto done = run_command(Command{.argv = {"nft", "-c", "-f", "-"}, .input = rules_document(place, targets)});
      REQUIRE(done.ok());
      INFO(done->err);
      CHECK(done->exit_code == 0);
    }
}
