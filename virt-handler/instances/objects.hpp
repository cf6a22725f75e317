// What the informers keep of instances and launcher pods.
#pragma once
#include <memory>
#include <string>

#include "api/vmi.hpp"
#include "pkg/runtime/informer.hpp"
#include "virt-handler/migration/state.hpp"

namespace nodevirt::virt_handler {

struct InstanceObject {
  runtime::ObjectMeta meta;
  std::shared_ptr<const api::Instance> view;
  std::string text;  ///< compact JSON, whole
  std::optional<migration::MigrationState> migration;
  static Result<InstanceObject> decode(const Json& object);
};

struct PodObject {
  runtime::ObjectMeta meta;
  std::string instance_uid;   ///< label kubevirt.io/created-by
  std::string instance_name;  ///< annotation kubevirt.io/domain
  std::string node, phase, ip, ip6;
  bool deleting = false;
  static Result<PodObject> decode(const Json& object);

  std::string instance_key() const { return meta.ns + "/" + instance_name; }
  bool ended() const { return phase == "Succeeded" || phase == "Failed"; }
};

}  // namespace nodevirt::virt_handler
