#include "standalone/controllers/loop.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "pkg/base/log.hpp"

namespace nodevirt::controllers {

namespace asio = boost::asio;

Loop::Loop(ServerState& state, std::string name, std::string resource)
    : s_(state), name_(std::move(name)), resource_(std::move(resource)) {}

void Loop::enqueue_after(std::string key, std::chrono::milliseconds delay) {
  auto at = std::chrono::steady_clock::now() + delay;
  auto [it, fresh] = later_.emplace(std::move(key), at);
  if (!fresh && at < it->second) it->second = at;
}

Awaitable<void> Loop::run(StopToken stop) {
  auto follower = s_.store->history().follow(resource_, nullptr);
  asio::steady_timer timer(s_.executor);
  follower->wake = [&timer] { timer.cancel(); };
  std::stop_callback on_stop(stop, [&timer] { timer.cancel(); });
  resync();
  while (!stop.stop_requested()) {
    while (!follower->queue.empty()) {
      auto event = follower->queue.front();
      follower->queue.pop_front();
      on_event(*event);
    }
    if (follower->lagging) {
      follower = s_.store->history().follow(resource_, nullptr);
      follower->wake = [&timer] { timer.cancel(); };
      resync();
    }
    auto now = std::chrono::steady_clock::now();
    for (auto it = later_.begin(); it != later_.end();) {
      if (it->second > now) { ++it; continue; }
      ready_.insert(it->first);
      it = later_.erase(it);
    }
    if (!ready_.empty()) {
      auto key = *ready_.begin();
      ready_.erase(ready_.begin());
      auto done = co_await reconcile(key);
      if (done.ok()) {
        failures_.erase(key);
      } else {
        int n = std::min(++failures_[key], 12);
        if (n == 1 || n == 8) log::warning("{} {}: {}", name_, key, done.error().message);
        enqueue_after(key, std::min(std::chrono::milliseconds(50) * (1 << n), std::chrono::milliseconds(60000)));
      }
      continue;
    }
    if (!follower->queue.empty()) continue;
    auto next = std::chrono::steady_clock::time_point::max();
    for (const auto& [key, at] : later_) next = std::min(next, at);
    timer.expires_at(next);
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

void each_object(const ServerState& s, const std::string& resource, const std::string& ns, const std::function<void(const StoredPtr&)>& each) {
  s.store->list(resource, ns, "", [&each](const StoredPtr& o) { each(o); return true; });
}

apiserver::UserInfo controller_user(const std::string& name) {
  return {"system:serviceaccount:kube-system:" + name, "", {"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated", "system:masters"}, {}};
}

Json load(const ServerState& s, const std::string& resource, const std::string& ns, const std::string& name) {
  auto stored = s.store->get(resource, ns, name);
  if (!stored) return nullptr;
  auto text = s.store->text(resource, stored);
  if (!text.ok()) return nullptr;
  auto parsed = parse_json(**text, 512);
  return parsed.ok() ? std::move(*parsed) : Json();
}

}  // namespace nodevirt::controllers
