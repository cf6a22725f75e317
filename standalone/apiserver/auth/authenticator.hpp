// Who sent a request: a client certificate, a bearer token, or nobody.
#pragma once
#include <optional>
#include <string>

#include "pkg/net/http_server.hpp"
#include "standalone/apiserver/request_info.hpp"
#include "standalone/apiserver/server_state.hpp"

namespace nodevirt::apiserver {

class Authenticator {
 public:
  explicit Authenticator(ServerState& state) : s_(state) {}

  /// nullopt: anonymous. Unauthorized when credentials were given and are wrong.
  Result<std::optional<UserInfo>> authenticate(const net::ServerRequest& request) const;
  Result<UserInfo> token_user(std::string_view token, const std::vector<std::string>& audiences = {}) const;
  /// The user of Impersonate-* headers; nullopt when there are none.
  static Result<std::optional<UserInfo>> impersonated(const net::Request& request);

 private:
  ServerState& s_;
};

/// A TokenRequest for a service account, answered.
Result<Json> issue_token(ServerState& state, const std::string& ns, const std::string& account, Json request);

}  // namespace nodevirt::apiserver
