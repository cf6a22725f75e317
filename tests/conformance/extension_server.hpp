// Somebody else's server, as webhooks, conversion webhooks and aggregated APIs have: HTTPS on loopback.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/conformance/cluster.hpp"

namespace nodevirt::conformance {

class ExtensionServer {
 public:
  using Answer = std::function<net::Response(const net::ServerRequest&)>;
  ExtensionServer(Cluster& cluster, Answer answer);
  ~ExtensionServer();
  std::string url(const std::string& path) const;
  std::string host_port() const;
  const std::string& ca_bundle() const { return ca_bundle_; }   ///< base64
  std::vector<std::string> paths;                              ///< asked for, in order

 private:
  Cluster& cluster_;
  std::unique_ptr<net::HttpServer> server_;
  StopSource stop_;
  std::uint16_t port_ = 0;
  std::string ca_bundle_;
};

/// An AdmissionReview's answer; `patch` is a JSON patch, or null.
net::Response review_answer(const net::Request& request, bool allowed, const Json& patch = nullptr, const std::string& message = "");

}  // namespace nodevirt::conformance
