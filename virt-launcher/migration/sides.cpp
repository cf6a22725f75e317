#include "virt-launcher/migration/sides.hpp"

#include <cstdlib>
#include <unistd.h>

#include "pkg/domain/domain.hpp"
#include "virt-launcher/migration/release.hpp"

namespace nodevirt::virt_launcher::migration {

namespace {

bool alive(pid_t pid) { return pid > 1 && ::access(fmt::format("/proc/{}/stat", pid).c_str(), F_OK) == 0; }

// The process whose command line has this monitor: libvirt's pid file may be lost, and "no process" must be true.
pid_t find_qemu(const std::string& monitor) {
  std::error_code ec, gone;
  bool all = true;
  for (std::filesystem::directory_iterator at("/proc", ec), end; !ec && at != end; at.increment(ec)) {
    pid_t pid = static_cast<pid_t>(std::atoi(at->path().filename().c_str()));
    if (pid <= 1) continue;
    auto line = read_file(at->path() / "cmdline", 1u << 20);
    if (!line.ok()) all = all && !std::filesystem::exists(at->path(), gone);
    else if (line->find("id=nodevirt-monitor,") != std::string::npos && line->find(monitor) != std::string::npos) return pid;
  }
  return all && !ec ? 0 : kUnknownProcess;
}

}  // namespace

Sides::Sides(Parts parts, TargetHooks hooks)
    : monitor(domain::monitor_path(parts.paths.instance.string()), std::move(parts.keep_line)),
      context{parts.paths, parts.domain_name, std::move(parts.domain),
              [file = parts.paths.qemu_pid_file(parts.domain_name), socket = domain::monitor_path(parts.paths.instance.string())] {
                auto text = read_file(file, 64);
                auto pid = static_cast<pid_t>(text.ok() ? std::atoi(text->c_str()) : 0);
                return alive(pid) ? pid : find_qemu(socket);
              },
              std::move(parts.post), events, monitor},
      target(context, std::move(hooks)), source(context) {
  monitor.adopt_line(std::move(parts.line));
}

}  // namespace nodevirt::virt_launcher::migration
