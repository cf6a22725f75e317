// The fence on the wire: what an instance asks for, and what a node's Lease says of its pods.
//
// A Lease `kubevirt/virt-handler-NODE` carries one annotation fence.nodevirt.io/POD-UID: "N" for every launcher
// pod whose monitor is armed. It promises: that monitor kills its QEMU, and ends its pod for good, at the latest
// N seconds after the last change of this Lease (virt-handler/node/fence.hpp keeps the promise,
// virt-controller/fence/deadline.hpp relies on it).
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace nodevirt::api {

/// On an instance: seconds, kMinFenceSeconds to kMaxFenceSeconds. Opt-in.
inline constexpr std::string_view kFenceAnnotation = "nodevirt.io/fence-seconds";
/// On an instance that asked for a fence when it was handed over to its node: what it asked for. Its guest is not started
/// before its pod's entry is in the Lease. virt-controller writes it together with the phase Scheduled.
inline constexpr std::string_view kFenceAtStartAnnotation = "nodevirt.io/fence-at-start";
/// On such Leases, so that they can be watched apart from all others: "true".
inline constexpr std::string_view kFenceLabel = "nodevirt.io/fence";
inline constexpr std::string_view kFenceEntryPrefix = "fence.nodevirt.io/";
inline constexpr std::int64_t kMinFenceSeconds = 5, kMaxFenceSeconds = 3600;

/// What an instance with these annotations asks for, or asked for at its start; nothing when it does not, or for what is no
/// such number.
std::optional<std::int64_t> fence_seconds(const std::map<std::string, std::string>& annotations);
/// A Lease's entries: seconds by the pod's uid. What is no such number is left out.
std::map<std::string, std::int64_t> fence_entries(const std::map<std::string, std::string>& annotations);
/// The Lease's name.
std::string fence_lease_name(std::string_view node);
/// The node of a Lease of such a name; empty for any other.
std::string fence_lease_node(std::string_view lease);

}  // namespace nodevirt::api
