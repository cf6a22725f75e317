#include "standalone/nodes/topology.hpp"

namespace nodevirt::nodes {

std::string instance_hash(const std::string& data_dir) {
  // FNV-1a: stable over versions and machines, which std::hash is not.
  std::uint64_t h = 1469598103934665603u;
  for (unsigned char c : data_dir) h = (h ^ c) * 1099511628211u;
  return fmt::format("{:06x}", (h ^ (h >> 24) ^ (h >> 48)) & 0xffffff);
}

Topology make_topology(const std::string& hash, bool named, const Ranges& ranges, int node_count) {
  Topology t;
  t.hash = hash;
  t.bridge = "nvbr" + hash;
  t.table = "nodevirt-" + hash;
  t.nodes_range = ranges.nodes;
  t.pods_range = ranges.pods;
  t.services_range = ranges.services;
  t.gateway = ranges.nodes.at(1);
  t.kubernetes_address = ranges.services.at(1);
  t.dns_address = ranges.services.at(10);
  for (int i = 1; i <= node_count; ++i) {
    NodeNetwork n;
    n.name = fmt::format("node{}", i);
    n.netns = named ? "nodevirt-" + n.name : fmt::format("nodevirt-{}-{}", hash, n.name);
    n.host_link = fmt::format("nv{}n{}", hash, i);
    n.address = ranges.nodes.at(static_cast<std::uint32_t>(10 + i));
    n.pods = ranges.pods.sub(24, static_cast<std::uint32_t>(i));
    t.nodes.push_back(std::move(n));
  }
  return t;
}

}  // namespace nodevirt::nodes
