#include "virt-launcher/monitor/options.hpp"

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <unistd.h>

namespace nodevirt::monitor {

namespace {

bool to_seconds(const std::string& text, long& out) {
  char* end = nullptr;
  errno = 0;
  out = std::strtol(text.c_str(), &end, 10);
  if (end && *end == 's') ++end;
  return errno == 0 && end && *end == 0 && !text.empty() && out >= 0 && out < 100L * 365 * 86400;
}

std::string own_folder() {
  char path[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", path, sizeof path);
  std::string exe(path, n > 0 ? static_cast<std::size_t>(n) : 0);
  return exe.substr(0, exe.rfind('/') + 1);
}

}  // namespace

bool parse_options(int argc, char** argv, Options& o, std::string& error) {
  for (int i = 1; i < argc; ++i) {
    std::string flag = argv[i], value;
    if (flag == "--") {
      o.launcher_args.assign(argv + i + 1, argv + argc);
      break;
    }
    if (auto eq = flag.find('='); eq != std::string::npos) {
      value = flag.substr(eq + 1);
      flag.resize(eq);
    } else if (i + 1 < argc) {
      value = argv[++i];
    } else {
      error = flag + " needs a value";
      return false;
    }
    bool fine = true;
    if (flag == "--name") o.name = value;
    else if (flag == "--namespace") o.namespace_ = value;
    else if (flag == "--uid") o.uid = value;
    else if (flag == "--root") o.root = value;
    else if (flag == "--launcher") o.launcher = value;
    else if (flag == "--libvirtd") o.libvirtd = value;
    else if (flag == "--grace-period") fine = to_seconds(value, o.grace_period);
    else if (flag == "--qemu-timeout") fine = to_seconds(value, o.qemu_timeout);
    else {
      error = "unknown flag " + flag;
      return false;
    }
    if (!fine) {
      error = flag + ": " + value + " is no number of seconds";
      return false;
    }
  }
  for (auto* required : {&o.name, &o.namespace_, &o.uid})
    if (required->empty()) {
      error = "--name, --namespace and --uid are needed";
      return false;
    }
  if (o.launcher.empty()) o.launcher = own_folder() + "virt-launcher";
  return true;
}

}  // namespace nodevirt::monitor
