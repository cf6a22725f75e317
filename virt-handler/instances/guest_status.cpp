#include "virt-handler/instances/guest_status.hpp"

#include <fmt/format.h>

namespace nodevirt::virt_handler {
namespace {

Json interface_status(const launcher::v1::InterfaceOptions& interface, const StatusInput& in) {
  const Observation& seen = in.seen;
  Json out{{"name", interface.name()}, {"mac", interface.mac()}, {"infoSource", "domain"}, {"queueCount", 1},
           {"podInterfaceName", "eth0"}, {"linkState", "up"}};
  // Behind the address translation the guest is reached at its pod's address.
  Json addresses = Json::array();
  if (!seen.pod_ip.empty()) addresses.push_back(seen.pod_ip);
  if (!seen.pod_ip6.empty() && seen.pod_ip6 != seen.pod_ip) addresses.push_back(seen.pod_ip6);
  if (!addresses.empty()) {
    out["ipAddress"] = addresses.front();
    out["ipAddresses"] = addresses;
  }
  for (const auto& told : seen.domain->interfaces())
    if (told.mac() == interface.mac() && told.source() == "guest-agent") {
      out["interfaceName"] = told.name();
      out["infoSource"] = "domain, guest-agent";
    }
  return out;
}

/// Keeps the members of existing entries that others wrote (claim facts, hot-plug states).
void fill_volume_status(Json& status, const api::Instance& vmi) {
  Json& list = status["volumeStatus"];
  if (!list.is_array()) list = Json::array();
  std::vector<std::string> targets = disk_targets(vmi);
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const std::string& name = vmi.spec.domain.devices.disks[i].name;
    Json* entry = nullptr;
    for (Json& item : list)
      if (string_at(item, {"name"}) == name) entry = &item;
    if (!entry) {
      list.push_back(Json{{"name", name}});
      entry = &list.back();
    }
    (*entry)["target"] = targets[i];
  }
  std::stable_sort(list.begin(), list.end(),
                   [](const Json& a, const Json& b) { return string_at(a, {"name"}) < string_at(b, {"name"}); });
}

void fill_guest_os(Json& status, const launcher::v1::GuestInfo* guest) {
  Json& out = status["guestOSInfo"];
  if (!out.is_object()) out = Json::object();
  if (!guest) return;
  for (auto [key, value] : {std::pair{"name", &guest->os_name()}, {"kernelRelease", &guest->os_kernel_release()},
                            {"version", &guest->os_version()}, {"prettyName", &guest->os_pretty_name()},
                            {"versionId", &guest->os_version_id()}, {"kernelVersion", &guest->os_kernel_version()},
                            {"machine", &guest->os_machine()}, {"id", &guest->os_id()}})
    if (!value->empty()) out[key] = *value;
}

}  // namespace

std::vector<std::string> disk_targets(const api::Instance& vmi) {
  std::map<std::string, int> next;
  std::vector<std::string> out;
  for (const api::Disk& disk : vmi.spec.domain.devices.disks) {
    std::string bus = disk.bus;
    if (bus.empty()) bus = disk.kind == api::DiskKind::cdrom ? "sata" : "virtio";
    std::string prefix = bus == "virtio" ? "vd" : "sd";
    int index = next[prefix]++;
    std::string letters;
    for (int n = index; n >= 0; n = n / 26 - 1) letters.insert(letters.begin(), static_cast<char>('a' + n % 26));
    out.push_back(prefix + letters);
  }
  return out;
}

void fill_guest_status(Json& status, const StatusInput& in) {
  const api::Instance& vmi = *in.seen.vmi;
  Json interfaces = Json::array();
  for (const auto& interface : in.interfaces) interfaces.push_back(interface_status(interface, in));
  if (!interfaces.empty()) status["interfaces"] = std::move(interfaces);
  fill_volume_status(status, vmi);
  if (status["volumeStatus"].empty()) status.erase("volumeStatus");

  if (!in.seen.domain->machine().empty()) status["machine"] = Json{{"type", in.seen.domain->machine()}};
  if (std::int64_t bytes = api::guest_memory_bytes(vmi.spec.domain); bytes > 0) {
    // As it was written where that is known, so that people find their own number again.
    std::string text = string_at(in.object, {"spec", "domain", "memory", "guest"});
    if (text.empty()) text = string_at(in.object, {"spec", "domain", "resources", "requests", "memory"});
    if (text.empty()) text = std::to_string(bytes);
    status["memory"] = Json{{"guestAtBoot", text}, {"guestCurrent", text}, {"guestRequested", text}};
  }
  api::Topology topology = api::cpu_topology(vmi.spec.domain);
  status["currentCPUTopology"] = Json{{"sockets", topology.sockets}, {"cores", topology.cores}, {"threads", topology.threads}};
  fill_guest_os(status, in.guest);
  status["migrationTransport"] = "Unix";
  status["migrationMethod"] = copies_disks(vmi, in.object) ? "BlockMigration" : "LiveMigration";
}

}  // namespace nodevirt::virt_handler
