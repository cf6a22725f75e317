// What the server knows about one resource: data, for built-in and custom kinds alike.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "pkg/base/json.hpp"
#include "standalone/apiserver/store/object.hpp"

namespace nodevirt::apiserver {

class Strategy;

struct Subresource {
  std::string name;                 ///< status, scale, binding ...
  std::vector<std::string> verbs;
  std::string group, version, kind; ///< of its body; an empty kind means the resource's own
};

struct ServedVersion {
  std::string name;
  bool served = true;
  bool storage = false;
  bool status = false;              ///< status is a subresource of its own
  bool scale = false;
  std::string deprecation;          ///< the warning, when the version is deprecated
  Json scale_paths;                 ///< specReplicasPath, statusReplicasPath, labelSelectorPath
  Json columns;                     ///< additionalPrinterColumns of a custom kind
  std::vector<std::string> selectable;  ///< selectableFields' paths ("spec.x")
};

struct ResourceInfo {
  std::string id;                   ///< key in the store: "pods", "virtualmachines.kubevirt.io"
  std::string group, plural, singular, kind, list_kind;
  std::vector<std::string> short_names, categories;
  bool namespaced = true;
  std::vector<std::string> verbs;
  std::vector<Subresource> subresources;   ///< apart from status and scale of the versions
  std::vector<ServedVersion> versions;     ///< most preferred first
  std::vector<std::string> fields;         ///< selectable fields kept in the index, of a built-in kind
  const Strategy* strategy = nullptr;      ///< never null once registered
  bool virtual_kind = false;               ///< only ever POSTed, never stored (reviews)

  // Custom kinds only.
  bool custom = false;
  std::string crd;                  ///< name of the definition
  std::int64_t crd_revision = 0;
  Json conversion;                  ///< spec.conversion
  bool terminating = false;
  bool established = true;

  // A second form of a kind that is stored in another (events.k8s.io): both directions.
  void (*to_stored)(Json&) = nullptr;
  void (*from_stored)(Json&) = nullptr;

  const ServedVersion* version(std::string_view name) const;
  const ServedVersion& storage() const;
  std::string api_version(std::string_view version) const { return group.empty() ? std::string(version) : group + "/" + std::string(version); }
  bool allows(std::string_view verb) const;
  const Subresource* subresource(std::string_view name) const;
};
using ResourcePtr = std::shared_ptr<const ResourceInfo>;

/// The built-in kinds.
std::vector<ResourceInfo> builtin_resources();
/// From the summary (a CRD without its schemas) that the definition's index carries.
ResourceInfo custom_resource(const Json& definition, std::int64_t revision);
/// A CRD without versions[].schema, managedFields and annotations.
Json definition_summary(const Json& definition);
/// v2 before v1 before v1beta2 before v1beta1 before v1alpha1 before anything else.
bool version_precedes(std::string_view a, std::string_view b);

/// uid, labels, selectable fields, and for CRDs the summary.
ObjectIndex index_of(const ResourceInfo& info, const Json& object);

}  // namespace nodevirt::apiserver
