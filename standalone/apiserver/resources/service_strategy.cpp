// Services: cluster addresses and node ports are chosen right before the commit, against every accepted
// Service, so that no allocator state can be lost or drift in a crash.
#include <arpa/inet.h>

#include <set>

#include <fmt/format.h>

#include "pkg/base/id.hpp"
#include "standalone/apiserver/options.hpp"
#include "standalone/apiserver/resources/builtin_strategies.hpp"
#include "standalone/apiserver/store/store.hpp"

namespace nodevirt::apiserver {

namespace {

struct Used {
  std::set<std::uint32_t> addresses;
  std::set<std::int64_t> ports;   // port * 4 + protocol: TCP and UDP do not collide
};

std::int64_t port_key(const Json& port, std::int64_t number) {
  auto protocol = string_at(port, {"protocol"}, "TCP");
  return number * 4 + (protocol == "UDP" ? 1 : protocol == "SCTP" ? 2 : 0);
}

bool parse_ipv4(const std::string& text, std::uint32_t& out) {
  in_addr a{};
  if (inet_pton(AF_INET, text.c_str(), &a) != 1) return false;
  out = ntohl(a.s_addr);
  return true;
}

std::string show(std::uint32_t ip) {
  return fmt::format("{}.{}.{}.{}", ip >> 24, (ip >> 16) & 255, (ip >> 8) & 255, ip & 255);
}

Used used_by_others(const StrategyContext& c, const std::string& ns, const std::string& name) {
  Used used;
  c.store.each_head("services", "", [&](const StoredPtr& stored) {
    if (stored->ns == ns && stored->name == name) return;
    auto text = c.store.text("services", stored);
    auto service = text.ok() ? parse_json(**text) : Result<Json>(text.error());
    if (!service.ok()) return;
    std::uint32_t ip;
    if (parse_ipv4(string_at(*service, {"spec", "clusterIP"}), ip)) used.addresses.insert(ip);
    if (const Json* ports = find(*service, {"spec", "ports"}); ports && ports->is_array())
      for (const auto& p : *ports)
        if (auto n = int_at(p, {"nodePort"})) used.ports.insert(port_key(p, n));
  });
  return used;
}

std::uint32_t random32() {
  std::uint32_t r;
  random_bytes({reinterpret_cast<unsigned char*>(&r), sizeof r});
  return r;
}

Error wrong(const std::string& name, std::string field, std::string message) {
  return invalid("", "Service", name, {{std::move(field), "FieldValueInvalid", std::move(message)}});
}

Result<void> choose_address(StrategyContext& c, Json& spec, const Used& used, const std::string& name) {
  auto slash = c.options.service_cidr.find('/');
  std::uint32_t base = 0;
  int bits = slash == std::string::npos ? 16 : std::atoi(c.options.service_cidr.c_str() + slash + 1);
  if (!parse_ipv4(c.options.service_cidr.substr(0, slash), base) || bits < 8 || bits > 30)
    return internal_error(fmt::format("the service range {} is not usable", c.options.service_cidr));
  std::uint32_t size = 1u << (32 - bits);
  base &= ~(size - 1);
  auto ask = string_at(spec, {"clusterIP"});
  std::uint32_t ip = 0;
  if (!ask.empty()) {
    if (!parse_ipv4(ask, ip) || ip <= base || ip >= base + size - 1)
      return wrong(name, "spec.clusterIPs", fmt::format("Invalid value: [\"{}\"]: failed to allocate IP {}: the provided IP is not in the valid range {}", ask, ask, c.options.service_cidr));
    if (used.addresses.contains(ip))
      return wrong(name, "spec.clusterIPs", fmt::format("Invalid value: [\"{}\"]: failed to allocate IP {}: provided IP is already allocated", ask, ask));
  } else {
    // .1 is the API server's and .10 the resolver's own.
    std::uint32_t start = random32() % (size - 2);
    for (std::uint32_t i = 0; i < size - 2 && !ip; ++i) {
      std::uint32_t candidate = base + 1 + (start + i) % (size - 2);
      if (candidate != base + 1 && candidate != base + 10 && !used.addresses.contains(candidate)) ip = candidate;
    }
    if (!ip) return internal_error("failed to allocate a serviceIP: range is full");
  }
  spec["clusterIP"] = show(ip);
  spec["clusterIPs"] = {show(ip)};
  return {};
}

Result<void> choose_ports(StrategyContext& c, Json& spec, Used& used, const std::string& name) {
  auto ports = spec.find("ports");
  if (ports == spec.end() || !ports->is_array()) return {};
  std::int64_t first = c.options.node_port_first, last = c.options.node_port_last;
  for (std::size_t i = 0; i < ports->size(); ++i) {
    auto& p = (*ports)[i];
    auto ask = int_at(p, {"nodePort"});
    if (ask) {
      if (ask < first || ask > last)
        return wrong(name, fmt::format("spec.ports[{}].nodePort", i), fmt::format("Invalid value: {}: provided port is not in the valid range. The range of valid ports is {}-{}", ask, first, last));
      if (!used.ports.insert(port_key(p, ask)).second)
        return wrong(name, fmt::format("spec.ports[{}].nodePort", i), fmt::format("Invalid value: {}: provided port is already allocated", ask));
      continue;
    }
    std::int64_t n = last - first + 1, start = random32() % n;
    for (std::int64_t k = 0; k < n && !ask; ++k) {
      auto candidate = first + (start + k) % n;
      if (used.ports.insert(port_key(p, candidate)).second) ask = candidate;
    }
    if (!ask) return internal_error("failed to allocate a nodePort: range is full");
    p["nodePort"] = ask;
  }
  return {};
}

class ServiceStrategy final : public PlainStrategy {
 public:
  ServiceStrategy() : PlainStrategy(false) {}
  std::string check_name(std::string_view name) const override { return check_label(name); }

  Result<void> prepare_create(StrategyContext&, Json& o) const override {
    o["status"] = {{"loadBalancer", Json::object()}};
    complete(o);
    return {};
  }

  Result<void> prepare_update(StrategyContext&, Json& o, const Json& old, const std::string& sub) const override {
    if (sub == "status" || !o.contains("spec") || !old.contains("spec")) return {};
    complete(o);
    auto& spec = o["spec"];
    const auto& was = old["spec"];
    auto type = string_at(spec, {"type"});
    // An update that does not say keeps the address and the ports.
    if (type != "ExternalName" && string_at(was, {"type"}) != "ExternalName") {
      if (string_at(spec, {"clusterIP"}).empty()) {
        for (const char* key : {"clusterIP", "clusterIPs"}) if (was.contains(key)) spec[key] = was[key];
      }
      for (const char* key : {"ipFamilies", "ipFamilyPolicy"}) if (!spec.contains(key) && was.contains(key)) spec[key] = was[key];
    }
    if ((type == "NodePort" || type == "LoadBalancer") && spec.contains("ports") && spec["ports"].is_array() && was.contains("ports"))
      for (auto& p : spec["ports"])
        if (!int_at(p, {"nodePort"}))
          for (const auto& q : was["ports"])
            if (int_at(q, {"port"}) == int_at(p, {"port"}) && string_at(q, {"protocol"}, "TCP") == string_at(p, {"protocol"}, "TCP") && int_at(q, {"nodePort"}))
              p["nodePort"] = q["nodePort"];
    return {};
  }

  std::vector<Cause> validate(StrategyContext&, const Json& o, const Json* old) const override {
    std::vector<Cause> out;
    auto ip = string_at(o, {"spec", "clusterIP"});
    if (old && string_at(o, {"spec", "type"}) != "ExternalName" && string_at(*old, {"spec", "type"}) != "ExternalName") {
      auto was = string_at(*old, {"spec", "clusterIP"});
      if (!was.empty() && was != ip)
        out.push_back({"spec.clusterIPs[0]", "FieldValueInvalid", fmt::format("Invalid value: [\"{}\"]: may not change once set", ip)});
    }
    return out;
  }

  Result<void> before_commit(StrategyContext& c, Json& o, const Json*) const override {
    auto it = o.find("spec");
    if (it == o.end() || !it->is_object()) return {};
    auto& spec = *it;
    auto type = string_at(spec, {"type"}, "ClusterIP");
    auto name = string_at(o, {"metadata", "name"});
    if (type == "ExternalName") {
      for (const char* key : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"}) spec.erase(key);
      return {};
    }
    auto used = used_by_others(c, string_at(o, {"metadata", "namespace"}), name);
    auto ip = string_at(spec, {"clusterIP"});
    if (ip == "None") spec["clusterIPs"] = {"None"};
    else NV_TRY_VOID(choose_address(c, spec, used, name));
    if (!spec.contains("ipFamilies")) spec["ipFamilies"] = {"IPv4"};
    if (!spec.contains("ipFamilyPolicy")) spec["ipFamilyPolicy"] = "SingleStack";
    if (type == "NodePort" || type == "LoadBalancer") return choose_ports(c, spec, used, name);
    return {};
  }

 private:
  static void complete(Json& o) {
    auto it = o.find("spec");
    if (it == o.end() || !it->is_object()) return;
    auto& spec = *it;
    auto type = string_at(spec, {"type"}, "ClusterIP");
    spec["type"] = type;
    if (!spec.contains("sessionAffinity")) spec["sessionAffinity"] = "None";
    if (type != "ExternalName" && !spec.contains("internalTrafficPolicy")) spec["internalTrafficPolicy"] = "Cluster";
    bool outside = type == "NodePort" || type == "LoadBalancer";
    if (outside && !spec.contains("externalTrafficPolicy")) spec["externalTrafficPolicy"] = "Cluster";
    if (!outside) spec.erase("externalTrafficPolicy");
    if (type == "LoadBalancer" && !spec.contains("allocateLoadBalancerNodePorts")) spec["allocateLoadBalancerNodePorts"] = true;
    if (auto ports = spec.find("ports"); ports != spec.end() && ports->is_array())
      for (auto& p : *ports)
        if (p.is_object()) {
          if (!p.contains("protocol")) p["protocol"] = "TCP";
          if (!p.contains("targetPort") && p.contains("port")) p["targetPort"] = p["port"];
          if (!outside) p.erase("nodePort");
        }
  }
};

}  // namespace

const Strategy& service_strategy() {
  static const ServiceStrategy s;
  return s;
}

}  // namespace nodevirt::apiserver
