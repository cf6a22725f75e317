#include "standalone/pki/certificate.hpp"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace nodevirt::pki {
namespace {

template <auto F> struct Free { template <class T> void operator()(T* p) const { F(p); } };
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Cert = std::unique_ptr<X509, Free<X509_free>>;
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;
using Ext = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>>;

Error openssl_error(std::string_view doing) {
  char text[256] = "unknown error";
  if (unsigned long code = ERR_get_error()) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return Error{Code::Internal, fmt::format("{}: {}", doing, text)};
}

Bio reader(std::string_view pem) { return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))); }

std::string drain(BIO* bio) {
  char* data = nullptr;
  long n = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<std::size_t>(n));
}

Key parse_key(std::string_view pem) {
  Bio in = reader(pem);
  Key key(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  return key;
}

Cert parse_cert(std::string_view pem) {
  Bio in = reader(pem);
  Cert cert(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  return cert;
}

std::string key_pem(EVP_PKEY* key) {
  Bio out(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return drain(out.get());
}

std::string cert_pem(X509* cert) {
  Bio out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), cert);
  return drain(out.get());
}

bool add_name(X509* cert, const Subject& subject) {
  X509_NAME* name = X509_get_subject_name(cert);
  auto add = [&](const char* field, const std::string& value) {
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()),
                                      static_cast<int>(value.size()), -1, 0) == 1;
  };
  for (const auto& o : subject.organizations)
    if (!add("O", o)) return false;
  return add("CN", subject.common_name);
}

bool add_extension(X509* cert, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  Ext ext(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return ext && X509_add_ext(cert, ext.get(), -1) == 1;
}

/// Names reach OpenSSL's own little configuration language: nothing but names may pass.
bool plain(const std::string& name) {
  return !name.empty() && name.find_first_not_of(
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:_*") == std::string::npos;
}

Result<Cert> blank(EVP_PKEY* key, const Subject& subject, Days validity) {
  Cert cert(X509_new());
  unsigned char serial[16];
  if (!cert || RAND_bytes(serial, sizeof serial) != 1) return openssl_error("make a certificate");
  serial[0] = static_cast<unsigned char>((serial[0] & 0x7f) | 0x40);
  std::unique_ptr<BIGNUM, Free<BN_free>> number(BN_bin2bn(serial, sizeof serial, nullptr));
  if (X509_set_version(cert.get(), 2) != 1 || !number ||
      !BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(cert.get())) ||
      !X509_gmtime_adj(X509_getm_notBefore(cert.get()), -3600) ||
      !X509_time_adj_ex(X509_getm_notAfter(cert.get()), validity.count(), 0, nullptr) ||
      X509_set_pubkey(cert.get(), key) != 1 || !add_name(cert.get(), subject))
    return openssl_error("fill a certificate for " + subject.common_name);
  return cert;
}

std::string text_of(const ASN1_STRING* s) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)), static_cast<std::size_t>(ASN1_STRING_length(s)));
}

}  // namespace

Result<std::string> make_private_key() {
  Key key(EVP_EC_gen("P-256"));
  if (!key) return openssl_error("make an EC key");
  return key_pem(key.get());
}

Result<std::string> public_key_of(std::string_view private_key_pem) {
  Key key = parse_key(private_key_pem);
  if (!key) return Error{Code::InvalidArgument, "not a private key in PEM form"};
  Bio out(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PUBKEY(out.get(), key.get()) != 1) return openssl_error("write a public key");
  return drain(out.get());
}

Result<KeyPair> make_authority(const std::string& common_name, Days validity) {
  Key key(EVP_EC_gen("P-256"));
  if (!key) return openssl_error("make an EC key");
  NV_TRY(Cert cert, blank(key.get(), Subject{.common_name = common_name}, validity));
  X509* c = cert.get();
  if (X509_set_issuer_name(c, X509_get_subject_name(c)) != 1 ||
      !add_extension(c, c, NID_basic_constraints, "critical,CA:TRUE") ||
      !add_extension(c, c, NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature") ||
      !add_extension(c, c, NID_subject_key_identifier, "hash") || X509_sign(c, key.get(), EVP_sha256()) == 0)
    return openssl_error("sign the certificate authority " + common_name);
  return KeyPair{cert_pem(c), key_pem(key.get())};
}

Result<KeyPair> issue(const KeyPair& authority, const Subject& subject, Days validity) {
  Key ca_key = parse_key(authority.private_key_pem);
  Cert ca = parse_cert(authority.certificate_pem);
  if (!ca_key || !ca) return Error{Code::FailedPrecondition, "the certificate authority's files are not readable PEM"};
  Key key(EVP_EC_gen("P-256"));
  if (!key) return openssl_error("make an EC key");
  NV_TRY(Cert cert, blank(key.get(), subject, validity));
  std::string names;
  for (const auto& n : subject.dns_names) {
    if (!plain(n)) return Error{Code::InvalidArgument, "not a DNS name: " + n};
    names += (names.empty() ? "DNS:" : ",DNS:") + n;
  }
  for (const auto& a : subject.ip_addresses) {
    if (!plain(a)) return Error{Code::InvalidArgument, "not an IP address: " + a};
    names += (names.empty() ? "IP:" : ",IP:") + a;
  }
  std::string usage = subject.server ? (subject.client ? "serverAuth,clientAuth" : "serverAuth") : "clientAuth";
  X509* c = cert.get();
  if (X509_set_issuer_name(c, X509_get_subject_name(ca.get())) != 1 ||
      !add_extension(c, ca.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(c, ca.get(), NID_key_usage, "critical,digitalSignature") ||
      !add_extension(c, ca.get(), NID_ext_key_usage, usage) ||
      !add_extension(c, ca.get(), NID_authority_key_identifier, "keyid") ||
      (!names.empty() && !add_extension(c, ca.get(), NID_subject_alt_name, names)) ||
      X509_sign(c, ca_key.get(), EVP_sha256()) == 0)
    return openssl_error("sign a certificate for " + subject.common_name);
  return KeyPair{cert_pem(c), key_pem(key.get())};
}

Result<CertificateFacts> inspect(std::string_view certificate_pem) {
  Cert cert = parse_cert(certificate_pem);
  if (!cert) return Error{Code::InvalidArgument, "not a certificate in PEM form"};
  CertificateFacts facts;
  X509_NAME* name = X509_get_subject_name(cert.get());
  for (int i = 0; i < X509_NAME_entry_count(name); ++i) {
    X509_NAME_ENTRY* entry = X509_NAME_get_entry(name, i);
    int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    std::string value = text_of(X509_NAME_ENTRY_get_data(entry));
    if (nid == NID_commonName) facts.subject.common_name = value;
    if (nid == NID_organizationName) facts.subject.organizations.push_back(value);
  }
  std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(cert.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* n = sk_GENERAL_NAME_value(names.get(), i);
    if (n->type == GEN_DNS) facts.subject.dns_names.push_back(text_of(n->d.dNSName));
    if (n->type == GEN_IPADD) {
      char text[INET6_ADDRSTRLEN] = "";
      std::string raw = text_of(n->d.iPAddress);
      if (raw.size() == 4) inet_ntop(AF_INET, raw.data(), text, sizeof text);
      if (raw.size() == 16) inet_ntop(AF_INET6, raw.data(), text, sizeof text);
      facts.subject.ip_addresses.push_back(text);
    }
  }
  std::uint32_t usage = X509_get_extended_key_usage(cert.get());
  facts.subject.server = usage != UINT32_MAX && (usage & XKU_SSL_SERVER);
  facts.subject.client = usage != UINT32_MAX && (usage & XKU_SSL_CLIENT);
  facts.authority = X509_check_ca(cert.get()) == 1;
  tm end{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(cert.get()), &end) != 1) return openssl_error("read a certificate's end");
  facts.not_after = std::chrono::system_clock::from_time_t(timegm(&end));
  return facts;
}

bool matches(const KeyPair& pair) {
  Cert cert = parse_cert(pair.certificate_pem);
  Key key = parse_key(pair.private_key_pem);
  bool same = cert && key && X509_check_private_key(cert.get(), key.get()) == 1;
  ERR_clear_error();
  return same;
}

bool signed_by(std::string_view certificate_pem, std::string_view authority_pem) {
  Cert cert = parse_cert(certificate_pem), ca = parse_cert(authority_pem);
  if (!cert || !ca) return false;
  bool good = X509_verify(cert.get(), X509_get0_pubkey(ca.get())) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace nodevirt::pki
