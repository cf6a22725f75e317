// virt-handler's flags.
#pragma once
#include <string>
#include <vector>

#include "pkg/base/result.hpp"

namespace nodevirt::virt_handler {

struct Options {
  std::string kubeconfig;
  std::string node_name;
  std::string kubelet_root = "/var/lib/kubelet";
  std::string state_dir = "/var/lib/nodevirt/virt-handler";
  std::string capability_cache_dir = "/var/lib/kubevirt/qemu-capabilities";
  unsigned launcher_uid = 107;
  std::string listen_address = "127.0.0.1";
  std::uint16_t listen_port = 0;      ///< 0: a free one
  std::string advertise_address;      ///< "IP:PORT"; empty: the listening one
  std::string migration_listen_address;   ///< empty: listen_address
  std::uint16_t migration_listen_port = 0;
  std::string migration_advertise_address;
  std::string tls_cert, tls_key, client_ca;
  std::string agent_socket;           ///< empty: none
  std::string kvm_probe_kernel;       ///< empty: no KVM
  bool help = false;
};

/// InvalidArgument names the flag. `--flag value` and `--flag=value` are both read.
Result<Options> parse_options(const std::vector<std::string>& args);
std::string options_help();

}  // namespace nodevirt::virt_handler
