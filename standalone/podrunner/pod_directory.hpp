// Where a pod's state lies on the node, and the files that describe it. What is written here need not survive
// a power loss (a pod does not either), so nothing is fsynced; a kill of the runner leaves whole files only.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "pkg/base/json.hpp"
#include "standalone/podrunner/options.hpp"
#include "standalone/podrunner/pod_view.hpp"

namespace nodevirt::podrunner {

struct PodPaths {
  std::filesystem::path root, netns;
  std::string container;

  PodPaths(const Options& options, const std::string& uid, const std::string& container);
  std::filesystem::path pod_file() const { return root / "pod.json"; }
  std::filesystem::path network_file() const { return root / "network.json"; }
  std::filesystem::path etc() const { return root / "etc"; }
  std::filesystem::path devices() const { return root / "devices"; }
  std::filesystem::path volume(const std::string& plugin, const std::string& name) const {
    return root / "volumes" / ("kubernetes.io~" + plugin) / name;
  }
  std::filesystem::path container_dir() const { return root / "containers" / container; }
  std::filesystem::path log() const { return container_dir() / "log"; }
  std::filesystem::path status() const { return container_dir() / "status"; }      ///< bwrap writes it
  std::filesystem::path hold() const { return container_dir() / "hold"; }          ///< a pipe: what the sandbox waits at
  std::filesystem::path start_file() const { return container_dir() / "start.json"; }
  std::filesystem::path exit_file() const { return container_dir() / "exit.json"; }
  std::filesystem::path termination_log() const { return container_dir() / "termination-log"; }
};

/// Replaces a file whole, without fsync.
Result<void> write_state(const std::filesystem::path& path, const Json& value);
/// nullopt when missing or not JSON.
std::optional<Json> read_state(const std::filesystem::path& path);

/// Folders, pod.json, devices and the pod's /etc. Repeatable.
Result<void> make_pod_directory(const Options& options, const PodPaths& paths, const PodView& pod, const Json& object);
/// passwd, group, resolv.conf, ...: all but hosts.
Result<void> write_etc(const Options& options, const PodPaths& paths, const PodView& pod, unsigned uid, unsigned gid);
/// hosts, once the pod's address is known; also while the folder is a sandbox' /etc.
Result<void> write_hosts(const Options& options, const PodPaths& paths, const PodView& pod, const std::string& pod_ip);
/// The text of a pod's resolv.conf. Pure but for dnsPolicy Default, which takes the host's.
std::string resolv_conf(const Options& options, const PodView& pod, const std::string& host_resolv_conf);
/// Device nodes for what the container's limits ask for and the machine has.
struct Device {
  std::string path, name;      ///< the node's file, and its place under /dev
};
Result<std::vector<Device>> make_devices(const PodPaths& paths, const ContainerView& container, unsigned uid, unsigned gid);

}  // namespace nodevirt::podrunner
