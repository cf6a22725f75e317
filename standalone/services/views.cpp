#include "standalone/services/views.hpp"

#include <arpa/inet.h>

namespace nodevirt::services {
namespace {

template <class F>
void each(const Json& value, std::initializer_list<std::string_view> path, F f) {
  const Json* list = find(value, path);
  if (!list || !list->is_array()) return;
  for (const Json& item : *list) f(item);
}

std::uint16_t port_number(std::int64_t n) { return n > 0 && n < 65536 ? static_cast<std::uint16_t>(n) : 0; }

/// Only real addresses go on: they are written into rule sets.
bool ipv4(const std::string& text) {
  in_addr a{};
  return inet_pton(AF_INET, text.c_str(), &a) == 1;
}

}  // namespace

Result<ServiceView> ServiceView::decode(const Json& o) {
  ServiceView s;
  s.meta = runtime::ObjectMeta::from_json(o);
  s.type = string_at(o, {"spec", "type"}, "ClusterIP");
  s.external_name = string_at(o, {"spec", "externalName"});
  std::string ip = string_at(o, {"spec", "clusterIP"});
  s.headless = ip == "None";
  if (ipv4(ip)) s.cluster_ip = ip;
  s.publish_not_ready = bool_at(o, {"spec", "publishNotReadyAddresses"});
  s.client_affinity = string_at(o, {"spec", "sessionAffinity"}) == "ClientIP";
  if (const Json* selector = find(o, {"spec", "selector"}); selector && selector->is_object() && !selector->empty()) {
    NV_TRY(s.selector, k8s::LabelSelector::from_map(*selector));
    s.has_selector = s.type != "ExternalName";
  }
  each(o, {"spec", "ports"}, [&](const Json& p) {
    ServicePort port{.name = string_at(p, {"name"}), .protocol = string_at(p, {"protocol"}, "TCP"), .port = port_number(int_at(p, {"port"})),
                     .node_port = port_number(int_at(p, {"nodePort"}))};
    const Json* target = find(p, {"targetPort"});
    if (target && target->is_string()) port.target_name = target->get<std::string>();
    else port.target_number = port_number(int_at(p, {"targetPort"}));
    if (port.target_name.empty() && port.target_number == 0) port.target_number = port.port;
    s.ports.push_back(std::move(port));
  });
  return s;
}

Result<SliceView> SliceView::decode(const Json& o) {
  SliceView s;
  s.meta = runtime::ObjectMeta::from_json(o);
  if (auto it = s.meta.labels.find("kubernetes.io/service-name"); it != s.meta.labels.end()) s.service = it->second;
  if (string_at(o, {"addressType"}, "IPv4") != "IPv4") return s;
  each(o, {"endpoints"}, [&](const Json& e) {
    Endpoint common{.hostname = string_at(e, {"hostname"}), .node = string_at(e, {"nodeName"}), .ready = bool_at(e, {"conditions", "ready"}, true),
                    .serving = bool_at(e, {"conditions", "serving"}, bool_at(e, {"conditions", "ready"}, true)),
                    .terminating = bool_at(e, {"conditions", "terminating"}), .pod_namespace = string_at(e, {"targetRef", "namespace"}),
                    .pod_name = string_at(e, {"targetRef", "name"}), .pod_uid = string_at(e, {"targetRef", "uid"})};
    each(e, {"addresses"}, [&](const Json& a) {
      if (!a.is_string() || !ipv4(a.get<std::string>())) return;
      Endpoint one = common;
      one.address = a.get<std::string>();
      s.endpoints.push_back(std::move(one));
    });
  });
  each(o, {"ports"}, [&](const Json& p) {
    s.ports.push_back({string_at(p, {"name"}), string_at(p, {"protocol"}, "TCP"), port_number(int_at(p, {"port"}))});
  });
  return s;
}

Result<BackendPod> BackendPod::decode(const Json& o) {
  BackendPod p;
  p.meta = runtime::ObjectMeta::from_json(o);
  p.ip = string_at(o, {"status", "podIP"});
  if (!ipv4(p.ip)) p.ip.clear();
  p.node = string_at(o, {"spec", "nodeName"});
  p.phase = string_at(o, {"status", "phase"});
  p.hostname = string_at(o, {"spec", "hostname"});
  p.subdomain = string_at(o, {"spec", "subdomain"});
  each(o, {"status", "conditions"}, [&](const Json& c) {
    if (string_at(c, {"type"}) == "Ready") p.ready = string_at(c, {"status"}) == "True";
  });
  each(o, {"spec", "containers"}, [&](const Json& c) {
    each(c, {"ports"}, [&](const Json& port) {
      if (std::string name = string_at(port, {"name"}); !name.empty())
        p.ports.push_back({name, string_at(port, {"protocol"}, "TCP"), port_number(int_at(port, {"containerPort"}))});
    });
  });
  return p;
}

}  // namespace nodevirt::services
