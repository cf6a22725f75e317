// The command line of a container's sandbox. Pure: what stands here is what a container sees and may do.
#pragma once
#include <map>
#include <string>
#include <vector>

namespace nodevirt::podrunner {

struct Bind {
  std::string source, target;
  bool read_only = false;
};

struct SandboxSpec {
  std::string hostname;
  std::string etc_dir;                     ///< the pod's own /etc, made by write_etc
  std::string program_dir;                 ///< bound at /opt/nodevirt/bin
  std::vector<Bind> binds;                 ///< volumes; targets absolute
  std::vector<Bind> devices;               ///< source is a device node of our own, target under /dev
  std::vector<std::string> host_etc;       ///< entries of the host's /etc that are bound too (ld.so.cache, alternatives)
  std::vector<std::string> root_links;     ///< of bin, sbin, lib, lib32, lib64, libx32: those that are links on the host
  unsigned uid = 107, gid = 107;
  std::vector<unsigned> groups;
  std::string working_dir = "/";
  int status_fd = 3;                       ///< --json-status-fd
  int hold_fd = -1;                        ///< --block-fd: what bwrap reads before the command's first instruction, or none
  int seccomp_fd = -1;                     ///< a compiled filter, or none
  std::vector<std::string> command;
};

/// argv of bwrap, which ends in setpriv (drops every capability and changes the uid), which becomes the command:
/// its process is PID 1 of the pod, and bwrap's own outer process stays as the one that keeps the exit code.
std::vector<std::string> sandbox_argv(const SandboxSpec& spec);

/// "/var/run/x/" -> "/run/x": the place that both spellings lead to in a sandbox.
std::string sandbox_path(std::string path);

}  // namespace nodevirt::podrunner
