// Ends of namespaces: their contents first, then the finalizer; and what every namespace starts with.
#pragma once
#include "standalone/controllers/loop.hpp"

namespace nodevirt::controllers {

class NamespaceEnds final : public Loop {
 public:
  explicit NamespaceEnds(ServerState& state) : Loop(state, "namespaces", "") {}

 protected:
  void resync() override;
  void on_event(const Event& event) override;
  Awaitable<Result<void>> reconcile(std::string ns) override;

 private:
  std::set<std::string> ending_;
};

/// ServiceAccount `default` and ConfigMap `kube-root-ca.crt` in every active namespace.
class NamespaceStarts final : public Loop {
 public:
  explicit NamespaceStarts(ServerState& state) : Loop(state, "service accounts", "") {}

 protected:
  void resync() override;
  void on_event(const Event& event) override;
  Awaitable<Result<void>> reconcile(std::string ns) override;
};

}  // namespace nodevirt::controllers
