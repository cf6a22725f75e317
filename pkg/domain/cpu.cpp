// Processors: topology and model.
#include "pkg/domain/configurator.hpp"

namespace nodevirt::domain {

namespace {

void add_feature(Element& cpu, const std::string& policy, const std::string& name) {
  cpu.child("feature").attr("policy", policy.empty() ? "require" : policy).attr("name", name);
}

bool asked_for(const std::optional<api::Cpu>& cpu, std::string_view feature) {
  if (cpu)
    for (auto& f : cpu->features)
      if (f.name == feature) return true;
  return false;
}

}  // namespace

Result<void> configure_cpu(Context& c) {
  const auto& want = c.spec().cpu;
  api::Topology t = api::cpu_topology(c.spec());
  c.domain.child("vcpu").attr("placement", "static").text(std::to_string(t.vcpus()));

  std::string model = want ? want->model : "";
  bool of_host = model.empty() || model == "host-model" || model == "host-passthrough";
  Element& cpu = c.domain.child("cpu");
  if (of_host && c.options.kvm) {
    cpu.attr("mode", model == "host-passthrough" ? "host-passthrough" : "host-model");
  } else if (of_host && c.options.host_cpu_model.empty()) {
    // Emulation has no host to copy. QEMU's maximum runs every guest that asks for x86-64-v2 or -v3; five-level
    // paging and nested virtualisation only cost time there.
    cpu.attr("mode", "maximum").attr("check", "none");
    for (const char* name : {"la57", "svm"})
      if (!asked_for(want, name)) add_feature(cpu, "disable", name);
  } else {
    cpu.attr("mode", "custom").attr("match", "exact").attr("check", c.options.kvm ? "partial" : "none");
    cpu.child("model").attr("fallback", "forbid").text(of_host ? c.options.host_cpu_model : model);
  }
  cpu.child("topology")
      .attr("sockets", std::to_string(t.sockets))
      .attr("dies", "1")
      .attr("cores", std::to_string(t.cores))
      .attr("threads", std::to_string(t.threads));
  if (want)
    for (auto& f : want->features) add_feature(cpu, f.policy, f.name);
  return {};
}

}  // namespace nodevirt::domain
