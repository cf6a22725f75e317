// The loop that these controllers share: events of the history in, keys out, one at a time, failures
// again after a while.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "pkg/base/async.hpp"
#include "standalone/apiserver/request_info.hpp"
#include "standalone/apiserver/server_state.hpp"

namespace nodevirt::controllers {

using apiserver::Event;
using apiserver::EventType;
using apiserver::ServerState;
using apiserver::StoredPtr;

class Loop {
 public:
  /// `resource` empty: events of all.
  Loop(ServerState& state, std::string name, std::string resource);
  virtual ~Loop() = default;
  Awaitable<void> run(StopToken stop);

 protected:
  /// At start, and when events were lost: everything there is.
  virtual void resync() = 0;
  virtual void on_event(const Event& event) = 0;
  /// An error: again later, with growing delays. Never called twice at once.
  virtual Awaitable<Result<void>> reconcile(std::string key) = 0;

  void enqueue(std::string key) { ready_.insert(std::move(key)); }
  void enqueue_after(std::string key, std::chrono::milliseconds delay);
  ServerState& s_;

 private:
  std::string name_, resource_;
  std::set<std::string> ready_;
  std::map<std::string, std::chrono::steady_clock::time_point> later_;
  std::map<std::string, int> failures_;
};

/// Calls `each` for every stored object of a resource.
void each_object(const ServerState& s, const std::string& resource, const std::string& ns, const std::function<void(const StoredPtr&)>& each);
/// Who a controller is in webhooks' eyes.
apiserver::UserInfo controller_user(const std::string& name);
/// The parsed object; null when it is gone.
nodevirt::Json load(const ServerState& s, const std::string& resource, const std::string& ns, const std::string& name);

}  // namespace nodevirt::controllers
