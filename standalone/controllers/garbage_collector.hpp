// Deletes what lost all its owners, in Kubernetes' three ways: background, foreground, orphan.
#pragma once
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "standalone/controllers/loop.hpp"

namespace nodevirt::controllers {

/// The graph is complete: it is fed by the same history as the watches, and an owner that is not in it
/// does not exist (kinds of aggregated servers apart, whose owners are taken for existing).
class GarbageCollector final : public Loop {
 public:
  explicit GarbageCollector(ServerState& state) : Loop(state, "garbage collector", "") {}

 protected:
  void resync() override;
  void on_event(const Event& event) override;
  Awaitable<Result<void>> reconcile(std::string uid) override;

 private:
  struct Owner {
    std::string uid, api, kind;
    bool block = false;
  };
  struct Node {
    std::string resource, ns, name;
    std::vector<Owner> owners;
    bool deleting = false, orphan = false, foreground = false;
  };
  void put(const std::string& resource, const StoredPtr& object);
  void drop(const std::string& uid);
  void unlink(const std::string& uid, const Node& node);
  bool exists(const Owner& owner, const Node& dependent) const;
  std::vector<std::string> dependents(const std::string& uid) const;

  Awaitable<Result<void>> collect(std::string uid, Node node);
  Awaitable<Result<void>> finish_foreground(std::string uid, Node node);
  Awaitable<Result<void>> orphan(std::string uid, Node node);
  Awaitable<Result<void>> remove_owners(Node node, std::string dependent_uid, std::vector<std::string> owner_uids);
  Awaitable<Result<void>> remove_finalizer(Node node, std::string uid, std::string finalizer);

  std::unordered_map<std::string, Node> nodes_;
  std::unordered_map<std::string, std::unordered_set<std::string>> dependents_;
};

}  // namespace nodevirt::controllers
