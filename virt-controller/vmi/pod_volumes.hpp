// The volumes of a launcher pod and where they are mounted.
#pragma once
#include "virt-controller/vmi/pod.hpp"

namespace nodevirt::virt_controller::vmi {

struct PodVolumes {
  Json volumes = Json::array(), mounts = Json::array(), devices = Json::array();
  std::set<std::string> pull_secrets;
};

Result<PodVolumes> pod_volumes(const api::Instance& vmi, const PodOptions& options);

}  // namespace nodevirt::virt_controller::vmi
