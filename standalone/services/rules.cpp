#include "standalone/services/rules.hpp"

namespace nodevirt::services {
namespace {

constexpr const char* kMark = "0x4000";   // has come by a node port: answers must come back this way

std::string lower(std::string s) {
  for (char& c : s) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return s;
}

std::string elements(const std::vector<std::string>& items) {
  return items.empty() ? "" : fmt::format("    elements = {{ {} }}\n", fmt::join(items, ",\n                 "));
}

std::string translation(const Target& t) {
  if (t.backends.size() == 1)
    return fmt::format("    meta l4proto {} dnat to {}:{}\n", t.protocol, t.backends[0].first, t.backends[0].second);
  std::vector<std::string> choices;
  for (std::size_t i = 0; i < t.backends.size(); ++i)
    choices.push_back(fmt::format("{} : {} . {}", i, t.backends[i].first, t.backends[i].second));
  return fmt::format("    meta l4proto {} dnat ip to {} mod {} map {{ {} }}\n", t.protocol, t.client_affinity ? "jhash ip saddr" : "numgen random",
                     t.backends.size(), fmt::join(choices, ", "));
}

std::string chains(const std::vector<Target>& targets) {
  std::string out;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const Target& t = targets[i];
    // Names of objects are label names: nothing in them can end a comment.
    out += fmt::format("  # {}\n  chain service-{} {{\n{}  }}\n", t.name, i, translation(t));
    if (t.node_port) out += fmt::format("  chain node-port-{0} {{\n    meta mark set meta mark | {1}\n    goto service-{0}\n  }}\n", i, kMark);
  }
  return out;
}

}  // namespace

std::vector<Target> targets_of(const Services& services, const std::function<Slices(const std::string&, const std::string&)>& slices) {
  std::vector<Target> out;
  for (const auto& s : services) {
    if (s->headless || s->cluster_ip.empty() || s->type == "ExternalName") continue;
    const Slices behind = slices(s->meta.ns, s->meta.name);
    for (const ServicePort& p : s->ports) {
      const std::string protocol = lower(p.protocol);
      if (p.port == 0 || (protocol != "tcp" && protocol != "udp" && protocol != "sctp")) continue;
      Target t{.name = fmt::format("{}/{}:{}", s->meta.ns, s->meta.name, p.name.empty() ? std::to_string(p.port) : p.name), .protocol = protocol,
               .cluster_ip = s->cluster_ip, .port = p.port, .node_port = p.node_port, .client_affinity = s->client_affinity, .backends = {}};
      std::set<std::pair<std::string, std::uint16_t>> ready, ending;
      for (const auto& slice : behind)
        for (const EndpointPort& ep : slice->ports) {
          if (ep.name != p.name || ep.protocol != p.protocol || ep.port == 0) continue;
          for (const Endpoint& e : slice->endpoints) {
            if (e.ready) ready.insert({e.address, ep.port});
            else if (e.serving && e.terminating) ending.insert({e.address, ep.port});
          }
        }
      const auto& chosen = ready.empty() ? ending : ready;
      if (chosen.empty()) continue;
      t.backends.assign(chosen.begin(), chosen.end());
      out.push_back(std::move(t));
    }
  }
  std::sort(out.begin(), out.end(), [](const Target& a, const Target& b) { return std::tie(a.name, a.protocol) < std::tie(b.name, b.protocol); });
  return out;
}

std::string rules_document(const RulesPlace& place, const std::vector<Target>& targets) {
  std::vector<std::string> by_address, by_node_port;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const Target& t = targets[i];
    by_address.push_back(fmt::format("{} . {} . {} : goto service-{}", t.cluster_ip, t.protocol, t.port, i));
    if (t.node_port) by_node_port.push_back(fmt::format("{} . {} : goto node-port-{}", t.protocol, t.node_port, i));
  }
  const bool host = !place.nodes_range.empty();
  std::string out = fmt::format("table ip {0} {{}}\ndelete table ip {0}\ntable ip {0} {{\n", place.table);
  out += chains(targets);
  out += "  map by-address {\n    type ipv4_addr . inet_proto . inet_service : verdict\n" + elements(by_address) + "  }\n";
  out += "  map by-node-port {\n    type inet_proto . inet_service : verdict\n" + elements(by_node_port) + "  }\n";
  out += "  chain services {\n    ip daddr . meta l4proto . th dport vmap @by-address\n";
  // On the host node ports also answer at 127.0.0.1; inside a node nobody asks there.
  out += fmt::format("    fib daddr type local {}meta l4proto . th dport vmap @by-node-port\n  }}\n", host ? "" : "ip daddr != 127.0.0.0/8 ");
  out += "  chain prerouting {\n    type nat hook prerouting priority dstnat; policy accept;\n    jump services\n  }\n";
  out += "  chain output {\n    type nat hook output priority -100; policy accept;\n    jump services\n  }\n";
  out += "  chain postrouting {\n    type nat hook postrouting priority srcnat; policy accept;\n";
  // Where the answer would not come back through the namespace that translated, the asker gets its address.
  if (host) out += fmt::format("    ct status dnat ip saddr {{ {}, {} }} masquerade\n", place.nodes_range, place.pods_range);
  else out += fmt::format("    meta mark & {0} == {0} masquerade\n    ct status dnat ip saddr {1} ip daddr {1} masquerade\n", kMark, place.pods_range);
  out += "  }\n";
  for (const char* hook : {"forward", "output"})
    out += fmt::format("  chain nowhere-{0} {{\n    type filter hook {0} priority filter; policy accept;\n    ip daddr {1} ip daddr != {2} reject\n  }}\n", hook,
                       place.services_range, place.dns_address);
  return out + "}\n";
}

}  // namespace nodevirt::services
