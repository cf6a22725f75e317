// CustomResourceDefinitions: which names they get, and their conditions.
#pragma once
#include "pkg/base/clock.hpp"
#include "pkg/base/json.hpp"

namespace nodevirt::apiserver {

class Store;

inline constexpr const char* kDefinitions = "customresourcedefinitions.apiextensions.k8s.io";
inline constexpr const char* kCleanupFinalizer = "customresourcecleanup.apiextensions.k8s.io";

/// Brings status.acceptedNames, conditions NamesAccepted and Established, and storedVersions in line with
/// the spec and with what other definitions of the group have accepted. True when something changed.
bool settle_names(const Store& store, Json& definition, Clock::WallTime now);
/// Sets a condition; lastTransitionTime moves only when its status changes. True when something changed.
bool set_condition(Json& object, const std::string& type, const std::string& status, const std::string& reason,
                   const std::string& message, Clock::WallTime now);

}  // namespace nodevirt::apiserver
