#include "standalone/podrunner/sandbox_command.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

namespace nodevirt::podrunner {

std::string sandbox_path(std::string path) {
  path = std::filesystem::path(path).lexically_normal().string();
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (path == "/var/run" || path.starts_with("/var/run/")) path = path.substr(4);
  return path;
}

std::vector<std::string> sandbox_argv(const SandboxSpec& spec) {
  std::vector<std::string> out{"/usr/bin/bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
                               "--as-pid-1", "--hostname", spec.hostname, "--json-status-fd", std::to_string(spec.status_fd)};
  const auto add = [&out](std::initializer_list<std::string> words) { out.insert(out.end(), words); };
  if (spec.hold_fd >= 0) add({"--block-fd", std::to_string(spec.hold_fd)});
  if (spec.seccomp_fd >= 0) add({"--seccomp", std::to_string(spec.seccomp_fd)});

  add({"--ro-bind", "/usr", "/usr"});
  for (const auto& link : spec.root_links) add({"--symlink", "usr/" + link, "/" + link});
  add({"--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm", "--ro-bind", "/sys", "/sys"});
  add({"--perms", "1777", "--tmpfs", "/tmp", "--perms", "0755", "--tmpfs", "/run", "--perms", "0755", "--tmpfs", "/var"});
  add({"--symlink", "../run", "/var/run", "--perms", "1777", "--dir", "/var/tmp", "--perms", "0755", "--dir", "/var/lib"});
  add({"--ro-bind", spec.etc_dir, "/etc"});
  for (const auto& name : spec.host_etc) add({"--ro-bind", "/etc/" + name, "/etc/" + name});

  // Folders that bwrap makes on its own are closed to everybody but root: each one on the way is made here,
  // also inside another volume.
  std::set<std::string> made{"/", "/usr", "/proc", "/dev", "/sys", "/tmp", "/run", "/var", "/var/lib", "/etc"};
  const auto parents = [&](const std::string& target) {
    for (auto slash = target.find('/', 1); slash != std::string::npos; slash = target.find('/', slash + 1)) {
      const auto parent = target.substr(0, slash);
      if (made.insert(parent).second) add({"--perms", "0755", "--dir", parent});
    }
  };
  parents("/opt/nodevirt/bin");
  add({"--ro-bind", spec.program_dir, "/opt/nodevirt/bin"});
  for (const auto& d : spec.devices) {
    const auto target = sandbox_path(d.target);
    parents(target);
    add({"--dev-bind", d.source, target});
  }
  // Outer mount points before the ones inside them.
  auto binds = spec.binds;
  for (auto& b : binds) b.target = sandbox_path(b.target);
  std::stable_sort(binds.begin(), binds.end(), [](const Bind& a, const Bind& b) {
    return std::count(a.target.begin(), a.target.end(), '/') < std::count(b.target.begin(), b.target.end(), '/');
  });
  for (const auto& b : binds) {
    parents(b.target);
    add({b.read_only ? "--ro-bind" : "--bind", b.source, b.target});
    made.insert(b.target);
  }
  add({"--chdir", spec.working_dir.empty() ? "/" : spec.working_dir, "--"});

  std::string groups;
  for (const auto g : spec.groups) groups += (groups.empty() ? "" : ",") + std::to_string(g);
  add({"/usr/bin/setpriv", "--reuid", std::to_string(spec.uid), "--regid", std::to_string(spec.gid)});
  if (groups.empty()) add({"--clear-groups"});
  else add({"--groups", groups});
  add({"--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--"});
  out.insert(out.end(), spec.command.begin(), spec.command.end());
  return out;
}

}  // namespace nodevirt::podrunner
