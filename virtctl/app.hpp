// virtctl, the person's tool; also runs as `kubectl virt`.
#pragma once
#include <string>
#include <vector>

namespace nodevirt::virtctl {

/// `args` without argv[0]; the program's exit code: 0 done, 1 failed, 2 wrong usage.
int run(std::vector<std::string> args);

}  // namespace nodevirt::virtctl
