// instance.json: what an instance keeps from one `up` to the next.
#pragma once
#include "standalone/nodes/network.hpp"
#include "standalone/nodes/topology.hpp"
#include "standalone/supervisor/layout.hpp"

namespace nodevirt::supervisor {

struct Instance {
  static constexpr int kFormat = 1;
  std::string listen = "127.0.0.1:6443";
  int nodes = 1;
  int most_nodes = 1;        ///< the most there have ever been: what `down` takes away
  nodes::Ranges ranges;
  std::string hash;
  bool named = false;        ///< namespaces are called nodevirt-NODE
  bool userfaultfd = false;  ///< its person asked for vm.unprivileged_userfaultfd=1

  /// The nodes that run now.
  nodes::Topology topology() const { return make_topology(hash, named, ranges, nodes); }
  /// With every node there ever was.
  nodes::Topology whole_topology() const { return make_topology(hash, named, ranges, most_nodes); }
};

struct ListenAddress {
  std::string host;
  std::uint16_t port = 0;
};
/// "127.0.0.1:6443", ":6443" (every address), "0.0.0.0:6443".
Result<ListenAddress> parse_listen(const std::string& text);

/// NotFound when there is none; FailedPrecondition for one of a later version, or a damaged one.
Result<Instance> load_instance(const DataDir& data);
Result<void> save_instance(const DataDir& data, const Instance& instance);
/// Pure halves of the two above.
Result<Instance> decode_instance(const std::string& text, const std::string& path);
std::string encode_instance(const Instance& instance);

}  // namespace nodevirt::supervisor
