// The programs that this binary holds: those whose libraries exist in the build.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace nodevirt {

struct StandaloneProgram {
  std::string_view name;
  int (*run)(std::vector<std::string> args);
};
const std::vector<StandaloneProgram>& standalone_programs();

/// `nodevirt apiserver`: the API server with the scheduler and the cluster's controllers in its process.
int run_apiserver(std::vector<std::string> args);
/// `nodevirt node`: pod runner, service proxy and resolver of one node.
int run_node(std::vector<std::string> args);

}  // namespace nodevirt
