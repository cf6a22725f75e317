#include "standalone/supervisor/pods_left.hpp"

#include <csignal>
#include <set>
#include <thread>

#include "pkg/base/file.hpp"

namespace nodevirt::supervisor {
namespace fs = std::filesystem;
namespace {

bool all_digits(const std::string& s) { return !s.empty() && s.find_first_not_of("0123456789") == std::string::npos; }

/// mountinfo writes blanks and backslashes as \ooo.
std::string unescape(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>(std::strtol(text.substr(i + 1, 3).c_str(), nullptr, 8));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

namespace {

struct Left {
  std::set<std::string> uids;
  std::vector<int> processes;
};

Left look(const DataDir& data, const std::string& only_node) {
  // A pod's processes have something from its folder mounted, whatever runs in it.
  Left out;
  std::set<std::string> wanted;
  std::error_code error;
  for (const auto& node : fs::directory_iterator(data.root / "nodes", error)) {
    std::error_code ignored;
    if (!only_node.empty() && node.path().filename() != only_node) continue;
    for (const auto& pod : fs::directory_iterator(node.path() / "pods", ignored)) wanted.insert(pod.path().filename());
  }
  if (wanted.empty()) return out;
  const fs::path own = fs::read_symlink("/proc/self/ns/mnt", error);
  for (const auto& process : fs::directory_iterator("/proc", error)) {
    if (!all_digits(process.path().filename())) continue;
    std::error_code ignored;
    if (fs::read_symlink(process.path() / "ns/mnt", ignored) == own || ignored) continue;
    auto info = read_file(process.path() / "mountinfo", 4 << 20);
    if (!info.ok()) continue;
    bool ours = false;
    for (const std::string& uid : wanted)
      if (info->find("/pods/" + uid + "/") != std::string::npos) out.uids.insert(uid), ours = true;
    if (ours) out.processes.push_back(std::atoi(process.path().filename().c_str()));
  }
  return out;
}

}  // namespace

std::vector<std::string> pods_left(const DataDir& data, const std::string& only_node) {
  const Left left = look(data, only_node);
  return {left.uids.begin(), left.uids.end()};
}

bool kill_pods(const DataDir& data, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    const Left left = look(data, "");
    if (left.uids.empty()) return true;
    if (std::chrono::steady_clock::now() > deadline) return false;
    for (int pid : left.processes) kill(pid, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

std::vector<std::string> mounts_under(const std::string& mountinfo, const std::string& root) {
  std::vector<std::string> out;
  std::istringstream lines(mountinfo);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream in(line);
    std::string id, parent, device, inside, point;
    in >> id >> parent >> device >> inside >> point;
    point = unescape(point);
    if (point.starts_with(root + "/")) out.push_back(point);
  }
  std::reverse(out.begin(), out.end());   // later mounts lie on earlier ones
  return out;
}

}  // namespace nodevirt::supervisor
