#include "virt-handler/migration/stream/tls.hpp"

#include <fmt/format.h>

#include "pkg/net/tls_context.hpp"

namespace nodevirt::virt_handler::migration {

constexpr std::string_view kName = "virt-handler";

Result<StreamTls> make_stream_tls(const std::string& certificate_pem, const std::string& key_pem, const std::string& ca_pem) {
  net::TlsServerOptions server{.certificate_pem = certificate_pem, .private_key_pem = key_pem, .client_ca_pem = ca_pem, .require_client_certificate = true};
  net::TlsClientOptions client{.ca_pem = ca_pem, .certificate_pem = certificate_pem, .private_key_pem = key_pem, .server_name = std::string(kName)};
  StreamTls out;
  NV_TRY(out.server, net::make_server_context(server));
  NV_TRY(out.client, net::make_client_context(client));
  for (const auto& context : {out.server, out.client}) SSL_CTX_set_min_proto_version(context->get(), TLS1_3_VERSION);
  return out;
}

Result<void> check_peer(const std::optional<net::CertificateIdentity>& peer, const std::string& node) {
  if (!peer || peer->common_name != kName) return Error{Code::PermissionDenied, "the other end shows no certificate of a virt-handler"};
  bool named = false;
  for (const std::string& organization : peer->organizations) {
    if (!organization.starts_with(kNodeOrganization)) continue;
    named = true;
    if (organization.substr(kNodeOrganization.size()) == node) return {};
  }
  if (named) return Error{Code::PermissionDenied, fmt::format("the other end is not the virt-handler of node {}", node)};
  return {};
}

}  // namespace nodevirt::virt_handler::migration
