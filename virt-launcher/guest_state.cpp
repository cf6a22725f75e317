#include "virt-launcher/guest_state.hpp"

#include <chrono>
#include <deque>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pkg/base/file.hpp"

namespace nodevirt::virt_launcher {

namespace {

std::string tail_of(int fd, std::size_t bytes) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return {};
  std::size_t size = static_cast<std::size_t>(st.st_size), n = std::min(size, bytes);
  std::string text(n, 0);
  ssize_t got = ::pread(fd, text.data(), n, static_cast<off_t>(size - n));
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

// The value of NAME='...' after the first `from` in `xml`.
std::string attribute(const std::string& xml, std::string_view from, std::string_view name) {
  auto at = xml.find(from);
  if (at == std::string::npos) return {};
  auto end_of_tag = xml.find('>', at);
  std::string key = std::string(name) + "='";
  auto begin = xml.find(key, at);
  if (begin == std::string::npos || begin > end_of_tag) return {};
  begin += key.size();
  return xml.substr(begin, xml.find('\'', begin) - begin);
}

}  // namespace

std::string last_log_lines(const std::filesystem::path& log) {
  Fd fd(::open(log.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return {};
  std::istringstream in(tail_of(fd.get(), 8192));
  std::deque<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    bool noise = line.empty() || line.find("char device redirected") != std::string::npos || line.find("shutting down, reason=") != std::string::npos ||
                 line.ends_with("\\") || line.starts_with("-") || line.find(" starting up ") != std::string::npos ||
                 line.find("is tainted:") != std::string::npos || line.find("doesn't support requested feature") != std::string::npos;
    if (noise) continue;
    lines.push_back(line.substr(0, 300));
    if (lines.size() > 3) lines.pop_front();
  }
  std::string out;
  for (auto& l : lines) out += (out.empty() ? "" : "; ") + l;
  return out;
}

std::vector<v1::GuestInterface> agent_interfaces(const std::vector<libvirt::InterfaceAddresses>& list) {
  std::vector<v1::GuestInterface> out;
  for (auto& i : list) {
    if (i.name == "lo" || out.size() >= 64) continue;
    v1::GuestInterface g;
    g.set_name(i.name);
    g.set_mac(i.mac);
    for (auto& a : i.addresses) g.add_ips(a);
    g.set_source("guest-agent");
    out.push_back(std::move(g));
  }
  return out;
}

void read_domain_xml(const std::string& xml, v1::DomainState& out) {
  out.set_domain_type(attribute(xml, "<domain ", "type"));
  out.set_machine(attribute(xml, "<type ", "machine"));
  out.set_guest_agent(attribute(xml, "name='org.qemu.guest_agent.0'", "state") == "connected");
}

v1::DomainStats to_stats(const libvirt::Parameters& p) {
  v1::DomainStats s;
  auto now = std::chrono::system_clock::now().time_since_epoch();
  s.set_taken_at_unix_ms(static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()));
  s.set_cpu_time_ns(p.number("cpu.time"));
  s.set_memory_actual_bytes(p.number("balloon.current") * 1024);
  s.set_memory_rss_bytes(p.number("balloon.rss") * 1024);
  s.set_memory_available_bytes(p.number("balloon.available") * 1024);
  s.set_memory_unused_bytes(p.number("balloon.unused") * 1024);
  for (std::uint64_t i = 0, n = std::min<std::uint64_t>(p.number("vcpu.current"), 4096); i < n; ++i) {
    std::string k = fmt::format("vcpu.{}.", i);
    v1::VcpuStats* v = s.add_vcpus();
    v->set_id(static_cast<std::uint32_t>(i));
    v->set_time_ns(p.number(k + "time"));
    v->set_wait_ns(p.number(k + "wait"));
  }
  for (std::uint64_t i = 0, n = std::min<std::uint64_t>(p.number("block.count"), 1024); i < n; ++i) {
    std::string k = fmt::format("block.{}.", i);
    if (p.texts.count(k + "backingIndex") || p.number(k + "backingIndex") > 1) continue;  // the images below an overlay
    v1::BlockStats* b = s.add_blocks();
    b->set_name(p.text(k + "name"));
    b->set_read_bytes(p.number(k + "rd.bytes"));
    b->set_write_bytes(p.number(k + "wr.bytes"));
    b->set_read_requests(p.number(k + "rd.reqs"));
    b->set_write_requests(p.number(k + "wr.reqs"));
    b->set_read_time_ns(p.number(k + "rd.times"));
    b->set_write_time_ns(p.number(k + "wr.times"));
    b->set_flush_requests(p.number(k + "fl.reqs"));
    b->set_capacity_bytes(p.number(k + "capacity"));
    b->set_allocation_bytes(p.number(k + "allocation"));
  }
  for (std::uint64_t i = 0, n = std::min<std::uint64_t>(p.number("net.count"), 1024); i < n; ++i) {
    std::string k = fmt::format("net.{}.", i);
    v1::NetStats* e = s.add_nets();
    e->set_name(p.text(k + "name"));
    e->set_rx_bytes(p.number(k + "rx.bytes"));
    e->set_rx_packets(p.number(k + "rx.pkts"));
    e->set_rx_errors(p.number(k + "rx.errs"));
    e->set_rx_drops(p.number(k + "rx.drop"));
    e->set_tx_bytes(p.number(k + "tx.bytes"));
    e->set_tx_packets(p.number(k + "tx.pkts"));
    e->set_tx_errors(p.number(k + "tx.errs"));
    e->set_tx_drops(p.number(k + "tx.drop"));
  }
  return s;
}

v1::GuestInfo to_guest_info(const libvirt::Parameters& p) {
  v1::GuestInfo g;
  g.set_hostname(p.text("hostname"));
  if (p.texts.count("timezone.name"))
    g.set_timezone(fmt::format("{}, {}", p.text("timezone.name"), static_cast<std::int64_t>(p.number("timezone.offset"))));
  g.set_os_id(p.text("os.id"));
  g.set_os_name(p.text("os.name"));
  g.set_os_pretty_name(p.text("os.pretty-name"));
  g.set_os_version(p.text("os.version"));
  g.set_os_version_id(p.text("os.version-id"));
  g.set_os_kernel_release(p.text("os.kernel-release"));
  g.set_os_kernel_version(p.text("os.kernel-version"));
  g.set_os_machine(p.text("os.machine"));
  auto count = [&](const char* key) { return std::min<std::uint64_t>(p.number(key), 256); };
  for (std::uint64_t i = 0; i < count("user.count"); ++i) {
    std::string k = fmt::format("user.{}.", i);
    v1::GuestUser* u = g.add_users();
    u->set_name(p.text(k + "name"));
    u->set_domain(p.text(k + "domain"));
    u->set_login_time(static_cast<double>(p.number(k + "login-time")) / 1000.0);
  }
  for (std::uint64_t i = 0; i < count("fs.count"); ++i) {
    std::string k = fmt::format("fs.{}.", i);
    v1::GuestFilesystem* f = g.add_filesystems();
    f->set_disk_name(p.text(k + "name"));
    f->set_mount_point(p.text(k + "mountpoint"));
    f->set_type(p.text(k + "fstype"));
    f->set_used_bytes(p.number(k + "used-bytes"));
    f->set_total_bytes(p.number(k + "total-bytes"));
  }
  for (std::uint64_t i = 0; i < count("if.count"); ++i) {
    std::string k = fmt::format("if.{}.", i);
    if (p.text(k + "name") == "lo") continue;
    v1::GuestInterface* e = g.add_interfaces();
    e->set_name(p.text(k + "name"));
    e->set_mac(p.text(k + "hwaddr"));
    for (std::uint64_t a = 0, n = std::min<std::uint64_t>(p.number(k + "addr.count"), 64); a < n; ++a)
      e->add_ips(p.text(fmt::format("{}addr.{}.addr", k, a)));
    e->set_source("guest-agent");
  }
  return g;
}

void bound_log(const std::filesystem::path& log, std::size_t limit, std::size_t keep) {
  // QEMU writes with O_APPEND: after the cut it goes on at the new end.
  Fd fd(::open(log.c_str(), O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) != 0 || static_cast<std::size_t>(st.st_size) <= limit) return;
  std::string text = tail_of(fd.get(), keep);
  if (auto line = text.find('\n'); line != std::string::npos) text.erase(0, line + 1);
  if (::ftruncate(fd.get(), 0) == 0) [[maybe_unused]] ssize_t n = ::write(fd.get(), text.data(), text.size());
}

}  // namespace nodevirt::virt_launcher
