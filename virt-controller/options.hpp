// The flags of virt-controller.
#pragma once
#include <string>
#include <vector>

#include "api/names.hpp"
#include "pkg/base/result.hpp"

namespace nodevirt::virt_controller {

struct Options {
  std::string kubeconfig, context;
  std::string launcher_image;            ///< nodevirt/virt-launcher:VERSION unless given
  unsigned launcher_uid = api::kLauncherUid;
  std::string capability_cache_dir = std::string(api::kCapabilityCacheDir);  ///< on the nodes
  std::string listen;                    ///< ADDRESS:PORT of health and metrics; empty: none
  int listen_fd = -1;                    ///< the same, on a socket that somebody else made
  bool leader_elect = true;
  bool help = false;
};

/// "--name value" and "--name=value". InvalidArgument names the flag.
Result<Options> parse_options(const std::vector<std::string>& args);
std::string usage();

}  // namespace nodevirt::virt_controller
