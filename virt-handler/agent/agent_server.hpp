// The gRPC service NodeAgent on a unix socket.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "pkg/client/client.hpp"
#include "virt-handler/agent/node_view.hpp"

namespace nodevirt::virt_handler {

class AgentServer {
 public:
  struct Deps {
    Executor executor;
    Clock& clock;
    client::Client client;
    NodeView& view;
    std::function<std::string()> accelerator;     ///< kvm, tcg, or empty
    std::function<void(bool)> set_drained;         ///< the node takes no new instances
  };
  explicit AgentServer(Deps deps);
  ~AgentServer();
  /// Listens, mode 0600 in a folder that is made. Only peers with uid 0 or our own get through.
  Result<void> listen(const std::string& path);
  Awaitable<void> run(StopToken stop);
  /// A launcher's domain did something, or its pod went away: told to those who follow.
  void changed(const Launcher& launcher, const std::string& lifecycle, const std::string& message, bool gone);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::virt_handler
