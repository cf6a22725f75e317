// A cache of one resource that follows the server, and tells of changes.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pkg/base/clock.hpp"
#include "pkg/base/json.hpp"
#include "pkg/client/client.hpp"

namespace nodevirt::runtime {

/// The part of metadata that everybody needs.
struct ObjectMeta {
  std::string ns, name, uid, resource_version, deletion_timestamp;
  std::int64_t generation = 0;
  std::map<std::string, std::string> labels, annotations;
  std::string key() const { return ns.empty() ? name : ns + "/" + name; }
  static ObjectMeta from_json(const Json& object);
};

/// The view for who needs the whole object: its metadata and its compact JSON text, parsed on demand.
struct RawObject {
  ObjectMeta meta;
  std::string text;
  Json json() const;
  static Result<RawObject> decode(const Json& object);
};

/// T has `ObjectMeta meta` and `static Result<T> decode(const Json&)`. An object that does not decode is
/// logged and kept out of the store; it harms nobody else.
///
/// Guarantees: after `synced` returned true the store was complete at some moment; events come in the
/// server's order per object; a re-list after a lost watch is turned into the differences. All calls and
/// callbacks are on the executor that runs `run`.
template <class T>
class Informer {
 public:
  using Ptr = std::shared_ptr<const T>;
  struct Options {
    k8s::Resource resource;
    std::string ns, label_selector, field_selector;
  };
  /// old is null for an object that is new; now is null for one that is gone.
  using Handler = std::function<void(const Ptr& old, const Ptr& now)>;

  Informer(client::Client client, Clock& clock, Options options);
  ~Informer();
  void on_change(Handler handler);                 ///< before run; all objects of the first list are told too
  Awaitable<void> run(StopToken stop);
  Awaitable<bool> synced(StopToken stop);          ///< false when stopped first
  bool has_synced() const;

  Ptr get(const std::string& key) const;           ///< "ns/name" or "name"; null when absent
  std::vector<Ptr> list() const;
  /// Secondary index: objects for which `index` yields the value.
  void add_index(std::string name, std::function<std::vector<std::string>(const T&)> index);
  std::vector<Ptr> by_index(const std::string& name, const std::string& value) const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::runtime

#include "pkg/runtime/informer_impl.hpp"
