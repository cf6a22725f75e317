// What a request asks for, read from its method and path: the vocabulary of authorization.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/net/message.hpp"

namespace nodevirt::apiserver {

struct UserInfo {
  std::string name, uid;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;
  bool in_group(std::string_view group) const;
};

struct RequestInfo {
  bool resource_request = false;   ///< under /api/VERSION or /apis/GROUP/VERSION with a resource
  std::string verb;                ///< get list watch create update patch delete deletecollection; or the method in lower case
  std::string path;                ///< decoded
  std::string group, version, ns, resource, subresource, name;
  std::string rest;                ///< what follows the subresource ("/a/b"), for proxies

  /// "pods/log"
  std::string full_resource() const { return subresource.empty() ? resource : resource + "/" + subresource; }
};

/// Never fails: a path that fits no resource is a non-resource request.
RequestInfo parse_request(const net::Request& request, const net::Query& query);

}  // namespace nodevirt::apiserver
