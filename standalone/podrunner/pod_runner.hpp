// The pod runner: kubelet's part, for launcher pods on one machine.
#pragma once
#include <memory>

#include "pkg/base/clock.hpp"
#include "pkg/client/client.hpp"
#include "standalone/podrunner/options.hpp"

namespace nodevirt::podrunner {

/// Runs as root in the node's network namespace. Registers the Node, runs the pods that are bound to it, and
/// removes the files of volumes that are deleted. Stopping (or killing) it leaves its pods running; the next one
/// takes them over. One per node at a time: a second one waits for the first one's lock.
class PodRunner {
 public:
  PodRunner(client::Client client, Clock& clock, Options options);
  ~PodRunner();
  /// Until stopped.
  Awaitable<void> run(StopToken stop);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::podrunner
