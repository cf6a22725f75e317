#include "virt-controller/migration/queue.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include <fmt/format.h>

namespace nodevirt::virt_controller::migration {

namespace {

bool goes_first(const QueueEntry& a, const QueueEntry& b) {
  return std::tie(b.priority, a.created, a.uid) < std::tie(a.priority, b.created, b.uid);
}

struct Places {
  std::int64_t taken = 0;
  std::map<std::string, std::int64_t> outbound;
  std::set<std::string> instances;

  explicit Places(const std::vector<QueueEntry>& entries) {
    for (const auto& e : entries)
      if (e.active) take(e);
  }
  void take(const QueueEntry& e) {
    ++taken;
    ++outbound[e.source_node];
    instances.insert(e.instance);
  }
};

}  // namespace

int priority_value(const std::string& name) {
  if (name == "system-critical") return 100;
  if (name == "user-triggered") return 50;
  if (name == "system-maintenance") return 20;
  return 0;
}

std::vector<std::string> may_begin(std::vector<QueueEntry> entries, const QueueLimits& limits) {
  Places places(entries);
  std::sort(entries.begin(), entries.end(), goes_first);
  std::vector<std::string> out;
  for (const auto& e : entries) {
    if (e.active || !e.eligible) continue;
    if (places.taken >= limits.per_cluster) break;
    if (places.outbound[e.source_node] >= limits.outbound_per_node || places.instances.contains(e.instance)) continue;
    places.take(e);
    out.push_back(e.uid);
  }
  return out;
}

std::string why_it_waits(const std::vector<QueueEntry>& entries, const QueueLimits& limits, const std::string& uid) {
  auto self = std::find_if(entries.begin(), entries.end(), [&](const QueueEntry& e) { return e.uid == uid; });
  if (self == entries.end() || self->active) return "";
  auto first = may_begin(entries, limits);
  if (std::find(first.begin(), first.end(), uid) != first.end()) return "";
  std::int64_t running = 0, outbound = 0;
  std::size_t before = 0;
  for (const auto& e : entries) {
    running += e.active;
    outbound += e.active && e.source_node == self->source_node;
    before += !e.active && e.eligible && goes_first(e, *self);
  }
  std::string queue = before == 0 ? "" : fmt::format(", {} before it", before);
  if (outbound >= limits.outbound_per_node)
    return fmt::format("queued: {} of {} migrations away from node {} run{}", outbound, limits.outbound_per_node, self->source_node, queue);
  return fmt::format("queued: {} of {} migrations of the cluster run{}", running, limits.per_cluster, queue);
}

std::string rival_of(const std::vector<QueueEntry>& entries, const std::string& uid) {
  auto self = std::find_if(entries.begin(), entries.end(), [&](const QueueEntry& e) { return e.uid == uid; });
  if (self == entries.end() || self->active) return "";
  for (const auto& e : entries)
    if (e.uid != uid && e.instance == self->instance &&
        (e.active || std::tie(e.created, e.uid) < std::tie(self->created, self->uid)))
      return e.uid;
  return "";
}

}  // namespace nodevirt::virt_controller::migration
