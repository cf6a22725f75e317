// What is served: /version, /api, /apis, their groups and resources, and the aggregated forms.
#include <cstdio>

#include <fmt/format.h>

#include "standalone/apiserver/aggregation/aggregator.hpp"
#include "standalone/apiserver/handlers/call.hpp"

namespace nodevirt::apiserver {

namespace {

constexpr const char* kVersionText = "v1.32.0";

Json group_versions(const std::string& group, const std::vector<std::string>& versions) {
  Json list = Json::array();
  for (const auto& v : versions) list.push_back({{"groupVersion", group.empty() ? v : group + "/" + v}, {"version", v}});
  return list;
}

Json api_group(const std::string& group, const std::vector<std::string>& versions) {
  auto list = group_versions(group, versions);
  Json preferred = list.front();
  return {{"name", group}, {"versions", std::move(list)}, {"preferredVersion", std::move(preferred)}};
}

std::vector<Subresource> subresources_of(const ResourceInfo& r, const ServedVersion& v) {
  auto out = r.subresources;
  if (v.status) out.push_back({"status", {"get", "patch", "update"}, "", "", ""});
  if (v.scale) out.push_back({"scale", {"get", "patch", "update"}, "autoscaling", "v1", "Scale"});
  return out;
}

std::string subresource_kind(const ResourceInfo& r, const Subresource& s) { return s.kind.empty() ? r.kind : s.kind; }

Json resource_list(const ServerState& s, const std::string& group, const std::string& version) {
  Json list = Json::array();
  for (const auto& r : s.registry.in(group, version)) {
    Json one{{"name", r->plural}, {"singularName", r->singular}, {"namespaced", r->namespaced}, {"kind", r->kind}, {"verbs", r->verbs}};
    if (!r->short_names.empty()) one["shortNames"] = r->short_names;
    if (!r->categories.empty()) one["categories"] = r->categories;
    list.push_back(std::move(one));
    for (const auto& sub : subresources_of(*r, *r->version(version))) {
      Json row{{"name", r->plural + "/" + sub.name}, {"singularName", ""}, {"namespaced", r->namespaced},
               {"kind", subresource_kind(*r, sub)}, {"verbs", sub.verbs}};
      if (!sub.version.empty()) {
        row["version"] = sub.version;
        if (!sub.group.empty()) row["group"] = sub.group;
      }
      list.push_back(std::move(row));
    }
  }
  return {{"kind", "APIResourceList"}, {"apiVersion", "v1"}, {"groupVersion", group.empty() ? version : group + "/" + version}, {"resources", std::move(list)}};
}

Json aggregated_group(const ServerState& s, const std::string& group) {
  Json versions = Json::array();
  for (const auto& version : s.registry.versions(group)) {
    Json resources = Json::array();
    for (const auto& r : s.registry.in(group, version)) {
      Json one{{"resource", r->plural}, {"responseKind", {{"group", group}, {"version", version}, {"kind", r->kind}}},
               {"scope", r->namespaced ? "Namespaced" : "Cluster"}, {"singularResource", r->singular}, {"verbs", r->verbs}};
      if (!r->short_names.empty()) one["shortNames"] = r->short_names;
      if (!r->categories.empty()) one["categories"] = r->categories;
      Json subs = Json::array();
      for (const auto& sub : subresources_of(*r, *r->version(version)))
        subs.push_back({{"subresource", sub.name}, {"verbs", sub.verbs},
                        {"responseKind", {{"group", sub.version.empty() ? group : sub.group},
                                          {"version", sub.version.empty() ? version : sub.version},
                                          {"kind", subresource_kind(*r, sub)}}}});
      if (!subs.empty()) one["subresources"] = std::move(subs);
      resources.push_back(std::move(one));
    }
    versions.push_back({{"version", version}, {"freshness", "Current"}, {"resources", std::move(resources)}});
  }
  return {{"metadata", {{"name", group}, {"creationTimestamp", nullptr}}}, {"versions", std::move(versions)}};
}

/// The first media type of Accept that discovery has: "" for the plain form.
std::string aggregated_version(std::string_view accept) {
  while (!accept.empty()) {
    auto comma = std::min(accept.find(','), accept.size());
    auto part = accept.substr(0, comma);
    bool json = part.find("application/json") != std::string_view::npos;
    if (json && part.find("g=apidiscovery.k8s.io") != std::string_view::npos) {
      if (part.find("v=v2beta1") != std::string_view::npos) return "v2beta1";
      if (part.find("v=v2") != std::string_view::npos) return "v2";
    } else if (json || part.find("*/*") != std::string_view::npos) {
      return "";
    }
    accept.remove_prefix(std::min(comma + 1, accept.size()));
  }
  return "";
}

Awaitable<void> send_aggregated(Call& call, std::string version, Json items) {
  Json doc{{"kind", "APIGroupDiscoveryList"}, {"apiVersion", "apidiscovery.k8s.io/" + version}, {"metadata", Json::object()}, {"items", std::move(items)}};
  auto body = dump_json(doc);
  auto etag = fmt::format("\"{:016X}\"", std::hash<std::string>{}(body));
  call.headers.emplace_back("ETag", etag);
  call.headers.emplace_back("Vary", "Accept");
  // A 304 names the type too: clients' caches take over its headers.
  auto type = fmt::format("application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList", version);
  if (call.request.headers.get("If-None-Match") == etag) { co_await send_json(call, 304, "", type); co_return; }
  co_await send_json(call, 200, std::move(body), type);
}

}  // namespace

Awaitable<void> handle_discovery(Call& call) {
  const auto& path = call.info.path;
  auto& s = call.s;
  std::vector<std::string> parts;
  for (std::size_t at = 0; at < path.size();) {
    auto end = std::min(path.find('/', at), path.size());
    if (end > at) parts.push_back(path.substr(at, end - at));
    at = end + 1;
  }
  if (parts.empty()) {
    Json paths = Json::array({"/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"});
    for (const auto& g : s.registry.groups()) if (!g.empty()) paths.push_back("/apis/" + g);
    Json doc{{"paths", std::move(paths)}};
    co_await send_value(call, 200, std::move(doc));
    co_return;
  }
  if (parts[0] == "version") {
    Json v{{"major", "1"}, {"minor", "32"}, {"gitVersion", std::string(kVersionText) + "-nodevirt"}, {"gitCommit", ""}, {"gitTreeState", "clean"},
           {"buildDate", "1970-01-01T00:00:00Z"}, {"goVersion", ""}, {"compiler", "gcc"}, {"platform", "linux/amd64"}};
    co_await send_value(call, 200, std::move(v));
    co_return;
  }
  auto aggregated = aggregated_version(call.request.headers.get("Accept"));
  if (parts[0] == "api" && parts.size() == 1) {
    if (!aggregated.empty()) {
      Json items = Json::array({aggregated_group(s, "")});
      co_await send_aggregated(call, aggregated, std::move(items));
      co_return;
    }
    Json doc{{"kind", "APIVersions"}, {"versions", {"v1"}},
             {"serverAddressByClientCIDRs", Json::array({{{"clientCIDR", "0.0.0.0/0"}, {"serverAddress", s.options.advertised_url}}})}};
    co_await send_value(call, 200, std::move(doc));
    co_return;
  }
  if (parts[0] == "apis" && parts.size() == 1) {
    auto foreign = s.aggregator->groups();
    if (!aggregated.empty()) {
      Json items = Json::array();
      for (const auto& g : s.registry.groups()) if (!g.empty()) items.push_back(aggregated_group(s, g));
      auto merged = co_await s.aggregator->discovery();
      for (auto& g : merged) items.push_back(std::move(g));
      co_await send_aggregated(call, aggregated, std::move(items));
      co_return;
    }
    Json groups = Json::array();
    for (const auto& g : s.registry.groups()) {
      auto versions = s.registry.versions(g);
      if (!g.empty() && !versions.empty()) groups.push_back(api_group(g, versions));
    }
    for (const auto& [g, versions] : foreign) groups.push_back(api_group(g, versions));
    Json doc{{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", std::move(groups)}};
    co_await send_value(call, 200, std::move(doc));
    co_return;
  }
  if (parts[0] == "api" && parts.size() == 2 && parts[1] == "v1") {
    auto doc = resource_list(s, "", "v1");
    co_await send_value(call, 200, std::move(doc));
    co_return;
  }
  if (parts[0] == "apis" && parts.size() == 2) {
    auto versions = s.registry.versions(parts[1]);
    if (versions.empty())
      for (const auto& [g, v] : s.aggregator->groups()) if (g == parts[1]) versions = v;
    if (!versions.empty()) {
      auto doc = api_group(parts[1], versions);
      doc["kind"] = "APIGroup";
      doc["apiVersion"] = "v1";
      co_await send_value(call, 200, std::move(doc));
      co_return;
    }
  }
  if (parts[0] == "apis" && parts.size() == 3 && !s.registry.in(parts[1], parts[2]).empty()) {
    auto doc = resource_list(s, parts[1], parts[2]);
    co_await send_value(call, 200, std::move(doc));
    co_return;
  }
  co_await send_error(call, no_such_path());
}

}  // namespace nodevirt::apiserver
