// One migration into this node: the target is prepared, waits, and runs the guest once the source is known to have let
// it go.
#pragma once
#include <memory>

#include "pkg/client/client.hpp"
#include "virt-handler/instances/launchers.hpp"
#include "virt-handler/migration/state.hpp"
#include "virt-handler/migration/stream/node_port.hpp"

namespace nodevirt::virt_handler::migration {

/// On the program's one executor. As Outgoing it may be made anew at any moment.
class Incoming {
 public:
  struct Deps {
    Executor executor;
    Clock& clock;
    client::Client client;
    Launchers& launchers;
    NodePort& port;
    std::string address;                 ///< of the port, as other nodes reach it
    std::string node;
    std::function<Awaitable<bool>()> kvm;
    std::function<void(std::string key)> changed;
    std::function<void(const InstanceObject&, std::string type, std::string reason, std::string message, std::string migration)> event;
  };
  /// Begins at once. `object` has a migrationState that names this node as target.
  Incoming(Deps deps, std::shared_ptr<const InstanceObject> object);
  ~Incoming();

  /// The instance changed; null: it is not told of any more (read it).
  void instance(std::shared_ptr<const InstanceObject> object);
  const std::string& uid() const;
  bool over() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::virt_handler::migration
