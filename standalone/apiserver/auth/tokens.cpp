#include "standalone/apiserver/auth/tokens.hpp"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "standalone/apiserver/errors.hpp"
#include "standalone/apiserver/service_resolver.hpp"

namespace nodevirt::apiserver {

std::string base64url_encode(std::string_view bytes) {
  auto out = base64_encode(bytes);
  for (auto& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
  while (out.ends_with('=')) out.pop_back();
  return out;
}

bool base64url_decode(std::string_view text, std::string& out) {
  std::string padded(text);
  for (auto& c : padded) {
    if (c == '+' || c == '/' || c == '=') return false;
    c = c == '-' ? '+' : c == '_' ? '/' : c;
  }
  while (padded.size() % 4) padded += '=';
  return base64_decode(padded, out);
}

namespace {

EVP_PKEY* key_of(void* k) { return static_cast<EVP_PKEY*>(k); }

// JWS wants r||s, OpenSSL speaks DER.
std::string ecdsa_to_raw(const std::string& der) {
  auto* p = reinterpret_cast<const unsigned char*>(der.data());
  ECDSA_SIG* sig = d2i_ECDSA_SIG(nullptr, &p, long(der.size()));
  if (!sig) return "";
  std::string raw(64, '\0');
  bool ok = BN_bn2binpad(ECDSA_SIG_get0_r(sig), reinterpret_cast<unsigned char*>(raw.data()), 32) == 32 &&
            BN_bn2binpad(ECDSA_SIG_get0_s(sig), reinterpret_cast<unsigned char*>(raw.data()) + 32, 32) == 32;
  ECDSA_SIG_free(sig);
  return ok ? raw : "";
}

std::string ecdsa_to_der(const std::string& raw) {
  if (raw.size() != 64) return "";
  ECDSA_SIG* sig = ECDSA_SIG_new();
  ECDSA_SIG_set0(sig, BN_bin2bn(reinterpret_cast<const unsigned char*>(raw.data()), 32, nullptr),
                 BN_bin2bn(reinterpret_cast<const unsigned char*>(raw.data()) + 32, 32, nullptr));
  unsigned char* der = nullptr;
  int n = i2d_ECDSA_SIG(sig, &der);
  std::string out(n > 0 ? reinterpret_cast<char*>(der) : "", n > 0 ? std::size_t(n) : 0);
  OPENSSL_free(der);
  ECDSA_SIG_free(sig);
  return out;
}

}  // namespace

Result<std::unique_ptr<TokenIssuer>> TokenIssuer::make(const std::string& pem, std::string issuer) {
  std::unique_ptr<TokenIssuer> self(new TokenIssuer);
  self->issuer_ = std::move(issuer);
  if (pem.empty()) return self;
  BIO* bio = BIO_new_mem_buf(pem.data(), int(pem.size()));
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  if (!key) return Error(Code::InvalidArgument, "the service account key is no PEM private key");
  self->key_ = key;
  int kind = EVP_PKEY_base_id(key);
  if (kind != EVP_PKEY_RSA && !(kind == EVP_PKEY_EC && EVP_PKEY_bits(key) == 256))
    return Error(Code::InvalidArgument, "the service account key must be RSA or ECDSA P-256");
  self->rsa_ = kind == EVP_PKEY_RSA;
  unsigned char* der = nullptr;
  int n = i2d_PUBKEY(key, &der);
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(der, std::size_t(n), digest);
  OPENSSL_free(der);
  self->key_id_ = base64url_encode({reinterpret_cast<char*>(digest), sizeof digest});
  return self;
}

TokenIssuer::~TokenIssuer() { EVP_PKEY_free(key_of(key_)); }

Result<std::string> TokenIssuer::sign(const Json& claims) const {
  if (!key_) return Error(Code::FailedPrecondition, "no service account key is configured");
  Json header{{"alg", rsa_ ? "RS256" : "ES256"}, {"kid", key_id_}};
  auto text = base64url_encode(dump_json(header)) + "." + base64url_encode(dump_json(claims));
  EVP_MD_CTX* ctx = EVP_MD_CTX_new();
  std::size_t n = 0;
  std::string sig;
  bool ok = EVP_DigestSignInit(ctx, nullptr, EVP_sha256(), nullptr, key_of(key_)) == 1 &&
            EVP_DigestSign(ctx, nullptr, &n, reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1;
  if (ok) {
    sig.resize(n);
    ok = EVP_DigestSign(ctx, reinterpret_cast<unsigned char*>(sig.data()), &n, reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1;
    sig.resize(n);
  }
  EVP_MD_CTX_free(ctx);
  if (!ok) return internal_error("the token could not be signed");
  return text + "." + base64url_encode(rsa_ ? sig : ecdsa_to_raw(sig));
}

Result<Json> TokenIssuer::verify(std::string_view token) const {
  auto refuse = unauthorized("the token is not valid");
  if (!key_ || token.size() > 16384) return refuse;
  auto first = token.find('.'), last = token.rfind('.');
  if (first == std::string_view::npos || first == last) return refuse;
  std::string header_text, claims_text, sig;
  if (!base64url_decode(token.substr(0, first), header_text) || !base64url_decode(token.substr(first + 1, last - first - 1), claims_text) ||
      !base64url_decode(token.substr(last + 1), sig))
    return refuse;
  auto header = parse_json(header_text, 8);
  if (!header.ok() || string_at(*header, {"alg"}) != (rsa_ ? "RS256" : "ES256")) return refuse;
  if (!rsa_) sig = ecdsa_to_der(sig);
  if (sig.empty()) return refuse;
  EVP_MD_CTX* ctx = EVP_MD_CTX_new();
  bool ok = EVP_DigestVerifyInit(ctx, nullptr, EVP_sha256(), nullptr, key_of(key_)) == 1 &&
            EVP_DigestVerify(ctx, reinterpret_cast<const unsigned char*>(sig.data()), sig.size(),
                             reinterpret_cast<const unsigned char*>(token.data()), last) == 1;
  EVP_MD_CTX_free(ctx);
  if (!ok) return refuse;
  auto claims = parse_json(claims_text, 16);
  if (!claims.ok() || string_at(*claims, {"iss"}) != issuer_) return refuse;
  return claims;
}

}  // namespace nodevirt::apiserver
