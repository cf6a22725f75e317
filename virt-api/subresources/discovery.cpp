#include "virt-api/subresources/discovery.hpp"

#include <sys/utsname.h>

#include "virt-api/reply.hpp"
#include "virt-api/subresources/subresources.hpp"

namespace nodevirt::virt_api {

namespace {

constexpr const char* kGroup = "subresources.kubevirt.io";
constexpr std::array kVersions = {"v1", "v1alpha3"};

Json api_group() {
  Json versions = Json::array();
  for (const auto* v : kVersions) versions.push_back({{"groupVersion", fmt::format("{}/{}", kGroup, v)}, {"version", v}});
  return {{"kind", "APIGroup"}, {"apiVersion", "v1"}, {"name", kGroup}, {"preferredVersion", versions[0]}, {"versions", versions}};
}

Json resource_list(const std::string& version) {
  Json resources = Json::array();
  std::set<std::string> seen;
  auto add = [&](std::string name) {
    if (!seen.insert(name).second) return;
    resources.push_back({{"name", name}, {"singularName", ""}, {"namespaced", true}, {"kind", ""}, {"verbs", Json::array()}});
  };
  add("expand-vm-spec");
  for (const auto& route : subresource_routes()) {
    auto path = route.path.ends_with("/*") ? route.path.substr(0, route.path.size() - 2) : route.path;
    add(fmt::format("{}/{}", route.plural, path));
  }
  return {{"kind", "APIResourceList"}, {"apiVersion", "v1"}, {"groupVersion", fmt::format("{}/{}", kGroup, version)},
          {"resources", resources}};
}

Json version_info() {
  utsname machine{};
  ::uname(&machine);
  return {{"gitVersion", "v0.1.0-nodevirt"}, {"gitCommit", ""}, {"gitTreeState", "clean"}, {"buildDate", ""},
          {"goVersion", ""}, {"compiler", "gcc"}, {"platform", std::string("linux/") + (std::string_view(machine.machine) == "x86_64" ? "amd64" : machine.machine)}};
}

/// kubectl asks for the aggregated form first; the API server makes that itself, and falls back on 406.
bool wants_aggregated(const net::Request& request) {
  auto accept = request.headers.get("Accept");
  return accept.find("as=APIGroupDiscoveryList") != std::string_view::npos &&
         accept.find("application/json,") == std::string_view::npos && !accept.ends_with("application/json") &&
         accept.find("*/*") == std::string_view::npos;
}

}  // namespace

Awaitable<void> serve_discovery(std::vector<std::string> parts, net::ServerRequest& request,
                                net::ResponseStream& response) {
  Error missing(Code::NotFound, "NotFound", "the server could not find the requested resource");
  if (request.method != "GET" && request.method != "HEAD") {
    Error error(Code::Unimplemented, "MethodNotAllowed", "discovery is only read");
    co_await reply_error(response, error);
  } else if (parts.size() == 1) {
    if (wants_aggregated(request)) {
      Error error(Code::InvalidArgument, "NotAcceptable", "only the plain form of discovery is served");
      co_await reply_error(response, error);
      co_return;
    }
    Json list = {{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", Json::array({api_group()})}};
    co_await reply_json(response, 200, std::move(list));
  } else if (parts.size() == 2 && parts[1] == kGroup) {
    co_await reply_json(response, 200, api_group());
  } else if (parts.size() >= 3 && (parts[2] == "v1" || parts[2] == "v1alpha3")) {
    if (parts.size() == 3) co_await reply_json(response, 200, resource_list(parts[2]));
    else if (parts[3] == "version") co_await reply_json(response, 200, version_info());
    else if (parts[3] == "healthz") co_await reply_text(response, 200, "ok");
    else co_await reply_error(response, missing);
  } else {
    co_await reply_error(response, missing);
  }
}

}  // namespace nodevirt::virt_api
