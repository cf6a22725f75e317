// What this node says of itself: labels, heartbeat, the address of our port, devices.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <set>

#include "pkg/base/clock.hpp"
#include "pkg/client/client.hpp"
#include "pkg/runtime/informer.hpp"

namespace nodevirt::virt_handler {

/// On nodes: "IP:PORT" where other nodes' virt-handlers bring migrations (mTLS).
inline constexpr std::string_view kMigrationAddressAnnotation = "nodevirt.io/migration-address";

struct NodeFacts {
  std::optional<bool> schedulable;       ///< new instances may come; absent: not known yet, and nothing is said
  std::optional<bool> kvm;               ///< absent: not known yet
  std::string address;                   ///< "IP:PORT" for virt-api
  std::string migration_address;         ///< "IP:PORT" for other nodes' virt-handlers
  std::string cpu_vendor;                ///< as /proc/cpuinfo has it
  std::set<std::string> cpu_labels;      ///< keys (cpu_labels.hpp); empty: not known, and nothing is said
};

/// Merge patches for the node. Devices are offered whatever the accelerator is: pods are rendered before their
/// node is known.
/// `node`: as it is; labels of the processor that are no longer true are taken away. May be null.
Json node_metadata_patch(const NodeFacts& facts, Clock::WallTime now, const Json& node = Json());
Json node_status_patch();
/// A node object that lacks what the patches say (apart from the time).
bool node_lacks(const Json& node, const NodeFacts& facts);

class NodePublisher {
 public:
  struct Deps {
    client::Client client;
    Clock& clock;
    runtime::Informer<runtime::RawObject>& node;   ///< of this node alone
    std::string name;
    std::function<NodeFacts()> facts;
  };
  explicit NodePublisher(Deps deps);
  ~NodePublisher();
  /// Publishes soon: a fact has changed.
  void poke();
  /// A heartbeat every minute or two; at once when a fact changed or the node lost what we said.
  Awaitable<void> run(StopToken stop);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

std::string cpu_vendor();

}  // namespace nodevirt::virt_handler
