// /metrics, with KubeVirt's names where it has one.
#pragma once
#include <string>
#include <vector>

#include "virt-handler/instances/launchers.hpp"
#include "virt-handler/streams/viewers.hpp"

namespace nodevirt::virt_handler {

/// Prometheus' text format, grown metric by metric; each name's head stands once, before its samples.
class MetricText {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;
  void sample(std::string_view name, std::string_view type, std::string_view help, const Labels& labels, double value);
  std::string text() const;

 private:
  struct Family { std::string head, samples; };
  std::vector<std::string> order_;
  std::map<std::string, Family> families_;
};

/// Asks every running instance's launcher for its counters. `instances`: those of this node.
Awaitable<std::string> collect_metrics(std::string node, Launchers& launchers, const Viewers& viewers, bool ready,
                                       std::vector<std::shared_ptr<const InstanceObject>> instances);

}  // namespace nodevirt::virt_handler
