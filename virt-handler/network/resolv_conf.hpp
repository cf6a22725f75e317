// What a pod's resolv.conf says.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace nodevirt::virt_handler {

struct ResolvConf {
  std::vector<std::string> servers;  ///< addresses, IPv4 first; loopback is left out: the guest could not reach it
  std::vector<std::string> search;
};

/// Never fails: lines that are not understood are passed over. At most 3 servers and 32 domains are kept.
ResolvConf parse_resolv_conf(std::string_view text);

}  // namespace nodevirt::virt_handler
