// Reading what a domain is, from its XML, its log and its agent.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "api/proto/launcher.pb.h"
#include "pkg/libvirt/domain.hpp"

namespace nodevirt::virt_launcher {

namespace v1 = nodevirt::launcher::v1;

/// The last lines that QEMU wrote to its log, without libvirt's own; empty when there are none.
std::string last_log_lines(const std::filesystem::path& log);
std::vector<v1::GuestInterface> agent_interfaces(const std::vector<libvirt::InterfaceAddresses>& list);
/// machine, domain_type and guest_agent out of libvirt's live XML (trusted: libvirt wrote it).
void read_domain_xml(const std::string& xml, v1::DomainState& out);
v1::DomainStats to_stats(const libvirt::Parameters& stats);
v1::GuestInfo to_guest_info(const libvirt::Parameters& info);
/// Keeps the last `keep` bytes of a file that is longer than `limit` and that QEMU appends to.
void bound_log(const std::filesystem::path& log, std::size_t limit, std::size_t keep);

}  // namespace nodevirt::virt_launcher
