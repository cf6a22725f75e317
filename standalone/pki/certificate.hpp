// X.509 certificates and EC P-256 keys as PEM text, made and inspected without files.
#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/base/result.hpp"

namespace nodevirt::pki {

struct KeyPair {
  std::string certificate_pem;
  std::string private_key_pem;   ///< PKCS#8
};

/// What a certificate is to say. Order of names is kept.
struct Subject {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  bool server = false;   ///< extended key usage serverAuth
  bool client = false;   ///< extended key usage clientAuth
  friend bool operator==(const Subject&, const Subject&) = default;
};

struct CertificateFacts {
  Subject subject;
  std::chrono::system_clock::time_point not_after;
  bool authority = false;
};

using Days = std::chrono::duration<int, std::ratio<86400>>;

Result<KeyPair> make_authority(const std::string& common_name, Days validity);
/// Signed by `authority`; valid from one hour before now (clocks differ a little).
Result<KeyPair> issue(const KeyPair& authority, const Subject& subject, Days validity);

Result<CertificateFacts> inspect(std::string_view certificate_pem);
/// The certificate's public key belongs to the private key.
bool matches(const KeyPair& pair);
/// The certificate was signed by `authority_pem` (times are not looked at).
bool signed_by(std::string_view certificate_pem, std::string_view authority_pem);

/// A private key alone, and its public half: what service account tokens are signed and verified with.
Result<std::string> make_private_key();
Result<std::string> public_key_of(std::string_view private_key_pem);

}  // namespace nodevirt::pki
