// Type, name, UUID.
#include "pkg/domain/configurator.hpp"

namespace nodevirt::domain {

Result<void> configure_identity(Context& c) {
  c.domain.attr("type", c.options.kvm ? "kvm" : "qemu");
  c.domain.child("name").text(domain_name(c.instance.metadata));
  const auto& firmware = c.spec().firmware;
  const std::string& uuid = firmware && !firmware->uuid.empty() ? firmware->uuid : c.instance.metadata.uid;
  if (!uuid.empty()) c.domain.child("uuid").text(uuid);
  return {};
}

Result<void> configure_lifecycle(Context& c) {
  c.domain.child("on_poweroff").text("destroy");
  c.domain.child("on_reboot").text(c.spec().reboot_policy == "Terminate" ? "destroy" : "restart");
  c.domain.child("on_crash").text("destroy");
  return {};
}

}  // namespace nodevirt::domain
