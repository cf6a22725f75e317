// What `nodevirt node` tells the pod runner.
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "standalone/images/store.hpp"
#include "standalone/podrunner/cni.hpp"
#include "standalone/podrunner/support.hpp"

namespace nodevirt::podrunner {

struct Options {
  std::string node_name;
  std::string node_ip;                              ///< InternalIP; also a pod's hostIP
  std::filesystem::path data_dir = "/var/lib/nodevirt";
  std::filesystem::path run_dir = "/run/nodevirt";  ///< on a tmpfs: network namespaces are kept here
  std::filesystem::path program_dir = "/usr/local/lib/nodevirt";
  std::string launcher_image;                       ///< the only image that is run
  unsigned launcher_uid = 107, launcher_gid = 107;  ///< for pods that name no user, and of volume files
  gid_t log_gid = 0;                                ///< who may read container logs (the API server's group)

  api::Quantity cpu = api::Quantity::of(1), memory = api::Quantity::of(std::int64_t(1) << 30);
  std::int64_t pods = 110;
  std::map<std::string, std::string> labels;        ///< added to the Node

  CniOptions cni;                                   ///< pod_cidr is needed; data_dir defaults to the node's folder
  std::string cluster_cidr;                         ///< no masquerade towards it; the pod_cidr when empty
  bool masquerade = true;                           ///< pods reach other networks with the node's address
  std::string cluster_dns;                          ///< nameserver of pods with dnsPolicy ClusterFirst; empty: the host's
  std::string cluster_domain = "cluster.local";
  bool cgroups = true;
  bool seccomp = true;
  std::shared_ptr<images::Store> images;            ///< null: one on data_dir/images, fetching from this process' network

  std::filesystem::path node_dir() const { return data_dir / "nodes" / node_name; }
  std::filesystem::path pods_dir() const { return node_dir() / "pods"; }
  std::filesystem::path volumes_dir() const { return data_dir / "volumes"; }
  std::filesystem::path netns_dir() const { return run_dir / "netns" / node_name; }
};

}  // namespace nodevirt::podrunner
