// expose: a Service that selects the pods of a virtual machine; may be made before it starts.
#include <cstdio>

#include <CLI/CLI.hpp>

#include "api/names.hpp"
#include "virtctl/commands/commands.hpp"
#include "virtctl/commands/expose.hpp"

namespace nodevirt::virtctl {

Result<Json> service_for(const Target& target, const Json& object, const ExposeFlags& flags) {
  auto field = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  Json ports = Json::array();
  if (flags.port > 0) {
    if (flags.port > 65535)
      return Error(Code::InvalidArgument, fmt::format("--port {} is not between 1 and 65535", flags.port));
    Json port = {{"port", flags.port}, {"protocol", flags.protocol}};
    if (!flags.port_name.empty()) port["name"] = flags.port_name;
    if (!flags.target_port.empty()) {
      bool number = flags.target_port.find_first_not_of("0123456789") == std::string::npos && flags.target_port.size() < 6;
      port["targetPort"] = number ? Json(std::stoi(flags.target_port)) : Json(flags.target_port);
    }
    ports.push_back(port);
  } else {
    // As kubectl expose does: the ports that the machine's interfaces declare.
    const Json* spec = find(object, {"spec", "template", "spec"});
    if (!spec) spec = find(object, {"spec"});
    const Json* interfaces = spec ? find(*spec, {"domain", "devices", "interfaces"}) : nullptr;
    if (interfaces && interfaces->is_array())
      for (const Json& interface : *interfaces)
        if (const Json* declared = find(interface, {"ports"}); declared && declared->is_array())
          for (const Json& p : *declared) {
            std::int64_t number = int_at(p, {"port"});
            std::string name = string_at(p, {"name"}, fmt::format("port-{}", ports.size() + 1));
            ports.push_back({{"name", name}, {"port", number}, {"protocol", string_at(p, {"protocol"}, "TCP")}});
          }
    if (ports.empty())
      return Error(Code::InvalidArgument, "no --port given, and the machine's interfaces declare no ports");
  }
  Json service = {{"apiVersion", "v1"},
                  {"kind", "Service"},
                  {"metadata", {{"name", flags.name}}},
                  {"spec", {{"type", flags.type}, {"ports", ports},
                            {"selector", {{std::string(api::kVmNameLabel), target.name}}}}}};
  Json& spec = service["spec"];
  if (Json v = field(flags.cluster_ip); !v.is_null()) spec["clusterIP"] = v;
  if (Json v = field(flags.external_ip); !v.is_null()) spec["externalIPs"] = Json::array({v});
  if (Json v = field(flags.ip_family_policy); !v.is_null()) spec["ipFamilyPolicy"] = v;
  if (Json v = field(flags.ip_family); !v.is_null()) spec["ipFamilies"] = Json::array({v});
  for (const std::string& label : flags.labels) {
    auto eq = label.find('=');
    if (eq == std::string::npos || eq == 0)
      return Error(Code::InvalidArgument, fmt::format("--labels {}: expected KEY=VALUE", label));
    service["metadata"]["labels"][label.substr(0, eq)] = label.substr(eq + 1);
  }
  return service;
}

namespace {

Awaitable<Result<void>> execute(std::shared_ptr<ExposeFlags> flags, Session& session) {
  NV_CO_TRY(Target target, parse_target(flags->words, Kind::VirtualMachine));
  const k8s::Resource& resource = target.kind == Kind::VirtualMachine ? k8s::resources::kVirtualMachines
                                                                      : k8s::resources::kVirtualMachineInstances;
  NV_CO_TRY(Json object, co_await session.client.get(resource, session.ns, target.name));
  if (flags->name.empty()) flags->name = target.name;
  NV_CO_TRY(Json service, service_for(target, object, *flags));
  client::WriteOptions options;
  options.dry_run = flags->dry_run;
  NV_CO_TRY_VOID(co_await session.client.create(k8s::resources::kServices, session.ns, service, options));
  std::printf("Service %s successfully exposed for %s %s%s\n", flags->name.c_str(),
              target.kind == Kind::VirtualMachine ? "vm" : "vmi", target.name.c_str(), flags->dry_run ? " (dry run)" : "");
  co_return Result<void>{};
}

}  // namespace

void add_expose(CLI::App& app, Globals& globals, int& exit_code) {
  auto flags = std::make_shared<ExposeFlags>();
  CLI::App* sub = app.add_subcommand("expose", "Make a Service for a virtual machine");
  sub->add_option("target", flags->words, "[TYPE] NAME")->required()->expected(1, 2);
  sub->add_option("--name", flags->name, "Name of the Service; the machine's when not given");
  sub->add_option("--port", flags->port, "Port of the Service; the declared ports of the machine when not given");
  sub->add_option("--target-port", flags->target_port, "Port of the guest, number or name; --port when not given");
  sub->add_option("--port-name", flags->port_name, "Name of the port");
  sub->add_option("--protocol", flags->protocol, "TCP or UDP")->check(CLI::IsMember({"TCP", "UDP", "SCTP"}));
  sub->add_option("--type", flags->type, "ClusterIP, NodePort or LoadBalancer")
      ->check(CLI::IsMember({"ClusterIP", "NodePort", "LoadBalancer"}));
  sub->add_option("--cluster-ip", flags->cluster_ip, "Address of the Service; None for a headless one");
  sub->add_option("--external-ip", flags->external_ip, "Additional address that the Service accepts");
  sub->add_option("--ip-family", flags->ip_family, "IPv4 or IPv6")->check(CLI::IsMember({"IPv4", "IPv6"}));
  sub->add_option("--ip-family-policy", flags->ip_family_policy, "SingleStack, PreferDualStack or RequireDualStack");
  sub->add_option("-l,--labels", flags->labels, "KEY=VALUE labels of the Service")->delimiter(',');
  sub->add_flag("--dry-run", flags->dry_run, "Check the request, change nothing");
  sub->callback([&globals, &exit_code, flags] {
    auto body = [flags](Session& session) { return execute(flags, session); };
    exit_code = with_session(globals, body);
  });
}

}  // namespace nodevirt::virtctl
