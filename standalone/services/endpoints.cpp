#include "standalone/services/endpoints.hpp"

#include "pkg/base/id.hpp"

namespace nodevirt::services {
namespace {

constexpr std::size_t kSliceSize = 100;
constexpr std::string_view kNamespace = "8d6c6a52-2f0f-5c51-9c1b-6a9d2f1a7f10";   // of slice names

bool counts(const ServiceView& service, const BackendPod& pod) {
  return !pod.ip.empty() && pod.phase != "Succeeded" && pod.phase != "Failed" && pod.meta.ns == service.meta.ns &&
         service.selector.matches(pod.meta.labels);
}

/// The number that a Service's port stands for in this pod, or 0 when it has no port of that name.
std::uint16_t resolve(const ServicePort& port, const BackendPod& pod) {
  if (port.target_name.empty()) return port.target_number;
  for (const EndpointPort& p : pod.ports)
    if (p.name == port.target_name && p.protocol == port.protocol) return p.port;
  return 0;
}

std::vector<EndpointPort> ports_for(const ServiceView& service, const BackendPod& pod) {
  std::vector<EndpointPort> out;
  for (const ServicePort& p : service.ports)
    if (auto n = resolve(p, pod)) out.push_back({p.name, p.protocol, n});
  return out;
}

Json ports_json(const std::vector<EndpointPort>& ports) {
  Json out = Json::array();
  for (const EndpointPort& p : ports) {
    Json j{{"port", p.port}, {"protocol", p.protocol}};
    if (!p.name.empty()) j["name"] = p.name;
    out.push_back(std::move(j));
  }
  return out;
}

Json target(const BackendPod& pod) {
  return {{"kind", "Pod"}, {"name", pod.meta.name}, {"namespace", pod.meta.ns}, {"uid", pod.meta.uid}};
}

bool has_hostname(const ServiceView& service, const BackendPod& pod) { return !pod.hostname.empty() && pod.subdomain == service.meta.name; }

/// Pods by the ports they offer; within a group by address, so that equal input gives equal output.
using Groups = std::map<std::vector<std::pair<std::string, std::string>>, std::pair<std::vector<EndpointPort>, Pods>>;
Groups groups_of(const ServiceView& service, const Pods& pods) {
  Groups groups;
  for (const auto& pod : pods) {
    if (!counts(service, *pod)) continue;
    auto ports = ports_for(service, *pod);
    if (ports.empty() && !(service.headless && service.ports.empty())) continue;
    std::vector<std::pair<std::string, std::string>> key;
    for (const auto& p : ports) key.emplace_back(p.name, fmt::format("{}/{}", p.port, p.protocol));
    auto& group = groups[key];
    group.first = ports;
    group.second.push_back(pod);
  }
  for (auto& [key, group] : groups)
    std::sort(group.second.begin(), group.second.end(), [](const auto& a, const auto& b) { return std::tie(a->ip, a->meta.uid) < std::tie(b->ip, b->meta.uid); });
  return groups;
}

Json labels_json(const std::map<std::string, std::string>& labels) {
  Json out = Json::object();
  for (const auto& [k, v] : labels) out[k] = v;
  return out;
}

}  // namespace

Json endpoints_object(const ServiceView& service, const Pods& pods) {
  Json labels = labels_json(service.meta.labels);
  if (service.headless) labels["service.kubernetes.io/headless"] = "";
  labels["endpoints.kubernetes.io/managed-by"] = "endpoint-controller";
  Json object{{"apiVersion", "v1"}, {"kind", "Endpoints"},
              {"metadata", {{"name", service.meta.name}, {"namespace", service.meta.ns}, {"labels", std::move(labels)}}}};
  Json subsets = Json::array();
  for (const auto& [key, group] : groups_of(service, pods)) {
    Json ready = Json::array(), not_ready = Json::array();
    for (const auto& pod : group.second) {
      if (!service.publish_not_ready && !pod->meta.deletion_timestamp.empty()) continue;
      Json address{{"ip", pod->ip}, {"targetRef", target(*pod)}};
      if (!pod->node.empty()) address["nodeName"] = pod->node;
      if (has_hostname(service, *pod)) address["hostname"] = pod->hostname;
      (pod->ready || service.publish_not_ready ? ready : not_ready).push_back(std::move(address));
    }
    if (ready.empty() && not_ready.empty()) continue;
    Json subset = Json::object();
    if (!ready.empty()) subset["addresses"] = std::move(ready);
    if (!not_ready.empty()) subset["notReadyAddresses"] = std::move(not_ready);
    if (!group.first.empty()) subset["ports"] = ports_json(group.first);
    subsets.push_back(std::move(subset));
  }
  if (!subsets.empty()) object["subsets"] = std::move(subsets);
  return object;
}

std::vector<Json> slice_objects(const ServiceView& service, const Pods& pods) {
  std::vector<Json> out;
  auto begin = [&](const std::vector<EndpointPort>& ports) {
    Json labels = labels_json(service.meta.labels);
    labels["kubernetes.io/service-name"] = service.meta.name;
    labels["endpointslice.kubernetes.io/managed-by"] = "endpointslice-controller.k8s.io";
    if (service.headless) labels["service.kubernetes.io/headless"] = "";
    const std::string suffix = uuid_v5(kNamespace, fmt::format("{}/{}", service.meta.uid, out.size())).substr(0, 6);
    out.push_back({{"apiVersion", "discovery.k8s.io/v1"}, {"kind", "EndpointSlice"}, {"addressType", "IPv4"},
                   {"metadata",
                    {{"name", fmt::format("{}-{}", service.meta.name.substr(0, 240), suffix)}, {"namespace", service.meta.ns}, {"labels", std::move(labels)},
                     {"ownerReferences", Json::array({{{"apiVersion", "v1"}, {"kind", "Service"}, {"name", service.meta.name}, {"uid", service.meta.uid},
                                                       {"controller", true}, {"blockOwnerDeletion", true}}})}}},
                   {"endpoints", Json::array()}, {"ports", ports_json(ports)}});
  };
  for (const auto& [key, group] : groups_of(service, pods)) {
    std::size_t n = 0;
    for (const auto& pod : group.second) {
      if (n++ % kSliceSize == 0) begin(group.first);
      const bool terminating = !pod->meta.deletion_timestamp.empty();
      Json e{{"addresses", Json::array({pod->ip})},
             {"conditions", {{"ready", service.publish_not_ready || (pod->ready && !terminating)}, {"serving", pod->ready}, {"terminating", terminating}}},
             {"targetRef", target(*pod)}};
      if (!pod->node.empty()) e["nodeName"] = pod->node;
      if (has_hostname(service, *pod)) e["hostname"] = pod->hostname;
      out.back()["endpoints"].push_back(std::move(e));
    }
  }
  if (out.empty()) begin({});
  return out;
}

bool says_the_same(const Json& current, const Json& wanted) {
  auto part = [](const Json& o, std::initializer_list<std::string_view> path) {
    const Json* v = find(o, path);
    return v && !v->is_null() && !(v->is_array() && v->empty()) ? *v : Json();
  };
  for (auto path : {std::initializer_list<std::string_view>{"subsets"}, {"endpoints"}, {"ports"}, {"metadata", "labels"}})
    if (part(current, path) != part(wanted, path)) return false;
  return true;
}

}  // namespace nodevirt::services
