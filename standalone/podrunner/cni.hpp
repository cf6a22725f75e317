// A pod's network by CNI plugins: bridge and host-local, and portmap for host ports.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "pkg/base/json.hpp"
#include "standalone/podrunner/pod_view.hpp"

namespace nodevirt::podrunner {

struct CniOptions {
  std::filesystem::path plugin_dir = "/usr/lib/cni";
  std::filesystem::path data_dir;          ///< host-local's leases
  std::string network = "nodevirt";
  std::string bridge = "nodevirt0";        ///< in the runner's own network namespace
  std::string pod_cidr;
  int mtu = 0;                             ///< 0: the kernel's
};

/// One pod's attachment: enough to undo it after a crash at any point.
struct CniAttachment {
  std::string container_id, netns;
  std::string ns, name, uid;               ///< the pod, told to the plugins
  std::vector<HostPort> host_ports;
};

/// The chain of plugin configurations. Pure.
std::vector<Json> cni_plugins(const CniOptions& options, const CniAttachment& attachment);
/// The first IPv4 address of a result, without its prefix length; empty when there is none. Pure.
std::string cni_address(const Json& result);

/// Runs ADD of each plugin; a failure in the middle is undone. Blocking. Returns the last result.
Result<Json> cni_add(const CniOptions& options, const CniAttachment& attachment);
/// Runs DEL in reverse order; what is gone already is no error. Blocking.
Result<void> cni_del(const CniOptions& options, const CniAttachment& attachment, const Json& result);
/// Containers that host-local holds an address for: {container id}. Blocking.
std::vector<std::string> cni_leases(const CniOptions& options);

}  // namespace nodevirt::podrunner
