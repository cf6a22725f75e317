#include "virt-api/subresources/subresources.hpp"

#include "virt-api/reply.hpp"
#include "virt-api/subresources/discovery.hpp"

namespace nodevirt::virt_api {

const std::vector<SubresourceRoute>& subresource_routes() {
  static constexpr std::string_view kVm = "virtualmachines", kVmi = "virtualmachineinstances";
  static const std::vector<SubresourceRoute> routes = {
      {kVm, "start", "PUT", start_vm},
      {kVm, "stop", "PUT", stop_vm},
      {kVm, "restart", "PUT", restart_vm},
      {kVm, "migrate", "PUT", migrate_vm},
      {kVm, "evacuate/cancel", "PUT", cancel_evacuation},
      {kVm, "expand-spec", "GET", expand_vm},
      {kVm, "portforward/*", "GET", stream_port},
      {kVmi, "pause", "PUT", change_instance},
      {kVmi, "unpause", "PUT", change_instance},
      {kVmi, "freeze", "PUT", change_instance},
      {kVmi, "unfreeze", "PUT", change_instance},
      {kVmi, "softreboot", "PUT", change_instance},
      {kVmi, "reset", "PUT", change_instance},
      {kVmi, "evacuate/cancel", "PUT", cancel_evacuation},
      {kVmi, "console", "GET", stream_console},
      {kVmi, "vnc", "GET", stream_vnc},
      {kVmi, "vnc/screenshot", "GET", ask_instance},
      {kVmi, "portforward/*", "GET", stream_port},
      {kVmi, "guestosinfo", "GET", ask_instance},
      {kVmi, "userlist", "GET", ask_instance},
      {kVmi, "filesystemlist", "GET", ask_instance},
  };
  return routes;
}

namespace {

std::vector<std::string> segments(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    auto slash = path.find('/');
    auto part = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
    if (!part.empty()) out.push_back(net::percent_decode(part));
  }
  return out;
}

std::string join(const std::vector<std::string>& parts, std::size_t from) {
  std::string out;
  for (auto i = from; i < parts.size(); ++i) out += (out.empty() ? "" : "/") + parts[i];
  return out;
}

}  // namespace

Awaitable<void> serve_subresources(SubresourceDeps& deps, net::ServerRequest& request, net::ResponseStream& response) {
  // /apis/subresources.kubevirt.io/VERSION/namespaces/NS/PLURAL/NAME/SUBRESOURCE...
  auto parts = segments(request.raw_path());
  if (parts.size() < 4 || (parts.size() == 4 && parts[3] != "namespaces")) {
    co_await serve_discovery(parts, request, response);
    co_return;
  }
  auto version = parts[2];
  bool known = version == "v1" || version == "v1alpha3";
  if (known && parts.size() == 6 && parts[3] == "namespaces" && parts[5] == "expand-vm-spec" && request.method == "PUT") {
    auto body = decode_body(request.body);
    if (!body.ok()) co_await reply_error(response, body.error());
    else co_await reply_json(response, 200, std::move(*body));  // no instance types: nothing to expand
    co_return;
  }
  if (!known || parts.size() < 8 || parts[3] != "namespaces") {
    Error error(Code::NotFound, "NotFound", "the server could not find the requested resource");
    co_await reply_error(response, error);
    co_return;
  }
  auto verb = join(parts, 7);
  bool path_known = false;
  for (const auto& route : subresource_routes()) {
    if (route.plural != parts[5]) continue;
    std::string rest;
    if (route.path.ends_with("/*")) {
      auto prefix = route.path.substr(0, route.path.size() - 1);
      if (!verb.starts_with(prefix)) continue;
      rest = verb.substr(prefix.size());
    } else if (verb != route.path) {
      continue;
    }
    path_known = true;
    if (route.method != request.method) continue;
    SubresourceRequest sub{version, parts[4], parts[6], verb, rest, request, response};
    co_await route.handler(deps, std::move(sub));
    co_return;
  }
  Error error = path_known
                    ? Error(Code::Unimplemented, "MethodNotAllowed", fmt::format("{} does not take {}", verb, request.method))
                    : Error(Code::NotFound, "NotFound",
                            fmt::format("{}/{} is not supported by this version of Nodevirt", parts[5], verb));
  co_await reply_error(response, error);
}

Awaitable<Result<Json>> fetch_vm(client::Client& client, std::string ns, std::string name) {
  auto vm = co_await client.get(k8s::resources::kVirtualMachines, ns, name);
  if (vm.ok()) co_return vm;
  if (vm.error().code == Code::NotFound) co_return vm_not_found(name);
  co_return internal_error(fmt::format("unable to retrieve vm [{}]: {}", name, vm.error().message));
}

Awaitable<Result<Json>> fetch_vmi(client::Client& client, std::string ns, std::string name) {
  auto vmi = co_await client.get(k8s::resources::kVirtualMachineInstances, ns, name);
  if (vmi.ok()) co_return vmi;
  if (vmi.error().code == Code::NotFound) co_return vmi_not_found(name);
  co_return internal_error(fmt::format("unable to retrieve vmi [{}]: {}", name, vmi.error().message));
}

Result<Json> decode_body(const std::string& body) {
  if (body.find_first_not_of(" \t\r\n") == std::string::npos) return Json::object();
  auto json = parse_json(body, 64);
  if (!json.ok()) return bad_request("Can not unmarshal Request body to struct, error: " + json.error().message);
  if (json->is_null()) return Json::object();
  if (!json->is_object()) return bad_request("Can not unmarshal Request body to struct, error: it is not an object");
  return json;
}

bool wants_dry_run(const Json& body) {
  const Json* list = find(body, {"dryRun"});
  return list && list->is_array() && !list->empty() && (*list)[0] == "All";
}

bool vmi_runs(const Json& vmi) { return string_at(vmi, {"status", "phase"}) == "Running"; }

bool vmi_has_condition(const Json& vmi, std::string_view type) {
  const Json* conditions = find(vmi, {"status", "conditions"});
  if (!conditions || !conditions->is_array()) return false;
  for (const auto& c : *conditions)
    if (string_at(c, {"type"}) == type && string_at(c, {"status"}) == "True") return true;
  return false;
}

}  // namespace nodevirt::virt_api
