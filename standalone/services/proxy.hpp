// Keeps the kernel's rules in step with Services and their endpoints.
#pragma once
#include <memory>

#include "pkg/base/clock.hpp"
#include "standalone/services/cluster_view.hpp"
#include "standalone/services/rules.hpp"

namespace nodevirt::services {

class Proxy {
 public:
  struct Place {
    RulesPlace rules;
    int netns_fd = -1;          ///< -1: this process's own
  };
  using Apply = std::function<Awaitable<Result<void>>(std::string document, int netns_fd)>;

  /// `view` outlives the proxy.
  Proxy(ClusterView& view, Clock& clock, std::vector<Place> places, Apply apply = nullptr);
  ~Proxy();
  /// Until stopped; the rules stay as they are then. Changes are gathered for a few milliseconds; a document
  /// equal to the last one is not loaded again; one that fails is tried again.
  Awaitable<void> run(StopToken stop);

  /// Loads a document with `nft -f -` in one transaction.
  static Awaitable<Result<void>> load(std::string document, int netns_fd);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::services
