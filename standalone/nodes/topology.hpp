// What the network of an instance looks like: names and addresses, without touching anything.
#pragma once
#include <string>
#include <vector>

#include "pkg/base/json.hpp"
#include "standalone/nodes/cidr.hpp"

namespace nodevirt::nodes {

struct NodeNetwork {
  std::string name;        ///< "node1"
  std::string netns;       ///< under /run/netns
  std::string host_link;   ///< the host's end of the link, a port of the bridge
  std::string address;     ///< the node's own, on `eth0`
  Cidr pods;               ///< its share of the pod range
};

/// One bridge on the host; on it, one network namespace per node:
///
///   host: nvbrHASH NODES.1 ── veth ── node1: eth0 NODES.11, pods PODS.1.0/24 behind it
///                          └─ veth ── node2: eth0 NODES.12, pods PODS.2.0/24 behind it
///
/// Everybody has routes to everybody's pods; Services are translated where the packet starts (host or
/// node); what goes further than the host is masqueraded there.
struct Topology {
  std::string hash;          ///< of the data directory: makes the names of two instances differ
  std::string bridge;
  std::string gateway;       ///< the host's address on the bridge
  std::string table;         ///< nftables table on the host
  Cidr nodes_range, pods_range, services_range;
  std::string dns_address;         ///< the resolver, answered on every node
  std::string kubernetes_address;  ///< of the Service `kubernetes`
  std::vector<NodeNetwork> nodes;
};

struct Ranges {
  Cidr nodes, pods, services;
};

/// Six hexadecimal digits of a data directory's absolute path.
std::string instance_hash(const std::string& data_dir);
/// `named`: namespaces are called nodevirt-NODE (the instance in the default data directory), otherwise
/// nodevirt-HASH-NODE.
Topology make_topology(const std::string& hash, bool named, const Ranges& ranges, int node_count);

inline constexpr int kMaxNodes = 64;

}  // namespace nodevirt::nodes
