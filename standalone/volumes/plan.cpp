#include "standalone/volumes/plan.hpp"

#include <fmt/format.h>

#include "api/quantity.hpp"
#include "standalone/volumes/names.hpp"

namespace nodevirt::volumes {
namespace {

std::string name_of(const Json& o) { return string_at(o, {"metadata", "name"}); }
std::string ns_of(const Json& o) { return string_at(o, {"metadata", "namespace"}); }
std::string uid_of(const Json& o) { return string_at(o, {"metadata", "uid"}); }
bool deleting(const Json& o) { return !string_at(o, {"metadata", "deletionTimestamp"}).empty(); }

std::string annotation(const Json& o, std::string_view key) {
  const Json* all = find(o, {"metadata", "annotations"});
  return all ? string_at(*all, {key}) : "";
}

std::vector<std::string> finalizers(const Json& o) {
  std::vector<std::string> out;
  const Json* list = find(o, {"metadata", "finalizers"});
  if (list && list->is_array())
    for (const auto& f : *list)
      if (f.is_string()) out.push_back(f.get<std::string>());
  return out;
}

bool has(const std::vector<std::string>& list, std::string_view item) { return std::find(list.begin(), list.end(), item) != list.end(); }

api::Quantity storage(const Json& o, std::initializer_list<std::string_view> path) {
  auto q = api::Quantity::parse(string_at(o, path, "0"));
  return q.ok() ? *q : api::Quantity();
}

/// A merge patch that holds only for the object as it was read.
Json precondition(const Json& o) {
  Json patch = Json::object();
  patch["metadata"] = Json{{"uid", uid_of(o)}, {"resourceVersion", string_at(o, {"metadata", "resourceVersion"})}};
  return patch;
}

std::vector<std::string> access_modes(const Json& o) {
  std::vector<std::string> out;
  const Json* list = find(o, {"spec", "accessModes"});
  if (list && list->is_array())
    for (const auto& m : *list)
      if (m.is_string()) out.push_back(m.get<std::string>());
  return out;
}

bool claim_ref_is(const Json& volume, const Json& claim) {
  const std::string uid = string_at(volume, {"spec", "claimRef", "uid"});
  return string_at(volume, {"spec", "claimRef", "name"}) == name_of(claim) && string_at(volume, {"spec", "claimRef", "namespace"}) == ns_of(claim) &&
         (uid.empty() || uid == uid_of(claim));
}

bool labels_match(const Json& volume, const Json* selector) {
  if (!selector || !selector->is_object()) return true;
  const Json empty = Json::object();
  const Json* at = find(volume, {"metadata", "labels"});
  const Json& labels = at ? *at : empty;
  if (const Json* want = find(*selector, {"matchLabels"}); want && want->is_object())
    for (const auto& [k, v] : want->items())
      if (!labels.contains(k) || labels.at(k) != v) return false;
  if (const Json* want = find(*selector, {"matchExpressions"}); want && want->is_array())
    for (const auto& e : *want) {
      const std::string key = string_at(e, {"key"}), op = string_at(e, {"operator"});
      const bool there = labels.contains(key);
      bool in = false;
      if (const Json* values = find(e, {"values"}); there && values && values->is_array())
        in = std::find(values->begin(), values->end(), labels.at(key)) != values->end();
      if ((op == "In" && !in) || (op == "NotIn" && in) || (op == "Exists" && !there) || (op == "DoesNotExist" && there)) return false;
    }
  return true;
}

bool pod_over(const Json& pod) {
  const auto phase = string_at(pod, {"status", "phase"});
  return phase == "Succeeded" || phase == "Failed";
}

void bind(Plan& plan, const Json& claim, const Json& volume) {
  if (string_at(volume, {"spec", "claimRef", "uid"}) != uid_of(claim)) {
    Json patch = precondition(volume);
    patch["spec"]["claimRef"] = Json{{"apiVersion", "v1"}, {"kind", "PersistentVolumeClaim"}, {"namespace", ns_of(claim)}, {"name", name_of(claim)},
                                     {"uid", uid_of(claim)}, {"resourceVersion", string_at(claim, {"metadata", "resourceVersion"})}};
    plan.writes.push_back({Write::Kind::PatchVolume, "", name_of(volume), std::move(patch)});
  }
  if (string_at(volume, {"status", "phase"}) != "Bound") {
    Json patch;
    patch["metadata"] = Json{{"uid", uid_of(volume)}};
    patch["status"] = Json{{"phase", "Bound"}, {"message", nullptr}, {"reason", nullptr}};
    plan.writes.push_back({Write::Kind::PatchVolumeStatus, "", name_of(volume), std::move(patch)});
  }
  if (string_at(claim, {"spec", "volumeName"}) != name_of(volume) || annotation(claim, "pv.kubernetes.io/bind-completed") != "yes") {
    Json patch;
    patch["metadata"] = Json{{"uid", uid_of(claim)}};
    patch["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = "yes";
    if (string_at(claim, {"spec", "volumeName"}).empty()) patch["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"] = "yes";
    patch["spec"]["volumeName"] = name_of(volume);
    plan.writes.push_back({Write::Kind::PatchClaim, ns_of(claim), name_of(claim), std::move(patch)});
  }
  const Json* capacity = find(volume, {"spec", "capacity"});
  const Json* modes = find(volume, {"spec", "accessModes"});
  const Json* had = find(claim, {"status", "capacity"});
  if (string_at(claim, {"status", "phase"}) != "Bound" || (capacity && (!had || *had != *capacity))) {
    Json patch;
    patch["metadata"] = Json{{"uid", uid_of(claim)}};
    patch["status"] = Json{{"phase", "Bound"}};
    if (modes) patch["status"]["accessModes"] = *modes;
    if (capacity) patch["status"]["capacity"] = *capacity;
    plan.writes.push_back({Write::Kind::PatchClaimStatus, ns_of(claim), name_of(claim), std::move(patch)});
  }
}

}  // namespace

std::string volume_name(const Json& claim) { return "pvc-" + uid_of(claim); }

std::optional<std::string> cannot_provision(const Json& claim, const Json& storage_class) {
  const auto modes = access_modes(claim);
  const std::string scope = string_at(storage_class, {"parameters", "scope"}, "node");
  if (scope != "node" && scope != "machine")
    return fmt::format("StorageClass {}: parameter scope is \"{}\", must be \"node\" or \"machine\"", name_of(storage_class), scope);
  if (modes.empty()) return "spec.accessModes is empty";
  if (scope == "node")
    for (const auto& m : modes)
      if (m == "ReadWriteMany" || m == "ReadOnlyMany")
        return fmt::format("access mode {} is not offered by StorageClass {}, whose volumes belong to one node; use StorageClass {}", m, name_of(storage_class), kSharedClass);
  if (string_at(claim, {"spec", "volumeMode"}, "Filesystem") == "Block") return "volumeMode Block is not offered by " + std::string(kProvisioner) + "; use Filesystem";
  if (find(claim, {"spec", "dataSource"}) || find(claim, {"spec", "dataSourceRef"})) return "spec.dataSource is not offered by " + std::string(kProvisioner);
  if (find(claim, {"spec", "selector"})) return "a claim with spec.selector is not provisioned; it waits for a volume that matches";
  const auto size = storage(claim, {"spec", "resources", "requests", "storage"});
  if (size.negative() || size.zero()) return "spec.resources.requests.storage must be a positive quantity";
  return std::nullopt;
}

Json provisioned_volume(const Json& claim, const Json& storage_class, const std::string& volumes_dir, const std::string& node) {
  const std::string name = volume_name(claim);
  Json pv{{"apiVersion", "v1"}, {"kind", "PersistentVolume"}};
  pv["metadata"] = Json{{"name", name}};
  pv["metadata"]["annotations"][std::string(kProvisionedByAnnotation)] = kProvisioner;
  pv["metadata"]["finalizers"] = Json::array({kPvProtection, kFileFinalizer});
  Json& spec = pv["spec"];
  spec["capacity"]["storage"] = string_at(claim, {"spec", "resources", "requests", "storage"});
  spec["accessModes"] = *find(claim, {"spec", "accessModes"});
  spec["volumeMode"] = "Filesystem";
  spec["storageClassName"] = name_of(storage_class);
  spec["persistentVolumeReclaimPolicy"] = string_at(storage_class, {"reclaimPolicy"}, "Delete");
  spec["local"]["path"] = volumes_dir + "/" + name;
  spec["claimRef"] = Json{{"apiVersion", "v1"}, {"kind", "PersistentVolumeClaim"}, {"namespace", ns_of(claim)}, {"name", name_of(claim)},
                          {"uid", uid_of(claim)}, {"resourceVersion", string_at(claim, {"metadata", "resourceVersion"})}};
  Json expression{{"key", "kubernetes.io/os"}, {"operator", "In"}};
  expression["values"] = Json::array({"linux"});
  if (!node.empty()) {
    expression["key"] = "kubernetes.io/hostname";
    expression["values"] = Json::array({node});
  }
  // Local volumes must have an affinity; that of class shared is true of every node.
  Json term;
  term["matchExpressions"] = Json::array({std::move(expression)});
  spec["nodeAffinity"]["required"]["nodeSelectorTerms"] = Json::array({std::move(term)});
  return pv;
}

bool volume_fits(const Json& volume, const Json& claim) {
  if (deleting(volume)) return false;
  const bool reserved = find(volume, {"spec", "claimRef"}) != nullptr;
  if (reserved && !claim_ref_is(volume, claim)) return false;
  const auto phase = string_at(volume, {"status", "phase"});
  if (phase == "Released" || phase == "Failed") return false;
  const std::string wanted = string_at(claim, {"spec", "volumeName"});
  if (!wanted.empty() && wanted != name_of(volume)) return false;
  if (wanted.empty() && string_at(volume, {"spec", "storageClassName"}) != string_at(claim, {"spec", "storageClassName"})) return false;
  if (string_at(volume, {"spec", "volumeMode"}, "Filesystem") != string_at(claim, {"spec", "volumeMode"}, "Filesystem")) return false;
  if (storage(volume, {"spec", "capacity", "storage"}) < storage(claim, {"spec", "resources", "requests", "storage"})) return false;
  const auto offered = access_modes(volume);
  for (const auto& mode : access_modes(claim))
    if (!has(offered, mode)) return false;
  return labels_match(volume, find(claim, {"spec", "selector"}));
}

Plan plan_claim(const ClaimView& view) {
  Plan plan;
  const Json& claim = view.claim;
  const auto marks = finalizers(claim);
  const bool used = std::any_of(view.pods.begin(), view.pods.end(), [](const Json* pod) { return !pod_over(*pod); });

  if (deleting(claim)) {
    if (has(marks, kPvcProtection) && !used) {
      Json patch = precondition(claim);
      Json left = Json::array();
      for (const auto& f : marks)
        if (f != kPvcProtection) left.push_back(f);
      patch["metadata"]["finalizers"] = left.empty() ? Json() : left;
      plan.writes.push_back({Write::Kind::PatchClaim, ns_of(claim), name_of(claim), std::move(patch)});
    }
    return plan;
  }
  Json meta = Json::object();
  if (!has(marks, kPvcProtection)) {
    Json all = Json::array();
    for (const auto& f : marks) all.push_back(f);
    all.push_back(kPvcProtection);
    meta["finalizers"] = std::move(all);
  }
  const bool no_class = !find(claim, {"spec", "storageClassName"});
  Json spec = Json::object();
  if (no_class && !view.default_class.empty() && string_at(claim, {"spec", "volumeName"}).empty()) spec["storageClassName"] = view.default_class;
  if (!meta.empty() || !spec.empty()) {
    Json patch = precondition(claim);
    patch["metadata"].update(meta);
    if (!spec.empty()) patch["spec"] = std::move(spec);
    plan.writes.push_back({Write::Kind::PatchClaim, ns_of(claim), name_of(claim), std::move(patch)});
    return plan;  // the rest follows from what comes back
  }
  if (string_at(claim, {"status", "phase"}).empty()) {
    Json patch;
    patch["metadata"] = Json{{"uid", uid_of(claim)}};
    patch["status"]["phase"] = "Pending";
    plan.writes.push_back({Write::Kind::PatchClaimStatus, ns_of(claim), name_of(claim), std::move(patch)});
  }

  const Json* bound = nullptr;
  const std::string wanted = string_at(claim, {"spec", "volumeName"});
  for (const auto* volume : view.volumes)
    if (find(*volume, {"spec", "claimRef"}) && string_at(*volume, {"spec", "claimRef", "uid"}) == uid_of(claim) && (wanted.empty() || wanted == name_of(*volume))) bound = volume;
  if (bound) {
    bind(plan, claim, *bound);
    // Expansion: the volume says the new size, the node grows the file at the next mount.
    const auto size = storage(*bound, {"spec", "capacity", "storage"}), request = storage(claim, {"spec", "resources", "requests", "storage"});
    if (is_ours(*bound) && size < request) {
      Json patch = precondition(*bound);
      patch["spec"]["capacity"]["storage"] = string_at(claim, {"spec", "resources", "requests", "storage"});
      plan.writes.clear();
      plan.writes.push_back({Write::Kind::PatchVolume, "", name_of(*bound), std::move(patch)});
      plan.notices.push_back({"Normal", "VolumeResizeSuccessful", "Resized volume " + name_of(*bound) + " to " + request.to_string(true) + "; the disk grows when it is mounted next"});
    }
    return plan;
  }
  if (annotation(claim, "pv.kubernetes.io/bind-completed") == "yes" && !wanted.empty()) {
    if (string_at(claim, {"status", "phase"}) != "Lost") {
      Json patch;
      patch["metadata"] = Json{{"uid", uid_of(claim)}};
      patch["status"]["phase"] = "Lost";
      plan.writes.push_back({Write::Kind::PatchClaimStatus, ns_of(claim), name_of(claim), std::move(patch)});
      plan.notices.push_back({"Warning", "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!"});
    }
    return plan;
  }

  // Volumes made by hand: the one reserved for the claim, else the smallest that fits. A claim that waits for its
  // first consumer takes only a reserved one before the scheduler has chosen a node.
  const bool waits = view.storage_class && string_at(*view.storage_class, {"volumeBindingMode"}) == "WaitForFirstConsumer";
  const std::string node = annotation(claim, kSelectedNodeAnnotation);
  const Json* best = nullptr;
  for (const auto* volume : view.volumes) {
    if (!volume_fits(*volume, claim)) continue;
    const bool reserved = find(*volume, {"spec", "claimRef"}) != nullptr;
    if (!reserved && waits && node.empty() && wanted.empty()) continue;
    if (reserved) {
      best = volume;
      break;
    }
    if (!best || storage(*volume, {"spec", "capacity", "storage"}) < storage(*best, {"spec", "capacity", "storage"})) best = volume;
  }
  if (best) {
    bind(plan, claim, *best);
    return plan;
  }
  if (!wanted.empty()) {
    plan.notices.push_back({"Warning", "FailedBinding", "volume \"" + wanted + "\" does not exist, is in use by another claim, or does not satisfy this one"});
    return plan;
  }
  const std::string class_name = string_at(claim, {"spec", "storageClassName"});
  if (class_name.empty()) {
    plan.notices.push_back({"Normal", "FailedBinding", "no persistent volumes available for this claim and no storage class is set"});
    return plan;
  }
  if (!view.storage_class) {
    plan.notices.push_back({"Warning", "ProvisioningFailed", "storageclass.storage.k8s.io \"" + class_name + "\" not found"});
    return plan;
  }
  if (string_at(*view.storage_class, {"provisioner"}) != kProvisioner) return plan;
  if (auto why = cannot_provision(claim, *view.storage_class)) {
    plan.notices.push_back({"Warning", "ProvisioningFailed", "failed to provision volume with StorageClass \"" + class_name + "\": " + *why});
    return plan;
  }
  const bool machine = string_at(*view.storage_class, {"parameters", "scope"}, "node") == "machine";
  if (!machine && node.empty()) {
    if (waits) plan.notices.push_back({"Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding"});
    else plan.notices.push_back({"Warning", "ProvisioningFailed", "StorageClass \"" + class_name + "\" has scope node and must have volumeBindingMode WaitForFirstConsumer"});
    return plan;
  }
  plan.writes.push_back({Write::Kind::CreateVolume, "", volume_name(claim), provisioned_volume(claim, *view.storage_class, view.volumes_dir, machine ? "" : node)});
  plan.notices.push_back({"Normal", "ProvisioningSucceeded", "Successfully provisioned volume " + volume_name(claim)});
  return plan;
}

Plan plan_volume(const Json& volume, const Json* claim) {
  Plan plan;
  const auto marks = finalizers(volume);
  const bool referenced = find(volume, {"spec", "claimRef"}) != nullptr && !string_at(volume, {"spec", "claimRef", "uid"}).empty();
  const bool claimed = referenced && claim && uid_of(*claim) == string_at(volume, {"spec", "claimRef", "uid"});
  const auto phase = string_at(volume, {"status", "phase"});
  if (deleting(volume)) {
    if (has(marks, kPvProtection) && !claimed) {
      Json patch = precondition(volume);
      Json left = Json::array();
      for (const auto& f : marks)
        if (f != kPvProtection) left.push_back(f);
      patch["metadata"]["finalizers"] = left.empty() ? Json() : left;
      plan.writes.push_back({Write::Kind::PatchVolume, "", name_of(volume), std::move(patch)});
    }
    return plan;
  }
  if (!has(marks, kPvProtection)) {
    Json patch = precondition(volume);
    Json all = Json::array();
    for (const auto& f : marks) all.push_back(f);
    all.push_back(kPvProtection);
    patch["metadata"]["finalizers"] = std::move(all);
    plan.writes.push_back({Write::Kind::PatchVolume, "", name_of(volume), std::move(patch)});
    return plan;
  }
  const auto set_phase = [&](const char* to) {
    if (phase == to) return;
    Json patch;
    patch["metadata"] = Json{{"uid", uid_of(volume)}};
    patch["status"]["phase"] = to;
    plan.writes.push_back({Write::Kind::PatchVolumeStatus, "", name_of(volume), std::move(patch)});
  };
  if (!referenced) {
    set_phase("Available");
    return plan;
  }
  if (claimed) return plan;  // the claim's plan says Bound
  set_phase("Released");
  if (is_ours(volume) && string_at(volume, {"spec", "persistentVolumeReclaimPolicy"}) == "Delete")
    plan.writes.push_back({Write::Kind::DeleteVolume, "", name_of(volume), Json{{"uid", uid_of(volume)}, {"resourceVersion", ""}}});
  return plan;
}

std::vector<Json> storage_classes() {
  const auto make = [](std::string_view name, bool is_default, const char* scope, const char* mode) {
    Json sc{{"apiVersion", "storage.k8s.io/v1"}, {"kind", "StorageClass"}, {"provisioner", kProvisioner}, {"reclaimPolicy", "Delete"},
            {"volumeBindingMode", mode}, {"allowVolumeExpansion", true}};
    sc["metadata"]["name"] = name;
    sc["parameters"]["scope"] = scope;
    if (is_default) sc["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] = "true";
    return sc;
  };
  return {make(kLocalClass, true, "node", "WaitForFirstConsumer"), make(kSharedClass, false, "machine", "Immediate")};
}

}  // namespace nodevirt::volumes
