#include "virt-handler/metrics/metrics.hpp"

#include <fmt/format.h>
#include "virt-handler/metrics/migration_metrics.hpp"

namespace nodevirt::virt_handler {
namespace {

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') out += "\\n";
    else out += c;
  }
  return out + "\"";
}

void cpu_and_memory(MetricText& out, const MetricText::Labels& labels, const launcher::v1::DomainStats& stats) {
  out.sample("kubevirt_vmi_cpu_usage_seconds_total", "counter", "Processor time used.", labels, static_cast<double>(stats.cpu_time_ns()) / 1e9);
  for (const auto& vcpu : stats.vcpus()) {
    MetricText::Labels with = labels;
    with.emplace_back("id", std::to_string(vcpu.id()));
    out.sample("kubevirt_vmi_vcpu_seconds_total", "counter", "Time that a virtual processor ran.", with, static_cast<double>(vcpu.time_ns()) / 1e9);
    out.sample("kubevirt_vmi_vcpu_wait_seconds_total", "counter", "Time that a virtual processor waited.", with, static_cast<double>(vcpu.wait_ns()) / 1e9);
  }
  out.sample("kubevirt_vmi_memory_resident_bytes", "gauge", "Resident memory of the process that runs the guest.", labels, static_cast<double>(stats.memory_rss_bytes()));
  out.sample("kubevirt_vmi_memory_actual_balloon_bytes", "gauge", "Current size of the balloon.", labels, static_cast<double>(stats.memory_actual_bytes()));
  out.sample("kubevirt_vmi_memory_available_bytes", "gauge", "Memory that the guest sees.", labels, static_cast<double>(stats.memory_available_bytes()));
  out.sample("kubevirt_vmi_memory_unused_bytes", "gauge", "Memory that the guest leaves unused.", labels, static_cast<double>(stats.memory_unused_bytes()));
}

void disks(MetricText& out, const MetricText::Labels& labels, const launcher::v1::DomainStats& stats) {
  for (const auto& disk : stats.blocks()) {
    MetricText::Labels with = labels;
    with.emplace_back("drive", disk.name());
    auto add = [&](std::string_view name, std::string_view help, double value) { out.sample(name, "counter", help, with, value); };
    add("kubevirt_vmi_storage_iops_read_total", "Read operations.", static_cast<double>(disk.read_requests()));
    add("kubevirt_vmi_storage_iops_write_total", "Write operations.", static_cast<double>(disk.write_requests()));
    add("kubevirt_vmi_storage_read_traffic_bytes_total", "Bytes read.", static_cast<double>(disk.read_bytes()));
    add("kubevirt_vmi_storage_write_traffic_bytes_total", "Bytes written.", static_cast<double>(disk.write_bytes()));
    add("kubevirt_vmi_storage_read_times_seconds_total", "Time spent on reads.", static_cast<double>(disk.read_time_ns()) / 1e9);
    add("kubevirt_vmi_storage_write_times_seconds_total", "Time spent on writes.", static_cast<double>(disk.write_time_ns()) / 1e9);
    add("kubevirt_vmi_storage_flush_requests_total", "Flushes.", static_cast<double>(disk.flush_requests()));
  }
}

void networks(MetricText& out, const MetricText::Labels& labels, const launcher::v1::DomainStats& stats) {
  for (const auto& net : stats.nets()) {
    MetricText::Labels with = labels;
    with.emplace_back("interface", net.name());
    auto add = [&](std::string_view name, std::string_view help, std::uint64_t value) {
      out.sample(name, "counter", help, with, static_cast<double>(value));
    };
    add("kubevirt_vmi_network_receive_bytes_total", "Bytes that the guest received.", net.rx_bytes());
    add("kubevirt_vmi_network_receive_packets_total", "Packets that the guest received.", net.rx_packets());
    add("kubevirt_vmi_network_receive_errors_total", "Errors of receiving.", net.rx_errors());
    add("kubevirt_vmi_network_receive_packets_dropped_total", "Dropped packets of receiving.", net.rx_drops());
    add("kubevirt_vmi_network_transmit_bytes_total", "Bytes that the guest sent.", net.tx_bytes());
    add("kubevirt_vmi_network_transmit_packets_total", "Packets that the guest sent.", net.tx_packets());
    add("kubevirt_vmi_network_transmit_errors_total", "Errors of sending.", net.tx_errors());
    add("kubevirt_vmi_network_transmit_packets_dropped_total", "Dropped packets of sending.", net.tx_drops());
  }
}

}  // namespace

void MetricText::sample(std::string_view name, std::string_view type, std::string_view help, const Labels& labels, double value) {
  auto [it, fresh] = families_.try_emplace(std::string(name));
  if (fresh) {
    order_.emplace_back(name);
    it->second.head = fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
  }
  std::string joined;
  for (const auto& [key, text] : labels) joined += fmt::format("{}{}={}", joined.empty() ? "" : ",", key, quote(text));
  it->second.samples += joined.empty() ? fmt::format("{} {}\n", name, value) : fmt::format("{}{{{}}} {}\n", name, joined, value);
}

std::string MetricText::text() const {
  std::string out;
  for (const std::string& name : order_) {
    const Family& family = families_.at(name);
    out += family.head + family.samples;
  }
  return out;
}

Awaitable<std::string> collect_metrics(std::string node, Launchers& launchers, const Viewers& viewers, bool ready,
                                       std::vector<std::shared_ptr<const InstanceObject>> instances) {
  MetricText out;
  MetricText::Labels on_node{{"node", node}};
  out.sample("kubevirt_virt_handler_up", "gauge", "This program runs.", on_node, 1);
  out.sample("kubevirt_virt_handler_ready", "gauge", "This program is ready.", on_node, ready ? 1 : 0);
  out.sample("kubevirt_console_active_connections", "gauge", "Consoles that are looked at.", on_node, static_cast<double>(viewers.count("console")));
  out.sample("kubevirt_vnc_active_connections", "gauge", "Screens that are looked at.", on_node, static_cast<double>(viewers.count("vnc")));
  for (const auto& instance : instances) migration_metrics(out, *instance, node);
  std::vector<std::shared_ptr<Launcher>> all = launchers.all();
  for (const std::shared_ptr<Launcher>& launcher : all) {
    std::shared_ptr<rpc::LauncherClient> client = launcher->client;
    if (!client || !launcher->domain || !is_active(*launcher->domain)) continue;
    MetricText::Labels labels{{"namespace", launcher->pod->meta.ns}, {"name", launcher->pod->instance_name}, {"node", node}};
    launcher::v1::DomainRequest request = launcher->request();
    auto stats = co_await client->get_stats(request);
    if (!stats.ok()) continue;
    cpu_and_memory(out, labels, *stats);
    disks(out, labels, *stats);
    networks(out, labels, *stats);
  }
  co_return out.text();
}

}  // namespace nodevirt::virt_handler
