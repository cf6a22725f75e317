// What a Guest answers about itself.
#include "pkg/libvirt/domain_state.hpp"
#include "virt-launcher/guest.hpp"
#include "virt-launcher/guest_state.hpp"
#include "virt-launcher/migration/record.hpp"

namespace nodevirt::virt_launcher {

using namespace std::chrono_literals;

v1::DomainState Guest::state(bool with_xml) {
  v1::DomainState out;
  std::error_code ec;
  out.set_shutdown_requested(std::filesystem::exists(deps_.paths.shutdown_mark(), ec));
  out.set_state("NoState");
  out.set_reason("Unknown");
  // Where nothing was begun there is no domain; libvirtd, which may still be starting, need not be asked.
  if (!std::filesystem::exists(deps_.paths.sync_request(), ec) && !migration::record_exists(deps_.paths.migration))
    return out;
  auto d = domain(2s);
  if (!d.ok()) return out;
  auto s = d->state();
  if (!s.ok()) return out;
  out.set_present(true);
  out.set_state(std::string(libvirt::state_word(s->state)));
  out.set_reason(std::string(libvirt::reason_word(s->state, s->reason)));
  if (!s->active()) {
    std::lock_guard lock(mutex_);
    if (!end_reason_.empty()) out.set_reason(end_reason_);
    else if (panicked_ && out.reason() == "Crashed") out.set_reason("Panicked");  // gone before we were told to the end
  }
  out.set_uuid(d->uuid());
  if (auto xml = d->xml(); xml.ok()) {
    read_domain_xml(*xml, out);
    if (with_xml) out.set_domain_xml(*xml);
  }
  if (s->active()) {
    auto pid = read_file(deps_.paths.qemu_pid_file(domain_name_), 64);
    out.set_qemu_pid(pid.ok() ? std::atoi(pid->c_str()) : 0);
    add_interfaces(out);
  }
  return out;
}

void Guest::add_interfaces(v1::DomainState& out) {
  std::lock_guard lock(mutex_);
  for (auto& i : node_.interfaces()) {
    v1::GuestInterface* g = out.add_interfaces();
    g->set_name(i.name());
    g->set_mac(i.mac());
    if (!i.guest_ip().empty() && (adopted_ || (dhcp_ && dhcp_->acknowledged(i.name())))) {
      g->add_ips(i.guest_ip());
      g->set_source("dhcp");
    }
    if (!out.guest_agent()) continue;
    for (auto& a : agent_interfaces_)
      if (a.mac() == i.mac()) {
        *g->mutable_ips() = a.ips();
        g->set_source("guest-agent");
      }
  }
}

Result<v1::DomainStats> Guest::stats() {
  NV_TRY(libvirt::Domain d, domain());
  NV_TRY(libvirt::Parameters p, d.stats());
  return to_stats(p);
}

Result<std::string> Guest::screenshot() {
  NV_TRY(libvirt::Domain d, domain());
  return d.screenshot();
}

Result<v1::GuestInfo> Guest::guest_info() {
  NV_TRY(libvirt::Domain d, domain());
  NV_TRY(std::string xml, d.xml());
  v1::DomainState s;
  read_domain_xml(xml, s);
  if (!s.guest_agent())
    return Error(Code::FailedPrecondition, "AgentNotConnected", "no guest agent is connected");
  NV_TRY(libvirt::Parameters p, d.guest_info());
  return to_guest_info(p);
}

std::pair<std::string, std::string> Guest::versions() {
  std::lock_guard lock(mutex_);
  return versions_;
}

// Of QEMU itself: libvirtd would have to find out what the QEMUs of all architectures can do, and starts them for it.
void Guest::learn_versions() {
  auto connection = session_.connection(0ms);
  std::string libvirt = connection.ok() ? (*connection)->libvirt_version().value_or("") : "";
  auto qemu = migration_.monitor.execute("query-version");
  if (!qemu.ok() && migration_.target.fetches()) deps_.queue.post([this] { learn_versions(); }, 5s);
  std::lock_guard lock(mutex_);
  if (!libvirt.empty()) versions_.first = libvirt;
  if (qemu.ok())
    versions_.second = fmt::format("{}.{}.{}", int_at(*qemu, {"qemu", "major"}), int_at(*qemu, {"qemu", "minor"}), int_at(*qemu, {"qemu", "micro"}));
}

void Guest::bound_console_log() {
  {
    std::lock_guard lock(mutex_);
    if (exit_code_) return;
  }
  bound_log(deps_.paths.console_log(), 1u << 20, 256u << 10);
  deps_.queue.post([this] { bound_console_log(); }, 60s);
}

}  // namespace nodevirt::virt_launcher
