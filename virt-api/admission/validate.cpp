#include "virt-api/admission/validate.hpp"

#include <fmt/format.h>

#include "api/fence.hpp"
#include "api/names.hpp"
#include "virt-api/admission/rules.hpp"
#include "virt-api/admission/supported_fields.hpp"

namespace nodevirt::virt_api {

namespace {

/// "spec.domain.cpu.cores: must be a whole number" taken apart.
Cause cause_of(const Error& error, const std::string& path) {
  auto colon = error.message.find(": ");
  if (colon == std::string::npos || !error.message.starts_with(path)) return {path, error.message};
  return {error.message.substr(0, colon), error.message.substr(colon + 2)};
}

const Json& empty_object() {
  static const Json empty = Json::object();
  return empty;
}

constexpr std::array kStrategies = {"Always", "Halted", "Manual", "RerunOnFailure", "Once"};

void check_running(const Json& spec, Causes& out) {
  const Json* running = find(spec, {"running"});
  bool has_running = running && running->is_boolean();
  auto strategy = string_at(spec, {"runStrategy"});
  if (has_running && !strategy.empty())
    out.push_back({"spec.running", "Running and RunStrategy are mutually exclusive. Note that Running is deprecated, please use RunStrategy instead"});
  else if (!has_running && strategy.empty())
    out.push_back({"spec.runStrategy", "RunStrategy must be specified", Cause::Type::Required});
  else if (!strategy.empty() && std::find(kStrategies.begin(), kStrategies.end(), strategy) == kStrategies.end())
    out.push_back({"spec.runStrategy", fmt::format("Invalid RunStrategy ({}); supported are {}", strategy, fmt::join(kStrategies, ", ")),
                   Cause::Type::NotSupported});
}

/// Whatever was sent as the object: null for none.
const Json& spec_of(const Json& object) {
  static const Json none;
  const Json* spec = find(object, {"spec"});
  return spec ? *spec : none;
}

/// A fence that is wrong would be no fence. `of`: what has the metadata; `path`: of that.
void check_fence(const Json& of, const std::string& path, Causes& out) {
  const Json* asked = find(of, {"metadata", "annotations", api::kFenceAnnotation});
  if (!asked || (asked->is_string() && api::fence_seconds({{std::string(api::kFenceAnnotation), asked->get<std::string>()}}))) return;
  out.push_back({fmt::format("{}metadata.annotations[{}]", path, api::kFenceAnnotation),
                 fmt::format("must be a whole number of seconds from {} to {}", api::kMinFenceSeconds, api::kMaxFenceSeconds)});
}

bool same_fence(const Json& a, const Json& b) {
  const Json* of_a = find(a, {"metadata", "annotations", api::kFenceAnnotation});
  const Json* of_b = find(b, {"metadata", "annotations", api::kFenceAnnotation});
  return (of_a ? *of_a : Json()) == (of_b ? *of_b : Json());
}

bool deleting(const Json& object) { return find(object, {"metadata", "deletionTimestamp"}) != nullptr; }

}  // namespace

Causes validate_instance_spec(const Json& spec, const std::string& path) {
  Causes out;
  auto decoded = api::decode_instance_spec(spec, path);
  if (!decoded.ok()) {
    out.push_back(cause_of(decoded.error(), path));
    return out;
  }
  check_supported_instance_fields(spec, path, out);
  RuleInput in{*decoded, spec, path};
  for (auto rule : instance_rules()) rule(in, out);
  return out;
}

Causes validate_vm(const Json& vm) {
  Causes out;
  const Json* spec = find(vm, {"spec"});
  if (!spec || !spec->is_object()) return {{"spec", "is missing", Cause::Type::Required}};
  auto name = string_at(vm, {"metadata", "name"});
  // The name becomes the guest's hostname and the value of labels; an empty one is still to be generated.
  if (!name.empty() && !is_dns_label(name))
    out.push_back({"metadata.name", "must be at most 63 lower-case letters, digits and -, so that it can be the guest's hostname"});
  check_running(*spec, out);
  if (auto strategy = string_at(*spec, {"updateVolumesStrategy"}); strategy != "" && strategy != "Replacement" && strategy != "Migration")
    out.push_back({"spec.updateVolumesStrategy", fmt::format("\"{}\" is not known; supported are Replacement, Migration", strategy), Cause::Type::NotSupported});
  check_supported_vm_fields(*spec, "spec", out);
  const Json* tmpl = find(*spec, {"template"});
  if (!tmpl || !tmpl->is_object()) {
    out.push_back({"spec.template", "is missing: it says what the instance is to look like", Cause::Type::Required});
    return out;
  }
  check_fence(*tmpl, "spec.template.", out);
  const Json* inner = find(*tmpl, {"spec"});
  for (auto& c : validate_instance_spec(inner ? *inner : empty_object(), "spec.template.spec")) out.push_back(std::move(c));
  return out;
}

Causes validate_vmi(const Json& vmi) {
  auto name = string_at(vmi, {"metadata", "name"});
  const Json* spec = find(vmi, {"spec"});
  auto out = validate_instance_spec(spec ? *spec : empty_object(), "spec");
  check_fence(vmi, "", out);
  if (!name.empty() && !is_dns_label(name))
    out.insert(out.begin(), {"metadata.name", "must be at most 63 lower-case letters, digits and -, so that it can be the guest's hostname"});
  return out;
}

bool is_own_program(std::string_view user) {
  for (std::string_view program : {"virt-api", "virt-controller", "virt-handler"}) {
    if (user == program || user == fmt::format("system:serviceaccount:{}:kubevirt-{}", api::kSystemNamespace, program.substr(5)) ||
        user == fmt::format("system:serviceaccount:{}:{}", api::kSystemNamespace, program))
      return true;
  }
  return user == "virt-handler" || user.starts_with("virt-handler-");
}

AdmissionAnswer admit_vm(const AdmissionRequest& request) {
  if (!request.object.is_object()) return allow();
  if (deleting(request.object)) return allow();  // finalizers must come off whatever the spec says
  // The instance is what is fenced: on the machine itself it would do nothing.
  if (find(request.object, {"metadata", "annotations", api::kFenceAnnotation}) && !same_fence(request.object, request.old_object))
    return verdict({{fmt::format("metadata.annotations[{}]", api::kFenceAnnotation), "belongs in spec.template.metadata.annotations"}});
  if (request.operation == "UPDATE" && request.old_object.is_object() && spec_of(request.object) == spec_of(request.old_object)) return allow();
  return verdict(validate_vm(request.object));
}

AdmissionAnswer admit_vmi_create(const AdmissionRequest& request) {
  return verdict(validate_vmi(request.object));
}

AdmissionAnswer admit_vmi_update(const AdmissionRequest& request) {
  if (is_own_program(request.user) || !request.old_object.is_object()) return allow();
  const auto& now = request.object;
  const auto& old = request.old_object;
  if (spec_of(now) != spec_of(old))
    return verdict({{"spec", "update of VMI object is restricted; change the VirtualMachine's template, and restart it", Cause::Type::NotSupported}});
  for (auto label : {api::kNodeNameLabel, api::kCreatedByLabel, std::string_view("kubevirt.io/migrationJobUID")}) {
    if (string_at(now, {"metadata", "labels", label}) != string_at(old, {"metadata", "labels", label}))
      return verdict({{fmt::format("metadata.labels[{}]", label),
                       "modification of the following reserved kubevirt.io/ labels on a VMI object is prohibited", Cause::Type::NotSupported}});
  }
  Causes fence;
  if (!same_fence(now, old)) check_fence(now, "", fence);
  return verdict(fence);
}

}  // namespace nodevirt::virt_api
