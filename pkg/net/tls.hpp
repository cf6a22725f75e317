// TLS contexts from PEM. TLS 1.2 and later.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "pkg/base/result.hpp"

namespace nodevirt::net {

/// What a verified client (or server) certificate says.
struct CertificateIdentity {
  std::string common_name;
  std::vector<std::string> organizations;
  std::string serial;
};

struct TlsServerOptions {
  std::string certificate_pem;     ///< chain
  std::string private_key_pem;
  std::string client_ca_pem;       ///< when set, clients may present a certificate, verified against it
  bool require_client_certificate = false;
};

struct TlsClientOptions {
  std::string ca_pem;              ///< roots; empty with `insecure` false: the system's
  std::string certificate_pem;     ///< client certificate, may be empty
  std::string private_key_pem;
  std::string server_name;         ///< verified instead of the host when set
  bool insecure = false;           ///< no verification (kubeconfig's insecure-skip-tls-verify)
};

class TlsContext;  ///< wraps asio::ssl::context
Result<std::shared_ptr<TlsContext>> make_server_context(const TlsServerOptions& options);
Result<std::shared_ptr<TlsContext>> make_client_context(const TlsClientOptions& options);

}  // namespace nodevirt::net
