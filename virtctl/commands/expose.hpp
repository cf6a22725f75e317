// The Service that `virtctl expose` makes; pure.
#pragma once
#include "virtctl/session.hpp"

namespace nodevirt::virtctl {

struct ExposeFlags {
  std::vector<std::string> words, labels;
  std::string name, target_port, port_name, protocol = "TCP", type = "ClusterIP", cluster_ip, external_ip, ip_family,
      ip_family_policy;
  int port = 0;
  bool dry_run = false;
};

/// `object` is the VM or VMI; without --port the ports come from its interfaces.
Result<Json> service_for(const Target& target, const Json& object, const ExposeFlags& flags);

}  // namespace nodevirt::virtctl
