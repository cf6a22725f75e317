// One libvirt domain.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "pkg/base/result.hpp"

struct _virDomain;

namespace nodevirt::libvirt {

struct StateAndReason {
  int state = 0;   ///< virDomainState
  int reason = 0;  ///< its reason; words: domain_state.hpp
  bool active() const;  ///< has a process: neither shut off nor without state
};

struct InterfaceAddresses {
  std::string name, mac;
  std::vector<std::string> addresses;
};

/// libvirt's typed parameters, numbers as text-free variants: what a statistic is called -> its value.
struct Parameters {
  std::map<std::string, std::uint64_t> numbers;  ///< all integer and boolean parameters
  std::map<std::string, std::string> texts;
  std::uint64_t number(const std::string& key, std::uint64_t fallback = 0) const;
  std::string text(const std::string& key) const;
};

/// Owns a virDomainPtr. Thread-safe. A domain that does not run answers FailedPrecondition where it must.
class Domain {
 public:
  explicit Domain(_virDomain* domain);
  Domain(Domain&&) noexcept;
  Domain& operator=(Domain&&) noexcept;
  ~Domain();

  const std::string& name() const { return name_; }
  std::string uuid() const;
  Result<StateAndReason> state() const;
  /// The live definition when it runs, else the stored one.
  Result<std::string> xml() const;
  /// 0 when it does not run.
  int process_id() const;

  Result<void> start(bool paused = false) const;
  Result<void> suspend() const;
  Result<void> resume() const;
  /// ACPI power button; returns at once.
  Result<void> shutdown() const;
  /// ACPI or guest agent reboot; returns at once.
  Result<void> reboot() const;
  Result<void> reset() const;
  /// Returns when the process is gone.
  Result<void> destroy() const;
  /// With its managed save image, snapshots' metadata and NVRAM.
  Result<void> undefine() const;

  Result<Parameters> stats() const;
  /// As the guest's agent (`from_agent`) or the host's ARP table know them.
  Result<std::vector<InterfaceAddresses>> interface_addresses(bool from_agent) const;
  /// Users, OS, timezone, hostname, filesystems, interfaces as the agent tells them (virDomainGetGuestInfo's keys).
  Result<Parameters> guest_info() const;
  /// A picture of the first screen (PPM from QEMU); ResourceExhausted beyond `max_bytes`.
  Result<std::string> screenshot(std::size_t max_bytes = 64u << 20) const;

  _virDomain* get() const { return domain_; }

 private:
  _virDomain* domain_ = nullptr;
  std::string name_;  // asked for once: asking libvirt again would wipe the error that is being reported
};

}  // namespace nodevirt::libvirt
