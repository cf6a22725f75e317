#include "virt-api/admission/webhooks.hpp"

#include "virt-api/admission/defaults.hpp"
#include "virt-api/admission/eviction.hpp"
#include "virt-api/admission/migration.hpp"
#include "virt-api/admission/validate.hpp"
#include "virt-api/reply.hpp"

namespace nodevirt::virt_api {

const std::vector<Webhook>& webhooks() {
  static constexpr std::string_view kGroup = "kubevirt.io", kV1 = "v1";
  static const std::vector<Webhook> all = {
      {"/virtualmachines-mutate", "virtualmachines-mutator.kubevirt.io", true, kGroup, kV1, "virtualmachines", {"CREATE"}, mutate_vm},
      {"/virtualmachineinstances-mutate", "virtualmachineinstances-mutator.kubevirt.io", true, kGroup, kV1, "virtualmachineinstances",
       {"CREATE"}, mutate_vmi},
      {"/migration-mutate-create", "migrations-mutator.kubevirt.io", true, kGroup, kV1, "virtualmachineinstancemigrations", {"CREATE"},
       mutate_migration},
      {"/virtualmachines-validate", "virtualmachine-validator.kubevirt.io", false, kGroup, kV1, "virtualmachines", {"CREATE", "UPDATE"}, admit_vm},
      {"/virtualmachineinstances-validate-create", "virtualmachineinstances-create-validator.kubevirt.io", false, kGroup, kV1,
       "virtualmachineinstances", {"CREATE"}, admit_vmi_create},
      {"/virtualmachineinstances-validate-update", "virtualmachineinstances-update-validator.kubevirt.io", false, kGroup, kV1,
       "virtualmachineinstances", {"UPDATE"}, admit_vmi_update},
      {"/migration-validate-create", "migration-create-validator.kubevirt.io", false, kGroup, kV1, "virtualmachineinstancemigrations",
       {"CREATE"}, nullptr, admit_migration_create},
      {"/migration-validate-update", "migration-update-validator.kubevirt.io", false, kGroup, kV1, "virtualmachineinstancemigrations",
       {"UPDATE"}, admit_migration_update},
      {"/migration-policy-validate-create", "migration-policy-validator.kubevirt.io", false, "migrations.kubevirt.io", "v1alpha1",
       "migrationpolicies", {"CREATE", "UPDATE"}, admit_migration_policy},
      {"/kubevirt-validate-update", "kubevirt-update-validator.kubevirt.io", false, kGroup, kV1, "kubevirts", {"CREATE", "UPDATE"}, admit_kubevirt},
      {"/pod-eviction-validate", "virt-launcher-eviction-interceptor.kubevirt.io", false, "", kV1, "pods/eviction", {"*"}, nullptr,
       admit_eviction, true},
  };
  return all;
}

Awaitable<bool> serve_webhook(client::Client client, net::ServerRequest& request, net::ResponseStream& response) {
  auto path = request.raw_path();
  const Webhook* hook = nullptr;
  for (const auto& h : webhooks())
    if (h.path == path) hook = &h;
  if (!hook) co_return false;
  auto review = decode_review(request.body);
  if (!review.ok()) {
    auto error = bad_request(review.error().message);
    co_await reply_error(response, error);
    co_return true;
  }
  AdmissionAnswer answer;
  if (hook->decide) answer = hook->decide(*review);
  else answer = co_await hook->ask(client, *review);
  auto body = encode_review(*review, answer);
  co_await reply_json(response, 200, std::move(body));
  co_return true;
}

}  // namespace nodevirt::virt_api
