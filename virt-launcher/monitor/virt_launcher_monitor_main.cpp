#include <cstdio>
#include <string>

#include "virt-launcher/monitor/monitor.hpp"

int main(int argc, char** argv) {
  nodevirt::monitor::Options options;
  std::string error;
  if (!nodevirt::monitor::parse_options(argc, argv, options, error)) {
    std::fprintf(stderr,
                 "virt-launcher-monitor: %s\n"
                 "usage: virt-launcher-monitor --name NAME --namespace NAMESPACE --uid UID [--grace-period SECONDS]\n"
                 "       [--qemu-timeout SECONDS] [--root DIR] [--launcher PROGRAM] [--libvirtd PROGRAM] [-- ARGUMENT ...]\n",
                 error.c_str());
    return nodevirt::monitor::kUsage;
  }
  nodevirt::monitor::Monitor monitor(std::move(options));
  return monitor.run();
}
