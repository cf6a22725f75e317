// fuzz: standalone_podrunner standalone_volumes
// Pods and claims as the pod runner and the volume controller read them, and what bwrap writes.
#include "pkg/base/check.hpp"
#include "standalone/podrunner/environment.hpp"
#include "standalone/podrunner/pod_status.hpp"
#include "standalone/podrunner/sandbox.hpp"
#include "standalone/podrunner/support.hpp"
#include "standalone/volumes/plan.hpp"

using namespace nodevirt;
using namespace nodevirt::podrunner;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)parse_sandbox_status(text);
  auto json = parse_json(text);
  if (!json.ok() || !json->is_object()) return 0;
  if (auto pod = PodView::decode(*json); pod.ok()) {
    NV_CHECK(pod->uid.find('/') == std::string::npos);
    PodFacts facts;
    const Json status = compute_status(*pod, facts, "2026-01-01T00:00:00Z");
    (void)status_differs(*json, status);
    (void)referenced_objects(*pod);
    (void)does_not_fit(*pod, {&*pod}, {});
    if (!unsupported(*pod, "launcher") && !pod->containers.empty()) (void)environment(*pod, pod->containers[0], {}, {"n", "1.2.3.4", "5.6.7.8"});
  }
  const auto classes = volumes::storage_classes();
  (void)volumes::plan_claim({*json, &classes[1], {&*json}, {&*json}, "/v", "local"});
  (void)volumes::plan_volume(*json, &*json);
  return 0;
}
