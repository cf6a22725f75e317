#include "virt-api/subresources/handlers.hpp"

#include <charconv>

#include "api/names.hpp"
#include "virt-api/reply.hpp"

namespace nodevirt::virt_api {

namespace {

constexpr std::size_t kMaxClients = 4096;

struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};

Result<HostPort> split(const std::string& address) {
  auto colon = address.rfind(':');
  HostPort out;
  if (colon == std::string::npos) return internal_error("virt-handler's address has no port: " + address);
  out.host = address.substr(0, colon);
  if (out.host.size() > 2 && out.host.front() == '[' && out.host.back() == ']') out.host = out.host.substr(1, out.host.size() - 2);
  auto* end = address.data() + address.size();
  auto r = std::from_chars(address.data() + colon + 1, end, out.port);
  if (r.ec != std::errc{} || r.ptr != end || out.host.empty())
    return internal_error("virt-handler's address is none: " + address);
  return out;
}

}  // namespace

Awaitable<Result<std::shared_ptr<net::HttpClient>>> Handlers::of_instance(Json vmi) {
  auto node = string_at(vmi, {"status", "nodeName"});
  if (node.empty()) co_return bad_request("the instance has no node yet");
  auto object = co_await client_.get(k8s::resources::kNodes, "", node);
  if (!object.ok()) co_return internal_error(fmt::format("look up node {}: {}", node, object.error().message));
  auto address = string_at(*object, {"metadata", "annotations", api::kHandlerAddressAnnotation});
  if (address.empty()) co_return internal_error(fmt::format("node {} has no virt-handler (annotation {})", node, api::kHandlerAddressAnnotation));
  if (auto known = by_address_.find(address); known != by_address_.end()) co_return known->second;
  NV_CO_TRY(auto where, split(address));
  net::HttpClient::Options options;
  options.host = where.host;
  options.port = where.port;
  options.tls = tls_;
  options.max_body = 64u << 20;
  options.max_idle = 1;
  options.connect_timeout = std::chrono::seconds(5);
  options.request_timeout = std::chrono::seconds(30);
  auto made = std::make_shared<net::HttpClient>(executor_, std::move(options));
  if (by_address_.size() >= kMaxClients) by_address_.clear();
  by_address_[address] = made;
  co_return made;
}

std::string handler_target(const Json& vmi, std::string_view verb, std::string_view more_query) {
  auto out = fmt::format("/v1/namespaces/{}/virtualmachineinstances/{}/{}?uid={}",
                         net::percent_encode(string_at(vmi, {"metadata", "namespace"})),
                         net::percent_encode(string_at(vmi, {"metadata", "name"})), verb,
                         net::percent_encode(string_at(vmi, {"metadata", "uid"})));
  if (!more_query.empty()) out.append("&").append(more_query);
  return out;
}

}  // namespace nodevirt::virt_api
