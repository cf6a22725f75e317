// tcpSocket and httpGet probes, made from the node's network as kubelet makes them.
#pragma once
#include <functional>

#include "pkg/base/clock.hpp"
#include "standalone/podrunner/pod_view.hpp"

namespace nodevirt::podrunner {

/// One attempt, within the probe's timeout. The error says what happened.
Awaitable<Result<void>> probe_once(ProbeView probe, std::string pod_ip);

/// Counts successes and failures; pure.
class ProbeState {
 public:
  explicit ProbeState(bool initial) : value_(initial) {}
  /// True when the verdict changed with this result.
  bool record(const ProbeView& probe, bool success);
  bool value() const { return value_; }

 private:
  bool value_;
  int run_ = 0;
  bool last_ = false;
};

/// Probes until stopped: `on_result(verdict, error message)` at each change of the verdict.
Awaitable<void> run_probe(ProbeView probe, std::string pod_ip, bool initial, Clock& clock,
                          std::function<void(bool, std::string)> on_result, StopToken stop);

}  // namespace nodevirt::podrunner
