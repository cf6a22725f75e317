#include "virt-api/registration/objects.hpp"

#include <openssl/evp.h>

#include "api/names.hpp"
#include "virt-api/admission/webhooks.hpp"

namespace nodevirt::virt_api {

namespace {

std::string base64(const std::string& text) {
  std::string out(4 * ((text.size() + 2) / 3) + 1, '\0');
  int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(text.data()),
                          static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

Json service(std::string_view path) {
  Json out = {{"name", "virt-api"}, {"namespace", api::kSystemNamespace}, {"port", 443}};
  if (!path.empty()) out["path"] = path;
  return out;
}

Json client_config(std::string_view path, const std::string& bundle) {
  return {{"service", service(path)}, {"caBundle", bundle}};
}

Json webhook_entry(const Webhook& hook, const std::string& bundle) {
  bool eviction = hook.may_be_missed;
  Json rule = {{"apiGroups", Json::array({hook.group})},
               {"apiVersions", Json::array({hook.version})},
               {"operations", hook.operations},
               {"resources", Json::array({hook.resource})},
               {"scope", "*"}};
  Json out = {{"name", hook.name},
              {"clientConfig", client_config(hook.path, bundle)},
              {"rules", Json::array({std::move(rule)})},
              {"admissionReviewVersions", Json::array({"v1"})},
              {"sideEffects", eviction ? "NoneOnDryRun" : "None"},
              // An eviction must stay possible while virt-api is away; an object that nobody checked must not get in.
              {"failurePolicy", eviction ? "Ignore" : "Fail"},
              {"matchPolicy", "Equivalent"},
              {"timeoutSeconds", 10}};
  if (hook.mutating) out["reinvocationPolicy"] = "Never";
  return out;
}

Registration configuration(bool mutating, const std::string& bundle) {
  Json hooks = Json::array();
  for (const auto& hook : webhooks())
    if (hook.mutating == mutating) hooks.push_back(webhook_entry(hook, bundle));
  const auto& resource = mutating ? k8s::resources::kMutatingWebhookConfigurations : k8s::resources::kValidatingWebhookConfigurations;
  std::string name = mutating ? "virt-api-mutator" : "virt-api-validator";
  Json object = {{"apiVersion", resource.api_version()}, {"kind", resource.kind},
                 {"metadata", {{"name", name}, {"labels", {{"kubevirt.io", "virt-api"}}}}}, {"webhooks", std::move(hooks)}};
  return {resource, name, std::move(object), false};
}

Registration api_service(const std::string& version, const std::string& bundle) {
  const auto& resource = k8s::resources::kApiServices;
  std::string name = version + ".subresources.kubevirt.io";
  Json object = {{"apiVersion", resource.api_version()},
                 {"kind", resource.kind},
                 {"metadata", {{"name", name}, {"labels", {{"kubevirt.io", "virt-api"}}}}},
                 {"spec",
                  {{"group", "subresources.kubevirt.io"}, {"version", version}, {"service", service("")}, {"caBundle", bundle},
                   {"groupPriorityMinimum", 1000}, {"versionPriority", version == "v1" ? 20 : 15}}}};
  return {resource, name, std::move(object), false};
}

Registration conversion(const std::string& crd, const std::string& bundle) {
  Json webhook = {{"clientConfig", client_config("/convert", bundle)}, {"conversionReviewVersions", Json::array({"v1"})}};
  Json patch = {{"spec", {{"conversion", {{"strategy", "Webhook"}, {"webhook", std::move(webhook)}}}}}};
  return {k8s::resources::kCustomResourceDefinitions, crd, std::move(patch), true};
}

}  // namespace

std::vector<Registration> registrations(const std::string& ca_pem) {
  auto bundle = base64(ca_pem);
  std::vector<Registration> out;
  out.push_back(conversion("virtualmachines.kubevirt.io", bundle));
  out.push_back(conversion("virtualmachineinstances.kubevirt.io", bundle));
  out.push_back(api_service("v1", bundle));
  out.push_back(api_service("v1alpha3", bundle));
  out.push_back(configuration(true, bundle));
  out.push_back(configuration(false, bundle));
  return out;
}

bool already_there(const Json& now, const Json& wanted) {
  if (!wanted.is_object()) {
    if (!wanted.is_array() || !now.is_array() || now.size() != wanted.size()) return now == wanted;
    // Servers fill in defaults inside list items.
    for (std::size_t i = 0; i < now.size(); ++i)
      if (!already_there(now[i], wanted[i])) return false;
    return true;
  }
  if (!now.is_object()) return false;
  for (auto it = wanted.begin(); it != wanted.end(); ++it) {
    auto member = now.find(it.key());
    if (member == now.end() || !already_there(*member, it.value())) return false;
  }
  return true;
}

}  // namespace nodevirt::virt_api
