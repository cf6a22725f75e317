// A container's environment and command line: env, envFrom, valueFrom, $(NAME). Pure.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "pkg/base/json.hpp"
#include "standalone/podrunner/pod_view.hpp"

namespace nodevirt::podrunner {

/// An object that the pod refers to: {"Secret" | "ConfigMap", name}.
struct ObjectName {
  std::string kind, name;
  auto operator<=>(const ObjectName&) const = default;
};
/// What has to be fetched before the pod can start; those that are missing on the server are simply absent
/// from the map, and only matter where the reference is not optional.
std::set<ObjectName> referenced_objects(const PodView& pod);
using Objects = std::map<ObjectName, Json>;

/// A key of a ConfigMap or Secret, decoded; NotFound when object or key is missing.
Result<std::string> object_value(const Objects& objects, const ObjectName& object, const std::string& key);
/// All of them.
Result<std::map<std::string, std::string>> object_values(const Objects& objects, const ObjectName& object);

/// What is known of where the pod runs.
struct Place {
  std::string node, pod_ip, host_ip;
};
/// metadata.name, metadata.labels['x'], spec.nodeName, status.podIP ...; InvalidArgument for others.
Result<std::string> field_value(const PodView& pod, const Place& place, const std::string& path);
/// limits.cpu, requests.memory ..., divided and rounded up.
Result<std::string> resource_value(const ContainerView& container, const std::string& resource, const std::string& divisor);

/// NAME=VALUE, later entries win, in order of first appearance. Errors carry CreateContainerConfigError.
Result<std::vector<std::string>> environment(const PodView& pod, const ContainerView& container, const Objects& objects,
                                             const Place& place);
/// Whether the environment holds the pod's address.
bool needs_pod_ip(const ContainerView& container);
/// $(NAME) from `env`; $$ is a literal $; unknown names stay as they are.
std::string expand(std::string_view text, const std::map<std::string, std::string>& env);

}  // namespace nodevirt::podrunner
