// Pods that run although nobody looks after them.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "standalone/supervisor/layout.hpp"

namespace nodevirt::supervisor {

/// Uids of pods under the data directory (of one node, when named) that have a living process.
std::vector<std::string> pods_left(const DataDir& data, const std::string& node = "");
/// Switches off every guest of the instance (SIGKILL to all of its pods' processes). False when some do not end in time.
bool kill_pods(const DataDir& data, std::chrono::milliseconds patience);
/// Mount points under `root`, deepest first, from the text of /proc/self/mountinfo. Pure.
std::vector<std::string> mounts_under(const std::string& mountinfo, const std::string& root);

}  // namespace nodevirt::supervisor
