// The nftables document that makes Services reachable, as a pure function.
#pragma once
#include "standalone/services/views.hpp"

namespace nodevirt::services {

/// Which network namespace the rules are for.
struct RulesPlace {
  std::string table;              ///< replaced whole
  std::string services_range;     ///< addresses of Services
  std::string dns_address;        ///< of them, the one that is answered here
  std::string pods_range;         ///< on a node: its own pods; on the host: all pods
  std::string nodes_range;        ///< on the host only; empty on a node
};

/// One port of one Service with those that may be asked.
struct Target {
  std::string name;               ///< "default/web:http", in comments
  std::string protocol;           ///< tcp, udp, sctp
  std::string cluster_ip;
  std::uint16_t port = 0, node_port = 0;
  bool client_affinity = false;
  std::vector<std::pair<std::string, std::uint16_t>> backends;   ///< sorted; never empty
};

using Services = std::vector<std::shared_ptr<const ServiceView>>;
using Slices = std::vector<std::shared_ptr<const SliceView>>;

/// Ports of Services with an address, each with its ready endpoints (or, when none is ready, those that still serve
/// while they end). Ports without any are left out. Sorted.
std::vector<Target> targets_of(const Services& services, const std::function<Slices(const std::string& ns, const std::string& name)>& slices);

/// Addresses of Services that lead nowhere are rejected; everything else is left alone.
std::string rules_document(const RulesPlace& place, const std::vector<Target>& targets);

}  // namespace nodevirt::services
