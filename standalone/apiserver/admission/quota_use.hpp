// How much of a quota one object uses. Pure.
#pragma once
#include <string>
#include <vector>

#include "api/quantity.hpp"
#include "pkg/base/json.hpp"

namespace nodevirt::apiserver {

/// The store id whose objects use `key`: "pods" for compute resources.
std::string quota_kind(const std::string& key);
/// Every object of the kind counts one, whatever is in it.
bool quota_counts_only(const std::string& key);
api::Quantity quota_use(const std::string& key, const std::string& id, const Json& object);
/// Whether the quota's scopes select the object; objects other than pods are selected by quotas without scopes only.
bool quota_selects(const Json& spec, const std::string& id, const Json& object);
/// Containers of a pod that say nothing of `key` though a quota of it wants that; empty for other keys.
std::vector<std::string> quota_unsaid(const std::string& key, const Json& pod);
/// As Kubernetes prints it: binary suffixes for memory and storage.
std::string quota_text(const std::string& key, const api::Quantity& q);
api::Quantity quota_quantity(const Json& value);

}  // namespace nodevirt::apiserver
