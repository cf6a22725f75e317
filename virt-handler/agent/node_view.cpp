#include "virt-handler/agent/node_view.hpp"

namespace nodevirt::virt_handler {

agent_v1::Instance NodeView::instance(const Launcher& launcher) const {
  agent_v1::Instance out;
  const PodObject& pod = *launcher.pod;
  out.set_namespace_(pod.meta.ns);
  out.set_name(pod.instance_name);
  out.set_uid(pod.instance_uid);
  out.set_pod_uid(pod.meta.uid);
  out.set_launcher_connected(launcher.connected);
  out.set_launcher_pid(launcher.pid);
  out.set_pod_ip(pod.ip);
  if (!launcher.interfaces.empty()) out.set_guest_ip(launcher.interfaces.front().guest_ip());
  if (launcher.domain && launcher.domain->present()) {
    out.set_domain_state(launcher.domain->state());
    out.set_domain_reason(launcher.domain->reason());
  }
  auto object = instances_.get(pod.instance_key());
  if (object && object->meta.uid == pod.instance_uid) {
    out.set_phase(object->view->status.phase);
    out.set_deleting(object->view->deleting());
  }
  return out;
}

agent_v1::ListResponse NodeView::list() const {
  agent_v1::ListResponse out;
  for (const auto& launcher : launchers_.all())
    if (!launcher->pod_gone) *out.add_instances() = instance(*launcher);
  return out;
}

Awaitable<agent_v1::StatisticsResponse> NodeView::statistics(std::string uid) const {
  agent_v1::StatisticsResponse out;
  std::vector<std::shared_ptr<Launcher>> launchers = launchers_.all();
  for (const std::shared_ptr<Launcher>& launcher : launchers) {
    std::shared_ptr<rpc::LauncherClient> client = launcher->client;
    if (!client || (!uid.empty() && launcher->pod->instance_uid != uid)) continue;
    if (!launcher->domain || !is_active(*launcher->domain)) continue;
    launcher::v1::DomainRequest request = launcher->request();
    auto stats = co_await client->get_stats(request);
    if (!stats.ok()) continue;
    agent_v1::InstanceStatistics& item = *out.add_instances();
    *item.mutable_instance() = instance(*launcher);
    item.set_taken_at_unix_ms(stats->taken_at_unix_ms());
    item.set_cpu_time_ns(stats->cpu_time_ns());
    item.set_memory_actual_bytes(stats->memory_actual_bytes());
    item.set_memory_rss_bytes(stats->memory_rss_bytes());
    item.set_memory_unused_bytes(stats->memory_unused_bytes());
    for (const auto& block : stats->blocks()) {
      auto& disk = *item.add_disks();
      disk.set_name(block.name());
      disk.set_read_bytes(block.read_bytes());
      disk.set_write_bytes(block.write_bytes());
      disk.set_read_requests(block.read_requests());
      disk.set_write_requests(block.write_requests());
    }
    for (const auto& net : stats->nets()) {
      auto& interface = *item.add_interfaces();
      interface.set_name(net.name());
      interface.set_rx_bytes(net.rx_bytes());
      interface.set_rx_packets(net.rx_packets());
      interface.set_tx_bytes(net.tx_bytes());
      interface.set_tx_packets(net.tx_packets());
    }
  }
  co_return out;
}

}  // namespace nodevirt::virt_handler
