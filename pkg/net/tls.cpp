#include "pkg/net/tls.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "pkg/net/tls_context.hpp"

namespace nodevirt::net {

namespace {

template <auto F>
struct Free {
  template <class T>
  void operator()(T* p) const { F(p); }
};
using BioPtr = std::unique_ptr<BIO, Free<BIO_free_all>>;
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;

BioPtr reader(const std::string& text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

Error bad(std::string what) {
  auto why = openssl_errors();
  return Error(Code::InvalidArgument, why.empty() ? what : what + ": " + why);
}

std::vector<X509Ptr> certificates(const std::string& pem) {
  std::vector<X509Ptr> out;
  auto bio = reader(pem);
  while (auto* c = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) out.emplace_back(c);
  ERR_clear_error();  // the end of the text is an error in OpenSSL's eyes
  return out;
}

Result<void> use_identity(SSL_CTX* ctx, const std::string& chain_pem, const std::string& key_pem) {
  auto chain = certificates(chain_pem);
  if (chain.empty()) return bad("the certificate is not PEM");
  if (SSL_CTX_use_certificate(ctx, chain[0].get()) != 1) return bad("the certificate cannot be used");
  for (std::size_t i = 1; i < chain.size(); ++i)
    if (SSL_CTX_add1_chain_cert(ctx, chain[i].get()) != 1) return bad("the certificate chain cannot be used");
  auto bio = reader(key_pem);
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, const_cast<char*>("")));
  if (!key) return bad("the private key is not PEM, or is encrypted");
  if (SSL_CTX_use_PrivateKey(ctx, key.get()) != 1) return bad("the private key does not belong to the certificate");
  return {};
}

Result<void> trust(SSL_CTX* ctx, const std::string& ca_pem, bool announce) {
  auto cas = certificates(ca_pem);
  if (cas.empty()) return bad("the CA bundle holds no PEM certificate");
  auto* store = SSL_CTX_get_cert_store(ctx);
  for (auto& ca : cas) {
    if (X509_STORE_add_cert(store, ca.get()) != 1) return bad("a CA certificate cannot be used");
    if (announce && SSL_CTX_add_client_CA(ctx, ca.get()) != 1) return bad("a CA certificate cannot be used");
  }
  return {};
}

SSL_CTX* new_context(const SSL_METHOD* method) {
  auto* ctx = SSL_CTX_new(method);
  NV_CHECK(ctx != nullptr);
  SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
  // Idle connections keep no 16 KiB record buffers.
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  return ctx;
}

int select_http11(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size,
                  void*) {
  static constexpr unsigned char kOurs[] = "\x08http/1.1";
  if (SSL_select_next_proto(const_cast<unsigned char**>(out), out_size, kOurs, sizeof kOurs - 1, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  return SSL_TLSEXT_ERR_OK;
}

std::string text_of(const ASN1_STRING* s) {
  unsigned char* utf8 = nullptr;
  int n = ASN1_STRING_to_UTF8(&utf8, s);
  if (n < 0) return {};
  std::string out(reinterpret_cast<char*>(utf8), static_cast<std::size_t>(n));
  OPENSSL_free(utf8);
  return out;
}

}  // namespace

std::string openssl_errors() {
  std::string out;
  while (auto code = ERR_get_error()) {
    char text[256];
    ERR_error_string_n(code, text, sizeof text);
    // "error:0A000086:SSL routines::certificate verify failed": only the last part says something.
    std::string_view line(text);
    auto colon = line.rfind(':');
    if (!out.empty()) out += "; ";
    out += colon == std::string_view::npos ? line : line.substr(colon + 1);
  }
  return out;
}

std::optional<CertificateIdentity> peer_identity(const SSL* ssl) {
  X509Ptr cert(SSL_get1_peer_certificate(ssl));
  if (!cert || SSL_get_verify_result(ssl) != X509_V_OK || SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE)
    return std::nullopt;
  CertificateIdentity out;
  auto* subject = X509_get_subject_name(cert.get());
  for (int i = 0; i < X509_NAME_entry_count(subject); ++i) {
    auto* entry = X509_NAME_get_entry(subject, i);
    int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    auto value = text_of(X509_NAME_ENTRY_get_data(entry));
    if (nid == NID_commonName) out.common_name = value;
    if (nid == NID_organizationName) out.organizations.push_back(value);
  }
  if (auto* number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert.get()), nullptr)) {
    if (auto* hex = BN_bn2hex(number)) {
      out.serial = hex;
      OPENSSL_free(hex);
    }
    BN_free(number);
  }
  return out;
}

Result<std::shared_ptr<TlsContext>> make_server_context(const TlsServerOptions& options) {
  auto context = std::make_shared<TlsContext>(new_context(TLS_server_method()), true);
  auto* ctx = context->get();
  SSL_CTX_set_num_tickets(ctx, 0);
  SSL_CTX_set_alpn_select_cb(ctx, select_http11, nullptr);
  NV_TRY_VOID(use_identity(ctx, options.certificate_pem, options.private_key_pem));
  if (!options.client_ca_pem.empty()) {
    NV_TRY_VOID(trust(ctx, options.client_ca_pem, true));
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (options.require_client_certificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       nullptr);
  } else if (options.require_client_certificate) {
    return Error(Code::InvalidArgument, "client certificates are required, but no CA for them is given");
  }
  return context;
}

Result<std::shared_ptr<TlsContext>> make_client_context(const TlsClientOptions& options) {
  auto context = std::make_shared<TlsContext>(new_context(TLS_client_method()), false);
  auto* ctx = context->get();
  context->server_name = options.server_name;
  context->verify = !options.insecure;
  if (!options.certificate_pem.empty() || !options.private_key_pem.empty())
    NV_TRY_VOID(use_identity(ctx, options.certificate_pem, options.private_key_pem));
  if (options.insecure) {
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, nullptr);
    return context;
  }
  if (!options.ca_pem.empty()) {
    NV_TRY_VOID(trust(ctx, options.ca_pem, false));
  } else {
    SSL_CTX_set_default_verify_paths(ctx);
  }
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, nullptr);
  return context;
}

}  // namespace nodevirt::net
