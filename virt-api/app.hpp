// virt-api: the aggregated subresources API, admission and conversion for kubevirt.io.
#pragma once
#include <string>
#include <vector>

namespace nodevirt::virt_api {

/// `args` without argv[0]. Serves until SIGTERM or SIGINT; the result is the exit code.
int run(std::vector<std::string> args);

}  // namespace nodevirt::virt_api
