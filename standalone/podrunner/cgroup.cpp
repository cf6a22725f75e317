#include "standalone/podrunner/cgroup.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "pkg/base/file.hpp"
#include "pkg/base/log.hpp"

namespace nodevirt::podrunner {
namespace fs = std::filesystem;
namespace {

bool put(const fs::path& file, const std::string& value) {
  Fd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (fd && ::write(fd.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size())) return true;
  log::debug("cannot write {} to {}: {}", value, file.string(), std::strerror(errno));
  return false;
}

fs::path pod_group(const std::string& root, const std::string& node, const std::string& uid) {
  return fs::path(root) / "nodevirt" / node / ("pod" + uid);
}

constexpr std::int64_t kSharesOfACore = 1024;

/// The unified hierarchy's weight for version 1's shares, as kubelet converts them.
std::string weight(std::int64_t shares) { return std::to_string(std::clamp<std::int64_t>(1 + shares * 9999 / 262142, 1, 10000)); }

bool make(const fs::path& path) {
  std::error_code ec;
  fs::create_directories(path, ec);
  if (ec) log::debug("cannot make the cgroup {}: {}", path.string(), ec.message());
  return !ec;
}

/// All pods together weigh as much as one busy process of the host's for each processor, as kubelet's do: with the kernel's
/// default, one in all, whatever else runs on the machine would starve every guest.
void weigh_pods(const fs::path& group, const char* file, unsigned of_one) {
  const auto weight = std::to_string(std::min(10000u, of_one * std::max(1u, std::thread::hardware_concurrency())));
  for (const auto& above : {group.parent_path(), group.parent_path().parent_path()}) put(above / file, weight);
}

}  // namespace

CgroupLayout CgroupLayout::from_mountinfo(std::string_view text) {
  CgroupLayout out;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    const auto dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream head(line.substr(0, dash)), tail(line.substr(dash + 3));
    std::string field, point, type, device, options;
    for (int i = 0; i < 5; ++i) head >> field;
    point = field;
    tail >> type >> device >> options;
    if (type == "cgroup2") {
      auto controllers = read_file(point + "/cgroup.controllers", 4096);
      if (controllers.ok() && controllers->find("memory") != std::string::npos && controllers->find("cpu") != std::string::npos) out.v2 = point;
    } else if (type == "cgroup") {
      std::istringstream words(options);
      for (std::string word; std::getline(words, word, ',');) {
        if (word == "memory") out.memory = point;
        if (word == "cpu") out.cpu = point;
        if (word == "pids") out.pids = point;
      }
    }
  }
  return out;
}

CgroupLayout CgroupLayout::detect() {
  auto text = read_file("/proc/self/mountinfo", 64u << 20);
  return text.ok() ? from_mountinfo(*text) : CgroupLayout{};
}

std::vector<std::string> make_cgroups(const CgroupLayout& layout, const std::string& node, const PodView& pod) {
  std::vector<std::string> out;
  std::int64_t memory = 0, cpu_limit = 0, cpu_request = 0;
  for (const auto& c : pod.containers) {
    if (auto it = c.limits.find("memory"); it != c.limits.end()) memory += it->second.value();
    if (auto it = c.limits.find("cpu"); it != c.limits.end()) cpu_limit += it->second.milli_value();
  }
  auto requests = pod_requests(pod);
  cpu_request = requests["cpu"].milli_value();

  if (!layout.v2.empty()) {
    const auto group = pod_group(layout.v2, node, pod.uid);
    if (make(group)) {
      for (auto p = fs::path(layout.v2); p != group; p /= *std::next(group.begin(), std::distance(p.begin(), p.end())))
        put(p / "cgroup.subtree_control", "+cpu +memory +pids");
      weigh_pods(group, "cpu.weight", 100);
      if (memory > 0) put(group / "memory.max", std::to_string(memory));
      if (cpu_limit > 0) put(group / "cpu.max", std::to_string(std::max<std::int64_t>(1000, cpu_limit * 100)) + " 100000");
      if (cpu_request > 0) put(group / "cpu.weight", weight(cpu_request * kSharesOfACore / 1000));
      out.push_back((group / "cgroup.procs").string());
    }
    return out;
  }
  if (!layout.memory.empty() && memory > 0)
    if (const auto group = pod_group(layout.memory, node, pod.uid); make(group) && put(group / "memory.limit_in_bytes", std::to_string(memory)))
      out.push_back((group / "tasks").string());
  if (!layout.cpu.empty() && (cpu_limit > 0 || cpu_request > 0))
    if (const auto group = pod_group(layout.cpu, node, pod.uid); make(group)) {
      weigh_pods(group, "cpu.shares", 1024);
      put(group / "cpu.shares", std::to_string(std::max<std::int64_t>(2, cpu_request * kSharesOfACore / 1000)));
      if (cpu_limit > 0) put(group / "cpu.cfs_quota_us", std::to_string(std::max<std::int64_t>(1000, cpu_limit * 100)));
      out.push_back((group / "tasks").string());
    }
  return out;
}

void remove_cgroups(const CgroupLayout& layout, const std::string& node, const std::string& uid) {
  for (const auto& root : {layout.v2, layout.memory, layout.cpu})
    if (!root.empty()) ::rmdir(pod_group(root, node, uid).c_str());
}

}  // namespace nodevirt::podrunner
