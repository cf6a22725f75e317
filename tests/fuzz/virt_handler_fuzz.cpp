// fuzz: virt_handler_lib
// What virt-handler reads of others: request paths, a pod's resolv.conf, a screenshot, a guest's network, annotations.
// Whatever comes out keeps within its bounds.
#include <cstdint>
#include <cstdlib>

#include "api/fence.hpp"
#include "virt-handler/network/masquerade.hpp"
#include "virt-handler/network/resolv_conf.hpp"
#include "virt-handler/streams/png.hpp"
#include "virt-handler/streams/route.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nodevirt;
  using namespace nodevirt::virt_handler;
  std::string_view text(reinterpret_cast<const char*>(data), size);

  auto route = parse_route("GET", text);
  if (route.ok() && (route->ns.find('/') != std::string::npos || route->name.find('/') != std::string::npos)) std::abort();
  ResolvConf conf = parse_resolv_conf(text);
  if (conf.servers.size() > 3 || conf.search.size() > 32) std::abort();
  for (const std::string& domain : conf.search)
    if (domain.size() > 253) std::abort();
  (void)png_of_ppm(text);
  (void)parse_guest_network(text);
  auto seconds = api::fence_seconds({{std::string(api::kFenceAnnotation), std::string(text)}});
  if (seconds && (*seconds < api::kMinFenceSeconds || *seconds > api::kMaxFenceSeconds)) std::abort();
  for (const auto& [pod, entry] : api::fence_entries({{std::string(api::kFenceEntryPrefix) + std::string(text), std::string(text)}}))
    if (entry < api::kMinFenceSeconds || entry > api::kMaxFenceSeconds) std::abort();
  return 0;
}
