// What the caches of live migrations keep: migrations, policies, the cluster's settings, namespaces' labels.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "pkg/base/clock.hpp"
#include "pkg/runtime/informer.hpp"

namespace nodevirt::virt_controller::migration {

/// A VirtualMachineInstanceMigration.
struct MigrationObject {
  runtime::ObjectMeta meta;
  std::string text;                         ///< compact JSON, whole
  std::string vmi_name, phase, priority;    ///< priority: as written; empty: none
  std::string created;                      ///< creationTimestamp
  std::string ended;                        ///< when it became final; empty: it is not, or nobody knows
  bool final() const { return phase == "Succeeded" || phase == "Failed"; }
  bool deleting() const { return !meta.deletion_timestamp.empty(); }
  /// A target pod was made, or may have been.
  bool active() const { return !final() && !phase.empty() && phase != "Pending"; }
  std::string instance_key() const { return meta.ns + "/" + vmi_name; }
  /// The node that is evacuated by it; empty for any other.
  std::string evacuates() const;
  Json json() const;
  static Result<MigrationObject> decode(const Json& object);
};

/// A MigrationPolicy, or the KubeVirt object: the whole text.
using runtime::RawObject;

struct NamespaceObject {
  runtime::ObjectMeta meta;
  static Result<NamespaceObject> decode(const Json& object);
};

using MigrationInformer = runtime::Informer<MigrationObject>;
using PolicyInformer = runtime::Informer<RawObject>;
using KubeVirtInformer = runtime::Informer<RawObject>;
using NamespaceInformer = runtime::Informer<NamespaceObject>;

/// The caches that only migrations and evacuations need.
struct Caches {
  Caches(client::Client client, Clock& clock);
  MigrationInformer migrations;     ///< index "instance": NAMESPACE/VMI; index "uid"
  PolicyInformer policies;
  KubeVirtInformer kubevirts;       ///< of the namespace kubevirt
  NamespaceInformer namespaces;

  bool has_synced() const;
  Awaitable<bool> synced(StopToken stop);
};

}  // namespace nodevirt::virt_controller::migration

extern template class nodevirt::runtime::Informer<nodevirt::virt_controller::migration::MigrationObject>;
extern template class nodevirt::runtime::Informer<nodevirt::virt_controller::migration::NamespaceObject>;
