// The objects of the cluster: one map in memory, one writer thread on SQLite, one history.
//
// Guarantees: a write is acknowledged only after the commit that holds it; writes that wait together
// share one commit; revisions grow by one per write, in the order in which writes were accepted, and
// never go back, not even over a crash; readers and watchers see a write only once it is durable.
// All members are called on the executor given to open (one thread).
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "pkg/base/async.hpp"
#include "pkg/base/json.hpp"
#include "standalone/apiserver/store/history.hpp"
#include "standalone/apiserver/store/object.hpp"

namespace nodevirt::apiserver {

class Store {
 public:
  struct Options {
    std::filesystem::path path;
    History::Limits history;
    std::size_t max_resident = 64u << 10;   ///< objects with longer texts stay on disk
  };
  /// One change. `expected`: the revision that head() must have now; 0: it must not exist.
  struct Write {
    std::string resource, ns, name;
    std::int64_t expected = 0;
    Json value;                  ///< metadata.resourceVersion is set here
    ObjectIndex index;
    bool remove = false;         ///< value is then the last state, told to watchers
  };

  static Result<std::unique_ptr<Store>> open(Executor executor, Options options);
  /// Ends the writer thread after what is queued; nobody may wait in commit() then.
  ~Store();

  /// The latest durable state.
  StoredPtr get(const std::string& resource, const std::string& ns, const std::string& name) const;
  /// The latest accepted state, durable or about to be: what the next write must be based on.
  StoredPtr head(const std::string& resource, const std::string& ns, const std::string& name) const;
  /// Objects in the order of (namespace, name), after `after_key` ("ns/name", exclusive); `each` returns
  /// false to end. An empty ns means all.
  void list(const std::string& resource, const std::string& ns, const std::string& after_key,
            const std::function<bool(const StoredPtr&)>& each) const;
  /// Every accepted object, durable or about to be.
  void each_head(const std::string& resource, const std::string& ns, const std::function<void(const StoredPtr&)>& each) const;
  std::size_t count(const std::string& resource, const std::string& ns = "") const;
  /// The bytes: those in memory, or read from disk. NotFound when a large object changed meanwhile.
  Result<std::shared_ptr<const std::string>> text(const std::string& resource, const StoredPtr& object) const;
  /// The revision of the latest durable write.
  std::int64_t revision() const;
  History& history() const;

  /// Conflict when head() is not as expected (reason Conflict, or AlreadyExists for expected 0); else
  /// resumes after the commit.
  Awaitable<Result<StoredPtr>> commit(Write write);
  /// Commits made so far; fewer than writes when they are grouped.
  std::uint64_t commits() const;

 private:
  struct Impl;
  explicit Store(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::apiserver
