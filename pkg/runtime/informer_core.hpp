// What all informers share, whatever their objects are: the list-and-watch loop and the store.
// Informer<T> is a thin typed layer over it (compile time).
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "pkg/base/clock.hpp"
#include "pkg/client/client.hpp"
#include "pkg/k8s/watch_machine.hpp"
#include "pkg/runtime/signal.hpp"

namespace nodevirt::runtime {

class InformerCore : public std::enable_shared_from_this<InformerCore> {
 public:
  using Object = std::shared_ptr<const void>;
  struct Decoded {
    std::string key, uid, resource_version;
    Object object;
  };
  struct Options {
    k8s::Resource resource;
    std::string ns, label_selector, field_selector;
    std::function<Result<Decoded>(const Json&)> decode;
  };
  using Handler = std::function<void(const Object& old, const Object& now)>;
  using IndexFunction = std::function<std::vector<std::string>(const void*)>;

  InformerCore(client::Client client, Clock& clock, Options options);

  void on_change(Handler handler) { handlers_.push_back(std::move(handler)); }
  Awaitable<void> run(StopToken stop);
  Awaitable<bool> synced(StopToken stop);
  bool has_synced() const { return synced_; }

  Object get(const std::string& key) const;
  std::vector<Object> list() const;
  void add_index(std::string name, IndexFunction function);
  std::vector<Object> by_index(const std::string& name, const std::string& value) const;

 private:
  struct Entry {
    Object object;
    std::string uid, resource_version;
    std::uint64_t epoch = 0;   ///< of the list that last had it
  };
  struct Index {
    IndexFunction function;
    std::unordered_map<std::string, std::unordered_set<std::string>> keys;
  };

  Awaitable<void> follow(StopToken stop);
  Awaitable<k8s::WatchInput> fetch_page(std::string continue_token);
  Awaitable<k8s::WatchInput> open_watch(std::string version, StopToken stop);
  Awaitable<k8s::WatchInput> read_line(StopToken stop);

  void apply(const Json& object);
  void remove(const Json& object);
  void begin_list() { ++epoch_; }
  void end_list();
  void tell(const Object& old, const Object& now);
  void index(const std::string& key, const void* object, bool insert);
  void put(Decoded decoded);
  void erase(std::unordered_map<std::string, Entry>::iterator it);

  client::Client client_;
  Clock& clock_;
  Options options_;
  std::vector<Handler> handlers_;
  std::unordered_map<std::string, Entry> store_;
  std::unordered_map<std::string, Index> indexes_;
  std::uint64_t epoch_ = 0;
  bool synced_ = false;
  Signal sync_signal_;

  k8s::WatchMachine machine_;
  k8s::LineSplitter lines_;
  std::shared_ptr<net::BodyReader> stream_;
  Clock::Time opened_{};
  Json line_;
};

}  // namespace nodevirt::runtime
