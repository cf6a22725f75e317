#include "pkg/runtime/event_recorder.hpp"

#include <deque>
#include <list>

#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "pkg/runtime/signal.hpp"

namespace nodevirt::runtime {

namespace {

constexpr std::size_t kMaxQueued = 1000, kMaxRemembered = 1000, kMaxMessage = 1024;
constexpr auto kWindow = std::chrono::minutes(10);
constexpr int kAttempts = 6;

using k8s::resources::kEvents;

/// FNV-1a: the same in every life of the program.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t h = 14695981039346656037u;
  for (unsigned char c : text) h = (h ^ c) * 1099511628211u;
  return h;
}

}  // namespace

struct EventRecorder::Impl {
  struct Pending {
    ObjectReference about;
    std::string type, reason, message;
    Clock::WallTime when;
    std::string once;  ///< the end of its name; empty: it may be repeated
  };
  struct Sent {
    std::string ns, name;
    std::int64_t count = 1;
    Clock::Time last;
    std::list<std::string>::iterator age;
  };

  Impl(client::Client c, Clock& k, std::string comp, std::string h)
      : client(std::move(c)), clock(k), component(std::move(comp)), host(std::move(h)) {}

  Sent* remembered(const std::string& key) {
    auto it = sent.find(key);
    if (it == sent.end() || clock.now() - it->second.last > kWindow) return nullptr;
    return &it->second;
  }

  void remember(const std::string& key, std::string ns, std::string name) {
    forget(key);
    if (sent.size() >= kMaxRemembered) forget(std::string(ages.front()));
    ages.push_back(key);
    sent[key] = Sent{std::move(ns), std::move(name), 1, clock.now(), std::prev(ages.end())};
  }

  void forget(const std::string& key) {
    auto it = sent.find(key);
    if (it == sent.end()) return;
    ages.erase(it->second.age);
    sent.erase(it);
  }

  client::Client client;
  Clock& clock;
  std::string component, host;
  std::deque<Pending> queue;
  std::unordered_map<std::string, Sent> sent;
  std::list<std::string> ages;   ///< keys of `sent`, oldest first
  std::uint64_t counter = 0;
  Signal work;
  StopSource stop;
};

namespace {

template <class Impl>
Json new_event(Impl& impl, const typename Impl::Pending& p, const std::string& ns, const std::string& name) {
  std::string when = format_time(p.when);
  Json about = {{"apiVersion", p.about.api_version}, {"kind", p.about.kind}, {"name", p.about.name}};
  if (!p.about.ns.empty()) about["namespace"] = p.about.ns;
  if (!p.about.uid.empty()) about["uid"] = p.about.uid;
  if (!p.about.resource_version.empty()) about["resourceVersion"] = p.about.resource_version;
  Json source = {{"component", impl.component}};
  if (!impl.host.empty()) source["host"] = impl.host;
  return {{"apiVersion", "v1"}, {"kind", "Event"}, {"metadata", {{"name", name}, {"namespace", ns}}},
          {"involvedObject", std::move(about)}, {"reason", p.reason}, {"message", p.message}, {"type", p.type},
          {"source", std::move(source)}, {"firstTimestamp", when}, {"lastTimestamp", when}, {"count", 1},
          {"reportingComponent", impl.component}, {"reportingInstance", impl.host}, {"eventTime", nullptr}};
}

template <class Impl>
Awaitable<Result<void>> send(std::shared_ptr<Impl> impl, typename Impl::Pending p, std::string key) {
  if (auto* before = p.once.empty() ? impl->remembered(key) : nullptr) {
    Json patch = {{"count", before->count + 1}, {"lastTimestamp", format_time(p.when)}};
    auto patched = co_await impl->client.patch(kEvents, before->ns, before->name, client::PatchType::Merge, std::move(patch));
    if (patched.ok()) {
      if (auto* again = impl->remembered(key)) {
        ++again->count;
        again->last = impl->clock.now();
      }
      co_return Result<void>();
    }
    if (!k8s::is_not_found(patched.error())) co_return patched.error();
    impl->forget(key);  // expired on the server
  }
  std::string ns = p.about.ns.empty() ? "default" : p.about.ns;
  auto stamp = static_cast<std::uint64_t>(p.when.time_since_epoch().count()) * 1000 + impl->counter++ % 1000;
  std::string name = fmt::format("{}.{}", p.about.name.substr(0, 230), p.once.empty() ? fmt::format("{:x}", stamp) : p.once);
  Json event = new_event(*impl, p, ns, name);
  auto made = co_await impl->client.create(kEvents, ns, std::move(event));
  if (!made.ok() && !k8s::is_already_exists(made.error())) co_return made.error();
  if (p.once.empty()) impl->remember(key, ns, name);
  co_return Result<void>();
}

template <class Impl>
Awaitable<void> drain(std::shared_ptr<Impl> impl) {
  StopToken stop = impl->stop.get_token();
  while (!stop.stop_requested()) {
    if (impl->queue.empty()) {
      co_await impl->work.wait(stop);
      continue;
    }
    auto p = std::move(impl->queue.front());
    impl->queue.pop_front();
    std::string key = fmt::format("{}\n{}\n{}\n{}\n{}\n{}", p.about.kind, p.about.ns, p.about.name, p.about.uid, p.reason, p.message);
    for (int attempt = 1;; ++attempt) {
      auto done = co_await send(impl, p, key);
      if (done.ok()) break;
      Code code = done.error().code;
      bool again = code == Code::Unavailable || code == Code::DeadlineExceeded;
      if (!again || attempt == kAttempts) {
        log::warning("event {} about {} {}/{} is lost: {}", p.reason, p.about.kind, p.about.ns, p.about.name, done.error().message);
        break;
      }
      auto wait = std::chrono::milliseconds(100) * (1 << attempt);
      if (!co_await impl->clock.sleep(wait, stop)) co_return;
    }
  }
}

}  // namespace

EventRecorder::EventRecorder(Executor executor, client::Client client, Clock& clock, std::string component, std::string host)
    : impl_(std::make_shared<Impl>(std::move(client), clock, std::move(component), std::move(host))) {
  spawn(executor, drain(impl_), "events");
}

EventRecorder::~EventRecorder() {
  if (impl_) impl_->stop.request_stop();
}

void EventRecorder::event(const ObjectReference& about, std::string type, std::string reason, std::string message, const std::string& once) {
  if (impl_->queue.size() >= kMaxQueued) {
    log::warning("event {} about {} {}/{} is lost: too many are waiting", reason, about.kind, about.ns, about.name);
    return;
  }
  if (message.size() > kMaxMessage) message = message.substr(0, kMaxMessage - 3) + "...";
  std::string name_end = once.empty() ? "" : fmt::format("{:016x}", hash_of(about.uid + "\n" + once + "\n" + reason));
  impl_->queue.push_back({about, std::move(type), std::move(reason), std::move(message), impl_->clock.wall(), std::move(name_end)});
  impl_->work.notify_one();
}

}  // namespace nodevirt::runtime
