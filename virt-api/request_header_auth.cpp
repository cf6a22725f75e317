#include "virt-api/request_header_auth.hpp"

namespace nodevirt::virt_api {

Awaitable<Result<RequestHeaderAuth>> request_header_auth(client::Client client) {
  std::string ns = "kube-system", name = "extension-apiserver-authentication";
  NV_CO_TRY(auto config, co_await client.get(k8s::resources::kConfigMaps, ns, name));
  RequestHeaderAuth out;
  out.client_ca_pem = string_at(config, {"data", "requestheader-client-ca-file"});
  if (out.client_ca_pem.empty())
    co_return Error(Code::FailedPrecondition, "the cluster has no aggregation layer: configmap kube-system/" + name + " names no front proxy CA");
  auto names = parse_json(string_at(config, {"data", "requestheader-allowed-names"}, "[]"), 4);
  if (names.ok() && names->is_array())
    for (const auto& n : *names)
      if (n.is_string()) out.allowed_names.push_back(n.get<std::string>());
  co_return out;
}

}  // namespace nodevirt::virt_api
