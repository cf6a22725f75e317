// kubeconfig files, as kubectl reads them: KUBECONFIG's list, --kubeconfig, contexts, client
// certificates, tokens, CA data or files, exec plugins are refused with a clear error.
#pragma once
#include <string>

#include "pkg/client/transport.hpp"

namespace nodevirt::client {

struct Endpoint {
  std::string server;            ///< https://host:port[/prefix]
  net::TlsClientOptions tls;
  std::string token;
  std::string token_file;        ///< read again every minute when set (service accounts' tokens rotate)
  std::string ns = "default";    ///< the context's namespace
  std::string context;
  std::string user;
};

struct KubeconfigOptions {
  std::string path;              ///< --kubeconfig; empty: $KUBECONFIG, ~/.kube/config, then in-cluster
  std::string context;           ///< --context; empty: current-context
};

Result<Endpoint> load_kubeconfig(const KubeconfigOptions& options);
/// From the pod's service account, for programs that run on a cluster.
Result<Endpoint> in_cluster();
Result<std::shared_ptr<Transport>> make_transport(Executor executor, const Endpoint& endpoint);

}  // namespace nodevirt::client
