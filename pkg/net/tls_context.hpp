// What stands behind TlsContext: OpenSSL's context and what the handshake needs to know.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include <openssl/ssl.h>

#include "pkg/net/tls.hpp"

namespace nodevirt::net {

class TlsContext {
 public:
  TlsContext(SSL_CTX* ctx, bool server) : ctx_(ctx), server_(server) {}
  ~TlsContext() { SSL_CTX_free(ctx_); }
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  SSL_CTX* get() const { return ctx_; }
  bool server() const { return server_; }

  std::string server_name;  ///< verified instead of the host when set
  bool verify = true;       ///< client: the server's certificate is checked

 private:
  SSL_CTX* ctx_;
  bool server_;
};

/// Who the peer's certificate says it is; nothing when it sent none or it was not verified.
std::optional<CertificateIdentity> peer_identity(const SSL* ssl);
/// OpenSSL's error queue as one line; empties it.
std::string openssl_errors();

}  // namespace nodevirt::net
