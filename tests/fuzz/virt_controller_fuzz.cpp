// fuzz: virt_controller_lib
// Machines, instances, pods and nodes as an API server might hand them to virt-controller: two JSON texts,
// parted by a newline, taken as machine and instance.
#include <cstdint>

#include "virt-controller/status_patch.hpp"
#include "virt-controller/vm/instance.hpp"
#include "virt-controller/vm/status.hpp"
#include "virt-controller/vmi/pod.hpp"
#include "virt-controller/vmi/status.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nodevirt;
  using namespace nodevirt::virt_controller;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto cut = std::min(text.find('\n'), text.size());
  auto machine = parse_json(text.substr(0, cut));
  auto instance = parse_json(text.substr(std::min(cut + 1, text.size())));
  if (!machine.ok() || !instance.ok()) return 0;
  (void)KubevirtObject::decode(*machine);
  (void)NodeObject::decode(*instance);
  (void)ClaimObject::decode(*instance);
  auto pod = PodObject::decode(*instance);

  vm::Machine m = vm::Machine::of(*machine);
  vm::Instance i = vm::Instance::of(*instance);
  vm::PlanInput plan_in{m, &i, false, false, Clock::WallTime{}};
  (void)vm::plan(plan_in);
  (void)vm::build_instance(*machine, true, {});
  (void)vm::build_revision(*machine);
  if (machine->is_object() && instance->is_object()) {
    vm::StatusInput in{.object = *machine, .machine = m, .instance_object = &*instance, .instance = &i};
    Json status = vm::compute_status(in);
    (void)status_patch(*machine, status);
  }
  auto view = api::decode_instance(*instance);
  if (view.ok()) (void)vmi::render_pod(*instance, *view, {"image", 107, "/cache", {}});
  if (pod.ok()) (void)vmi::gate_patch(*instance, *pod, {});
  return 0;
}
