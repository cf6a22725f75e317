#include "virt-api/metrics.hpp"

#include <unistd.h>

#include <fstream>

#include <fmt/format.h>

namespace nodevirt::virt_api {

namespace {

std::uint64_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  std::uint64_t total = 0, resident = 0;
  in >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

std::string Metrics::text(bool ready) const {
  std::string out;
  out += "# TYPE kubevirt_virt_api_up gauge\nkubevirt_virt_api_up 1\n";
  out += fmt::format("# TYPE kubevirt_virt_api_ready gauge\nkubevirt_virt_api_ready {}\n", ready ? 1 : 0);
  out += fmt::format("# TYPE kubevirt_console_active_connections gauge\nkubevirt_console_active_connections {}\n", console);
  out += fmt::format("# TYPE kubevirt_vnc_active_connections gauge\nkubevirt_vnc_active_connections {}\n", vnc);
  out += fmt::format("# TYPE kubevirt_portforward_active_tunnels gauge\nkubevirt_portforward_active_tunnels {}\n", port_forward);
  out += "# TYPE nodevirt_virt_api_requests_total counter\n";
  for (const auto& [key, count] : requests)
    out += fmt::format("nodevirt_virt_api_requests_total{{kind=\"{}\",refused=\"{}\"}} {}\n", key.first, key.second ? "true" : "false", count);
  out += fmt::format("# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes {}\n", resident_bytes());
  return out;
}

}  // namespace nodevirt::virt_api
