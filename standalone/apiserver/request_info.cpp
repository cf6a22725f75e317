#include "standalone/apiserver/request_info.hpp"

#include <algorithm>

namespace nodevirt::apiserver {

bool UserInfo::in_group(std::string_view group) const {
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

namespace {

std::vector<std::string> segments(std::string_view raw) {
  std::vector<std::string> out;
  std::size_t at = 0;
  while (at < raw.size()) {
    auto end = std::min(raw.find('/', at), raw.size());
    if (end > at) out.push_back(net::percent_decode(raw.substr(at, end - at)));
    at = end + 1;
  }
  return out;
}

std::string lower(std::string text) {
  for (auto& c : text) if (c >= 'A' && c <= 'Z') c = char(c + 32);
  return text;
}

}  // namespace

RequestInfo parse_request(const net::Request& request, const net::Query& query) {
  RequestInfo info;
  info.path = request.path();
  info.verb = lower(request.method);
  auto parts = segments(request.raw_path());
  std::size_t at = 0;
  if (parts.size() >= 3 && parts[0] == "api") {
    info.version = parts[1];
    at = 2;
  } else if (parts.size() >= 4 && parts[0] == "apis") {
    info.group = parts[1];
    info.version = parts[2];
    at = 3;
  } else {
    return info;
  }
  info.resource_request = true;
  bool watch_path = parts[at] == "watch" && parts.size() > at + 1;
  if (watch_path) ++at;   // the old form /api/v1/watch/...
  if (parts[at] == "namespaces" && parts.size() > at + 1) {
    info.ns = parts[at + 1];
    // namespaces/NAME itself, and its own subresources, are about the namespace.
    if (parts.size() > at + 2 && parts[at + 2] != "status" && parts[at + 2] != "finalize") at += 2;
  }
  info.resource = parts[at];
  if (parts.size() > at + 1) info.name = parts[at + 1];
  if (parts.size() > at + 2) info.subresource = parts[at + 2];
  for (std::size_t i = at + 3; i < parts.size(); ++i) info.rest += "/" + parts[i];

  const auto& m = request.method;
  if (m == "GET" || m == "HEAD") info.verb = info.name.empty() ? "list" : "get";
  else if (m == "POST") info.verb = "create";
  else if (m == "PUT") info.verb = "update";
  else if (m == "PATCH") info.verb = "patch";
  else if (m == "DELETE") info.verb = info.name.empty() ? "deletecollection" : "delete";
  if (info.verb == "list" || (info.verb == "get" && info.subresource.empty())) {
    auto w = query.get_or("watch", query.has("watch") ? "" : "false");
    if (watch_path || (w != "false" && w != "0")) info.verb = "watch";
  }
  return info;
}

}  // namespace nodevirt::apiserver
