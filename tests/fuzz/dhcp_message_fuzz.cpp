// fuzz: virt_launcher_lib
// A guest's DHCP messages: parsed, answered, and the answer's layout walked.
#include <cstdint>
#include <span>

#include "virt-launcher/dhcp/message.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nodevirt::virt_launcher::dhcp;
  auto request = parse_request(std::span<const std::uint8_t>(data, size));
  if (!request.ok()) return 0;
  Lease lease;
  lease.mac = request->mac;
  lease.ip = 0x0a000202;
  lease.gateway = 0x0a000201;
  lease.dns = {0x01010101};
  lease.search = {"default.svc.cluster.local"};
  lease.routes = {{0x0a600000, 12, 0x0a000201}};
  lease.mtu = 1500;
  auto reply = build_reply(*request, lease);
  if (reply && reply->size() < 300) __builtin_trap();
  return 0;
}
