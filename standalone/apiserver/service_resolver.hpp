// Finds and calls what configurations point at: webhooks, conversion webhooks and aggregated servers,
// named by a URL or by a Service.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "pkg/base/json.hpp"
#include "pkg/net/http_client.hpp"
#include "standalone/apiserver/options.hpp"

namespace nodevirt::apiserver {

class Store;

struct ServiceTarget {
  std::shared_ptr<net::HttpClient> client;
  std::string path;        ///< of the URL or of the service reference, "/" at least
  std::string shown;       ///< for messages: https://name.ns.svc:443/path
};

class ServiceResolver {
 public:
  ServiceResolver(Executor executor, const Options& options, const Store& store)
      : executor_(std::move(executor)), options_(options), store_(store) {}

  /// `config` has url or service{namespace,name,path,port}, and caBundle. Connections are kept and shared.
  /// Unavailable when the Service has no endpoint.
  Result<ServiceTarget> target(const Json& config, std::chrono::milliseconds timeout);
  /// As target, for an APIService: TLS verification may be skipped.
  Result<ServiceTarget> target(const std::string& ns, const std::string& name, std::int64_t port, const std::string& path,
                               const std::string& ca_pem, bool insecure, std::chrono::milliseconds timeout);

 private:
  Result<std::pair<std::string, std::uint16_t>> resolve(const std::string& ns, const std::string& name, std::int64_t port) const;
  Result<std::shared_ptr<net::HttpClient>> client(const std::string& host, std::uint16_t port, const std::string& server_name,
                                                  const std::string& ca_pem, bool insecure, bool tls,
                                                  std::chrono::milliseconds timeout);

  Executor executor_;
  const Options& options_;
  const Store& store_;
  std::map<std::string, std::shared_ptr<net::HttpClient>> clients_;
};

/// Standard base64; false when `text` is none.
bool base64_decode(std::string_view text, std::string& out);
std::string base64_encode(std::string_view bytes);

}  // namespace nodevirt::apiserver
