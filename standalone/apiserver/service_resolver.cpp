#include "standalone/apiserver/service_resolver.hpp"

#include <charconv>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "standalone/apiserver/store/store.hpp"

namespace nodevirt::apiserver {

std::string base64_encode(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(bytes.data()), int(bytes.size()));
  out.resize(std::size_t(n));
  return out;
}

bool base64_decode(std::string_view text, std::string& out) {
  if (text.size() % 4) return false;
  out.assign(text.size() / 4 * 3 + 1, '\0');
  int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(text.data()), int(text.size()));
  if (n < 0) return false;
  if (text.ends_with("==")) n -= 2;
  else if (text.ends_with("=")) n -= 1;
  out.resize(std::size_t(n));
  return true;
}

namespace {

bool parse_port(std::string_view text, std::uint16_t& port) {
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), port);
  return ec == std::errc() && end == text.data() + text.size();
}

Result<std::pair<std::string, std::uint16_t>> split(std::string_view host_port, std::uint16_t fallback) {
  auto colon = host_port.rfind(':');
  if (colon == std::string_view::npos || host_port.ends_with(']'))
    return std::pair<std::string, std::uint16_t>(std::string(host_port), fallback);
  std::uint16_t port = 0;
  if (!parse_port(host_port.substr(colon + 1), port))
    return Error(Code::InvalidArgument, fmt::format("\"{}\" is not HOST:PORT", host_port));
  auto host = host_port.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return std::pair<std::string, std::uint16_t>(std::string(host), port);
}

}  // namespace

Result<std::pair<std::string, std::uint16_t>> ServiceResolver::resolve(const std::string& ns, const std::string& name, std::int64_t port) const {
  if (auto it = options_.resolve_service.find(ns + "/" + name); it != options_.resolve_service.end()) return split(it->second, 443);
  auto unavailable = Error(Code::Unavailable, "ServiceUnavailable", fmt::format("service \"{}/{}\" has no endpoint", ns, name));
  auto load = [&](const char* kind) -> Json {
    auto stored = store_.get(kind, ns, name);
    if (!stored) return Json();
    auto text = store_.text(kind, stored);
    if (!text.ok()) return Json();
    auto parsed = parse_json(**text);
    return parsed.ok() ? std::move(*parsed) : Json();
  };
  Json service = load("services"), endpoints = load("endpoints");
  if (service.is_null())
    return Error(Code::Unavailable, "ServiceUnavailable", fmt::format("service \"{}\" not found in the namespace {}", name, ns));
  std::string port_name;
  bool found = false;
  if (const Json* ports = find(service, {"spec", "ports"}); ports && ports->is_array())
    for (const auto& p : *ports)
      if (int_at(p, {"port"}) == port) { port_name = string_at(p, {"name"}); found = true; }
  if (!found) return Error(Code::Unavailable, "ServiceUnavailable", fmt::format("service \"{}/{}\" has no port {}", ns, name, port));
  if (const Json* subsets = find(endpoints, {"subsets"}); subsets && subsets->is_array())
    for (const auto& subset : *subsets) {
      const Json* addresses = find(subset, {"addresses"});
      const Json* ports = find(subset, {"ports"});
      if (!addresses || !addresses->is_array() || addresses->empty() || !ports || !ports->is_array()) continue;
      for (const auto& p : *ports)
        if (string_at(p, {"name"}) == port_name)
          return std::pair<std::string, std::uint16_t>(string_at(addresses->front(), {"ip"}), std::uint16_t(int_at(p, {"port"})));
    }
  return unavailable;
}

Result<std::shared_ptr<net::HttpClient>> ServiceResolver::client(const std::string& host, std::uint16_t port, const std::string& server_name,
                                                                 const std::string& ca_pem, bool insecure, bool tls,
                                                                 std::chrono::milliseconds timeout) {
  auto key = fmt::format("{} {} {} {} {} {} {}", host, port, server_name, insecure, tls, timeout.count(), ca_pem);
  if (auto it = clients_.find(key); it != clients_.end()) return it->second;
  net::HttpClient::Options o;
  o.host = host;
  o.port = port;
  o.server_name = server_name;
  o.connect_timeout = std::min(timeout, std::chrono::milliseconds(5000));
  o.request_timeout = timeout;
  o.max_body = 16u << 20;
  if (tls) {
    net::TlsClientOptions t;
    t.ca_pem = ca_pem;
    t.insecure = insecure;
    t.server_name = server_name;
    t.certificate_pem = options_.front_proxy_certificate_pem;
    t.private_key_pem = options_.front_proxy_key_pem;
    NV_TRY(o.tls, net::make_client_context(t));
  }
  if (clients_.size() > 64) clients_.clear();   // configurations come and go; those in use are shared
  auto made = std::make_shared<net::HttpClient>(executor_, std::move(o));
  clients_[key] = made;
  return made;
}

Result<ServiceTarget> ServiceResolver::target(const std::string& ns, const std::string& name, std::int64_t port, const std::string& path,
                                              const std::string& ca_pem, bool insecure, std::chrono::milliseconds timeout) {
  NV_TRY(auto where, resolve(ns, name, port));
  NV_TRY(auto c, client(where.first, where.second, fmt::format("{}.{}.svc", name, ns), ca_pem, insecure, true, timeout));
  auto p = path.starts_with('/') ? path : "/" + path;
  return ServiceTarget{std::move(c), p, fmt::format("https://{}.{}.svc:{}{}", name, ns, port, p)};
}

Result<ServiceTarget> ServiceResolver::target(const Json& config, std::chrono::milliseconds timeout) {
  std::string ca;
  if (auto text = string_at(config, {"caBundle"}); !text.empty() && !base64_decode(text, ca))
    return Error(Code::InvalidArgument, "caBundle is not base64");
  if (const Json* service = find(config, {"service"}); service && service->is_object())
    return target(string_at(*service, {"namespace"}), string_at(*service, {"name"}), int_at(*service, {"port"}, 443),
                  string_at(*service, {"path"}), ca, false, timeout);
  std::string url = string_at(config, {"url"});
  if (!url.starts_with("https://")) return Error(Code::InvalidArgument, fmt::format("\"{}\" is not an https URL", url));
  std::string_view rest = std::string_view(url).substr(8);
  auto slash = std::min(rest.find('/'), rest.size());
  NV_TRY(auto where, split(rest.substr(0, slash), 443));
  NV_TRY(auto c, client(where.first, where.second, where.first, ca, false, true, timeout));
  std::string path(rest.substr(slash));
  return ServiceTarget{std::move(c), path.empty() ? "/" : path, url};
}

}  // namespace nodevirt::apiserver
