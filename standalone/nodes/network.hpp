// Puts a topology into the kernel, and takes it away.
#pragma once
#include "pkg/base/file.hpp"
#include "standalone/nodes/topology.hpp"

namespace nodevirt::nodes {

/// Makes what is missing: bridge, namespaces, links, addresses, routes, forwarding and the host's
/// masquerading table. May be repeated; existing namespaces and what lives in them are left alone.
Result<void> bring_up(const Topology& topology);
/// Removes all of it, and what was asked of the machine (forwarding, userfaultfd); what is already gone is no error.
/// Processes that still run in a namespace keep it alive.
Result<void> tear_down(const Topology& topology);

/// The same for an instance of which nothing but its hash is known (its file is damaged): by the names of what there is.
/// `named`: it is the one of the default data directory, whose namespaces carry no hash.
Result<void> tear_down_remains(const std::string& hash, bool named);

/// The namespace of a node, or of the own process.
Result<Fd> open_netns(const std::string& name);
Result<Fd> own_netns();

/// Runs `work` on this thread inside the namespace, then returns to the former one; aborts if it cannot return.
template <class F>
auto in_netns(const Fd& there, F work) -> decltype(work());

/// Ranges that this machine uses already: addresses and routes, those through `except` (a bridge's name and
/// the links on it) left out.
Result<std::vector<Cidr>> taken_ranges(const std::string& except_bridge);
/// Ranges found in `ip -j route show table all` and `ip -j address`. Pure.
std::vector<Cidr> ranges_in_use(const Json& routes, const Json& addresses, const std::string& except_bridge);

/// A range of this instance that another one, which is up, uses on its bridge; "10.233.0.0/24 (nvbr1a2b3c)", or empty.
Result<std::string> range_of_another(const Ranges& ours, const std::string& our_bridge);
/// The same from `ip -j route show table all`. Pure.
std::string range_of_another(const Json& routes, const Ranges& ours, const std::string& our_bridge);

/// For each range the wanted one when the user named it, else the first free candidate.
struct WantedRanges {
  std::string nodes, pods, services;   ///< empty: choose
};
Result<Ranges> choose_ranges(const WantedRanges& wanted, const std::vector<Cidr>& taken);

/// Lines for `ip -batch` on the host and in each node's namespace, and the nftables document. Pure.
std::string host_batch(const Topology& t, bool bridge_exists, const std::vector<bool>& link_exists);
std::string node_batch(const Topology& t, const NodeNetwork& node);
std::string host_rules(const Topology& t);

namespace detail {
void enter(const Fd& netns);
}

template <class F>
auto in_netns(const Fd& there, F work) -> decltype(work()) {
  auto home = own_netns();
  NV_CHECK(home.ok());
  struct Back {
    const Fd& fd;
    ~Back() { detail::enter(fd); }
  } back{*home};
  detail::enter(there);
  return work();
}

}  // namespace nodevirt::nodes
