// Who may be at the other end of a migration's connections.
#pragma once
#include <optional>
#include <string>

#include "pkg/net/tls.hpp"

namespace nodevirt::virt_handler::migration {

/// The certificate of a virt-handler, its key, and who signed the others'. TLS 1.3 alone is spoken.
struct StreamTls {
  std::shared_ptr<net::TlsContext> server, client;   ///< both null: plain (tests, and nodes without certificates)
};
Result<StreamTls> make_stream_tls(const std::string& certificate_pem, const std::string& key_pem, const std::string& ca_pem);

/// Organisation in the certificate of a node's own virt-handler: this, and the node's name.
inline constexpr std::string_view kNodeOrganization = "nodevirt.io:node:";

/// PermissionDenied unless it is a virt-handler's certificate and, where it names nodes, `node` is among them.
Result<void> check_peer(const std::optional<net::CertificateIdentity>& peer, const std::string& node);

}  // namespace nodevirt::virt_handler::migration
