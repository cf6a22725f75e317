// Service account tokens: JWTs signed with the cluster's key (RS256 or ES256 by the key's kind).
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "pkg/base/json.hpp"

namespace nodevirt::apiserver {

class TokenIssuer {
 public:
  /// An empty key makes an issuer that refuses everything.
  static Result<std::unique_ptr<TokenIssuer>> make(const std::string& private_key_pem, std::string issuer);
  ~TokenIssuer();

  bool usable() const { return key_ != nullptr; }
  const std::string& issuer() const { return issuer_; }
  Result<std::string> sign(const Json& claims) const;
  /// The claims, when signature and issuer are ours. Times are the caller's to check.
  Result<Json> verify(std::string_view token) const;

 private:
  TokenIssuer() = default;
  void* key_ = nullptr;   // EVP_PKEY
  bool rsa_ = false;
  std::string issuer_, key_id_;
};

std::string base64url_encode(std::string_view bytes);
bool base64url_decode(std::string_view text, std::string& out);

}  // namespace nodevirt::apiserver
