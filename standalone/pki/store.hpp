// The folder `pki/` of an instance: its authority, one key pair and kubeconfig per program.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "pkg/base/clock.hpp"
#include "standalone/pki/certificate.hpp"

namespace nodevirt::pki {

struct Owner {
  uid_t uid = 0;
  gid_t gid = 0;
};

/// One NAME.crt, NAME.key and, where `kubeconfig` is set, NAME.kubeconfig.
struct Identity {
  std::string name;
  Subject subject;
  bool kubeconfig = false;
  Owner owner;              ///< of the key and the kubeconfig (0600); certificates are public
};

struct ClusterNames {
  std::vector<std::string> nodes;
  std::vector<std::string> listen_addresses;   ///< where the API server listens, besides loopback
  std::string service_address;                 ///< of the Service `kubernetes`, first of the service range
  Owner control_plane;                         ///< who runs the API server, virt-api and virt-controller
};

/// Every identity of an instance:
///   apiserver                server
///   front-proxy              CN apiserver-client: the API server towards virt-api
///   admin                    group system:masters
///   virt-api                 client, server (virt-api.kubevirt.svc), and client towards virt-handler
///   virt-controller          client
///   node-NODE                system:node:NODE, group system:nodes
///   virt-handler-NODE        CN virt-handler: client, and server of the name virt-handler; organization
///                            nodevirt.io:node:NODE: the other nodes' virt-handlers know by it whose migration it is
std::vector<Identity> identities_of(const ClusterNames& names);

struct EnsureOptions {
  std::filesystem::path dir;
  std::vector<Identity> identities;
  std::string server_url;                        ///< in the kubeconfigs
  std::string context_name = "nodevirt";
  Owner service_account_owner;                   ///< of sa.key
};

struct Ensured {
  bool new_authority = false;
  std::vector<std::string> issued;               ///< names that got a new certificate
};

/// Makes what is missing, wrong (other names, another authority, key and certificate of different runs) or
/// ends within 30 days. Every file is replaced whole, so that it may be interrupted anywhere and repeated. An
/// authority whose key is lost is FailedPrecondition, never replaced in silence.
Result<Ensured> ensure(const EnsureOptions& options, Clock::WallTime now);

}  // namespace nodevirt::pki
