// Resource limits where the host allows them. Never a reason for a pod to fail: what cannot be had is logged.
#pragma once
#include <string>
#include <vector>

#include "standalone/podrunner/pod_view.hpp"

namespace nodevirt::podrunner {

/// Where the host's hierarchies are mounted; empty where there is none that can be written.
struct CgroupLayout {
  std::string v2;                        ///< the unified hierarchy, when it has the cpu and memory controllers
  std::string memory, cpu, pids;         ///< version 1
  /// From the text of /proc/self/mountinfo. Pure but for reading cgroup.controllers.
  static CgroupLayout from_mountinfo(std::string_view text);
  static CgroupLayout detect();
};

/// Makes the pod's groups and sets its limits; returns the files to enter them by: "tasks" of version 1, which a process of one
/// thread may write "0" to without a wait; "cgroup.procs" of version 2. Blocking.
std::vector<std::string> make_cgroups(const CgroupLayout& layout, const std::string& node, const PodView& pod);
/// Removes them once they are empty. Blocking.
void remove_cgroups(const CgroupLayout& layout, const std::string& node, const std::string& uid);

}  // namespace nodevirt::podrunner
