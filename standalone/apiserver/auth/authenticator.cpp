#include "standalone/apiserver/auth/authenticator.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "pkg/base/id.hpp"
#include "standalone/apiserver/auth/tokens.hpp"
#include "standalone/apiserver/errors.hpp"

namespace nodevirt::apiserver {

namespace {

std::int64_t unix_seconds(const Clock& clock) {
  return std::chrono::duration_cast<std::chrono::seconds>(clock.wall().time_since_epoch()).count();
}

bool same_text(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char diff = 0;
  for (std::size_t i = 0; i < a.size(); ++i) diff |= static_cast<unsigned char>(a[i] ^ b[i]);
  return diff == 0;
}

}  // namespace

Result<std::optional<UserInfo>> Authenticator::authenticate(const net::ServerRequest& request) const {
  if (request.peer.certificate && !request.peer.certificate->common_name.empty()) {
    UserInfo u;
    u.name = request.peer.certificate->common_name;
    u.groups = request.peer.certificate->organizations;
    u.groups.push_back("system:authenticated");
    return std::optional<UserInfo>(std::move(u));
  }
  auto header = request.headers.get("Authorization");
  if (header.empty()) return std::optional<UserInfo>();
  auto space = header.find(' ');
  std::string scheme(header.substr(0, space));
  for (auto& c : scheme) c = char(std::tolower(static_cast<unsigned char>(c)));
  if (scheme != "bearer" || space == std::string_view::npos) return std::optional<UserInfo>();
  auto token = header.substr(space + 1);
  while (!token.empty() && token.front() == ' ') token.remove_prefix(1);
  NV_TRY(auto user, token_user(token));
  return std::optional<UserInfo>(std::move(user));
}

Result<UserInfo> Authenticator::token_user(std::string_view token, const std::vector<std::string>& audiences) const {
  for (const auto& [known, who] : s_.options.static_tokens) {
    if (!same_text(known, token)) continue;
    UserInfo u;
    auto c1 = who.find(','), c2 = c1 == std::string::npos ? c1 : who.find(',', c1 + 1);
    u.name = who.substr(0, c1);
    if (c1 != std::string::npos) u.uid = who.substr(c1 + 1, c2 == std::string::npos ? c2 : c2 - c1 - 1);
    if (c2 != std::string::npos)
      for (std::size_t at = c2 + 1; at < who.size();) {
        auto end = std::min(who.find('|', at), who.size());
        if (end > at) u.groups.push_back(who.substr(at, end - at));
        at = end + 1;
      }
    u.groups.push_back("system:authenticated");
    return u;
  }
  NV_TRY(auto claims, s_.tokens->verify(token));
  auto now = unix_seconds(s_.clock());
  if (int_at(claims, {"exp"}) <= now || int_at(claims, {"nbf"}) > now + 60) return unauthorized("the token has expired");
  const Json* aud = find(claims, {"aud"});
  auto has_audience = [&](const std::string& wanted) {
    return aud && aud->is_array() && std::find(aud->begin(), aud->end(), Json(wanted)) != aud->end();
  };
  bool meant = audiences.empty() ? has_audience(s_.options.issuer)
                                 : std::any_of(audiences.begin(), audiences.end(), has_audience);
  if (!meant) return unauthorized("the token is meant for somebody else");
  const Json* k = find(claims, {"kubernetes.io"});
  auto ns = k ? string_at(*k, {"namespace"}) : "", name = k ? string_at(*k, {"serviceaccount", "name"}) : "";
  auto account = s_.store->get("serviceaccounts", ns, name);
  if (!account || account->index.uid != string_at(*k, {"serviceaccount", "uid"})) return unauthorized("the service account is gone");
  UserInfo u;
  if (auto pod = string_at(*k, {"pod", "name"}); !pod.empty()) {
    auto stored = s_.store->get("pods", ns, pod);
    if (!stored || stored->index.uid != string_at(*k, {"pod", "uid"})) return unauthorized("the pod of the token is gone");
    u.extra["authentication.kubernetes.io/pod-name"] = {pod};
    u.extra["authentication.kubernetes.io/pod-uid"] = {stored->index.uid};
  }
  u.name = fmt::format("system:serviceaccount:{}:{}", ns, name);
  u.uid = account->index.uid;
  u.groups = {"system:serviceaccounts", "system:serviceaccounts:" + ns, "system:authenticated"};
  return u;
}

Result<std::optional<UserInfo>> Authenticator::impersonated(const net::Request& request) {
  auto name = request.headers.get("Impersonate-User");
  auto groups = request.headers.all("Impersonate-Group");
  auto uid = request.headers.get("Impersonate-Uid");
  if (name.empty()) {
    if (!groups.empty() || !uid.empty()) return bad_request("requested impersonation of groups or a uid without impersonating a user");
    return std::optional<UserInfo>();
  }
  UserInfo u;
  u.name = name;
  u.uid = uid;
  for (auto g : groups) u.groups.emplace_back(g);
  for (const auto& [key, value] : request.headers) {
    std::string lower = key;
    for (auto& c : lower) c = char(std::tolower(static_cast<unsigned char>(c)));
    if (lower.starts_with("impersonate-extra-")) u.extra[net::percent_decode(lower.substr(18))].push_back(value);
  }
  if (u.groups.empty() && u.name.starts_with("system:serviceaccount:")) {
    auto rest = u.name.substr(22);
    u.groups = {"system:serviceaccounts", "system:serviceaccounts:" + rest.substr(0, rest.find(':'))};
  }
  if (u.name != "system:anonymous" && !u.in_group("system:authenticated") && !u.in_group("system:unauthenticated"))
    u.groups.push_back("system:authenticated");
  return std::optional<UserInfo>(std::move(u));
}

Result<Json> issue_token(ServerState& s, const std::string& ns, const std::string& name, Json request) {
  auto account = s.store->get("serviceaccounts", ns, name);
  if (!account) return not_found("", "serviceaccounts", name);
  if (!s.tokens->usable()) return internal_error("no service account key is configured");
  auto seconds = int_at(request, {"spec", "expirationSeconds"}, 3600);
  if (seconds < 600)
    return invalid("authentication.k8s.io", "TokenRequest", name, {{"spec.expirationSeconds", "FieldValueInvalid", fmt::format("Invalid value: {}: may not specify a duration less than 10 minutes", seconds)}});
  seconds = std::min<std::int64_t>(seconds, 365 * 24 * 3600);
  auto now = unix_seconds(s.clock());
  Json audiences = request.value("spec", Json::object()).value("audiences", Json::array());
  if (!audiences.is_array() || audiences.empty()) audiences = Json::array({s.options.issuer});
  Json k{{"namespace", ns}, {"serviceaccount", {{"name", name}, {"uid", account->index.uid}}}};
  if (const Json* ref = find(request, {"spec", "boundObjectRef"}); ref && ref->is_object()) {
    auto kind = string_at(*ref, {"kind"}), bound = string_at(*ref, {"name"});
    if (kind != "Pod" && kind != "Secret") return bad_request(fmt::format("cannot bind token for serviceaccount \"{}\" to kind \"{}\"", name, kind));
    auto stored = s.store->get(kind == "Pod" ? "pods" : "secrets", ns, bound);
    if (!stored) return not_found("", kind == "Pod" ? "pods" : "secrets", bound);
    auto uid = string_at(*ref, {"uid"});
    if (!uid.empty() && uid != stored->index.uid) return conflict("", kind == "Pod" ? "pods" : "secrets", bound, "the UID in the bound object reference does not match the UID in record");
    k[kind == "Pod" ? "pod" : "secret"] = {{"name", bound}, {"uid", stored->index.uid}};
  }
  Json claims{{"iss", s.options.issuer}, {"sub", fmt::format("system:serviceaccount:{}:{}", ns, name)}, {"aud", audiences},
              {"exp", now + seconds}, {"iat", now}, {"nbf", now}, {"jti", new_uuid()}, {"kubernetes.io", std::move(k)}};
  NV_TRY(auto token, s.tokens->sign(claims));
  request["apiVersion"] = "authentication.k8s.io/v1";
  request["kind"] = "TokenRequest";
  request["metadata"]["name"] = name;
  request["metadata"]["namespace"] = ns;
  request["spec"]["audiences"] = std::move(audiences);
  request["spec"]["expirationSeconds"] = seconds;
  request["status"] = {{"token", std::move(token)}, {"expirationTimestamp", format_time(s.clock().wall() + std::chrono::seconds(seconds))}};
  return request;
}

}  // namespace nodevirt::apiserver
