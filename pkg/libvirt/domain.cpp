#include "pkg/libvirt/domain.hpp"

#include <cstdlib>

#include <libvirt/libvirt.h>

#include "pkg/libvirt/error.hpp"

namespace nodevirt::libvirt {

bool StateAndReason::active() const {
  return state != VIR_DOMAIN_SHUTOFF && state != VIR_DOMAIN_NOSTATE;
}

Domain::Domain(virDomainPtr domain) : domain_(domain) {
  const char* n = virDomainGetName(domain);
  name_ = n ? n : "";
}

Domain::Domain(Domain&& o) noexcept : domain_(std::exchange(o.domain_, nullptr)), name_(std::move(o.name_)) {}

Domain& Domain::operator=(Domain&& o) noexcept {
  std::swap(domain_, o.domain_);
  std::swap(name_, o.name_);
  return *this;
}

Domain::~Domain() {
  if (domain_) virDomainFree(domain_);
}

std::string Domain::uuid() const {
  char buffer[VIR_UUID_STRING_BUFLEN] = "";
  return virDomainGetUUIDString(domain_, buffer) == 0 ? buffer : "";
}

namespace {
Result<void> check(int rc, const Domain& d, std::string_view doing) {
  if (rc < 0) return last_error(fmt::format("{} domain {}", doing, d.name()));
  return {};
}
}  // namespace

Result<StateAndReason> Domain::state() const {
  StateAndReason s;
  if (virDomainGetState(domain_, &s.state, &s.reason, 0) < 0) return last_error("read the state of domain " + name());
  return s;
}

Result<std::string> Domain::xml() const {
  char* text = virDomainGetXMLDesc(domain_, 0);
  if (!text) return last_error("read the definition of domain " + name());
  std::string out(text);
  std::free(text);
  return out;
}

Result<void> Domain::start(bool paused) const {
  return check(virDomainCreateWithFlags(domain_, paused ? VIR_DOMAIN_START_PAUSED : 0), *this, "start");
}
Result<void> Domain::suspend() const { return check(virDomainSuspend(domain_), *this, "pause"); }
Result<void> Domain::resume() const { return check(virDomainResume(domain_), *this, "resume"); }
Result<void> Domain::shutdown() const {
  return check(virDomainShutdownFlags(domain_, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN), *this, "shut down");
}
Result<void> Domain::reboot() const { return check(virDomainReboot(domain_, VIR_DOMAIN_REBOOT_DEFAULT), *this, "reboot"); }
Result<void> Domain::reset() const { return check(virDomainReset(domain_, 0), *this, "reset"); }
Result<void> Domain::destroy() const { return check(virDomainDestroy(domain_), *this, "destroy"); }
Result<void> Domain::undefine() const {
  unsigned flags = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                   VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM;
  if (virDomainUndefineFlags(domain_, flags) == 0) return {};
  return check(virDomainUndefine(domain_), *this, "undefine");  // not every driver knows the flags
}

}  // namespace nodevirt::libvirt
