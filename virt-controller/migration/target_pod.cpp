#include "virt-controller/migration/target_pod.hpp"

#include <fmt/format.h>

#include "api/names.hpp"

namespace nodevirt::virt_controller::migration {

namespace {

Json& member_object(Json& parent, const char* key) {
  Json& member = parent[key];
  if (!member.is_object()) member = Json::object();
  return member;
}

// Terms are alternatives, so each of them has to say it.
void keep_off(Json& spec, const std::string& node) {
  Json& required = member_object(member_object(member_object(spec, "affinity"), "nodeAffinity"), "requiredDuringSchedulingIgnoredDuringExecution");
  Json& terms = required["nodeSelectorTerms"];
  Json here = {{"key", "metadata.name"}, {"operator", "NotIn"}, {"values", Json::array({node})}};
  if (!terms.is_array() || terms.empty()) terms = Json::array({Json::object()});
  for (auto& term : terms) {
    if (!term.is_object()) term = Json::object();
    if (!term.contains("matchFields") || !term["matchFields"].is_array()) term["matchFields"] = Json::array();
    term["matchFields"].push_back(here);
  }
}

bool host_model(const api::Instance& view) {
  return !view.spec.domain.cpu || view.spec.domain.cpu->model.empty() || view.spec.domain.cpu->model == "host-model";
}

}  // namespace

std::string target_pod_name(const std::string& instance_name, const std::string& migration_uid) {
  return vmi::pod_name(instance_name, migration_uid);
}

Json target_selector(const api::Instance& view, const k8s::Labels& source) {
  constexpr std::string_view kVendor = "cpu-vendor.node.kubevirt.io/", kModel = "host-model-cpu.node.kubevirt.io/",
                             kFeature = "host-model-required-features.node.kubevirt.io/";
  Json out = Json::object();
  for (const auto& [key, value] : source) {
    if (key == api::kAcceleratorLabel) out[key] = value;
    if (value != "true") continue;
    if (key.starts_with(kVendor)) out[key] = value;
    if (!host_model(view)) {
      if (key == "cpu-model.node.kubevirt.io/" + view.spec.domain.cpu->model) out[key] = value;
      continue;
    }
    if (key.starts_with(kModel)) out["cpu-model-migration.node.kubevirt.io/" + key.substr(kModel.size())] = "true";
    if (key.starts_with(kFeature)) out["cpu-feature.node.kubevirt.io/" + key.substr(kFeature.size())] = "true";
  }
  return out;
}

std::string processor_obstacle(const Json& selector, const std::map<std::string, k8s::Labels>& nodes) {
  constexpr std::size_t kNamedNodes = 3;
  auto in_words = [](std::string_view key, const std::string& value) -> std::string {
    auto name = std::string(key.substr(key.find('/') + 1));
    if (key == api::kAcceleratorLabel) return "the accelerator " + value;
    if (key.starts_with("cpu-vendor.")) return "a processor of " + name;
    if (key.starts_with("cpu-feature.")) return "the CPU feature " + name;
    return "the CPU model " + name;
  };
  std::string out;
  std::size_t named = 0;
  for (const auto& [node, labels] : nodes) {
    std::string first;
    std::size_t more = 0;
    for (auto it = selector.begin(); it != selector.end(); ++it) {
      auto has = labels.find(it.key());
      if (has != labels.end() && has->second == it.value()) continue;
      if (first.empty()) first = in_words(it.key(), it.value().get<std::string>());
      else ++more;
    }
    if (first.empty()) return "";
    if (++named > kNamedNodes) continue;
    out += (out.empty() ? "" : "; ") + node + " lacks " + first + (more ? fmt::format(" and {} more", more) : "");
  }
  if (named > kNamedNodes) out += fmt::format("; and {} more nodes", named - kNamedNodes);
  return out;
}

Result<Json> render_target_pod(const TargetInput& in, const vmi::PodOptions& options) {
  NV_TRY(Json pod, vmi::render_pod(in.instance, in.view, options));
  std::string uid = string_at(in.migration, {"metadata", "uid"});
  Json& metadata = pod["metadata"];
  metadata["name"] = target_pod_name(in.view.metadata.name, uid);
  metadata["labels"][std::string(api::kMigrationJobLabel)] = uid;
  metadata["annotations"]["kubevirt.io/migrationJobName"] = string_at(in.migration, {"metadata", "name"});
  Json& spec = pod["spec"];
  Json& selector = spec["nodeSelector"];
  // What the user added comes last but one: it may narrow, and may not undo what the guest needs.
  if (const Json* added = find(in.migration, {"spec", "addedNodeSelector"}); added && added->is_object())
    for (auto it = added->begin(); it != added->end(); ++it)
      if (it.value().is_string() && !selector.contains(it.key())) selector[it.key()] = it.value();
  const Json needed = target_selector(in.view, in.source_labels);
  for (auto it = needed.begin(); it != needed.end(); ++it) selector[it.key()] = it.value();
  keep_off(spec, in.source_node);
  return pod;
}

}  // namespace nodevirt::virt_controller::migration
