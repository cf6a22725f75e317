#include "virt-handler/agent/drain.hpp"

#include <fmt/format.h>

#include "pkg/k8s/status.hpp"

namespace nodevirt::virt_handler {
namespace {

struct Asked {
  agent_v1::Instance instance;
  std::string told;   ///< the last message: each is told once
};

Json eviction_of(const PodObject& pod) {
  return Json{{"apiVersion", "policy/v1"},
              {"kind", "Eviction"},
              {"metadata", {{"name", pod.meta.name}, {"namespace", pod.meta.ns}}},
              {"deleteOptions", {{"preconditions", {{"uid", pod.meta.uid}}}}}};
}

void tell(const DrainOptions& options, const agent_v1::Instance* instance, agent_v1::DrainProgress::State state, std::string message) {
  agent_v1::DrainProgress out;
  if (instance) *out.mutable_instance() = *instance;
  out.set_state(state);
  out.set_message(std::move(message));
  options.progress(std::move(out));
}

Awaitable<void> evict(const DrainOptions& options, std::shared_ptr<Launcher> launcher, Asked& asked) {
  if (launcher->pod->deleting) co_return;
  const PodObject& pod = *launcher->pod;
  Json eviction = eviction_of(pod);
  client::Client client = options.client;
  auto done = co_await client.create_subresource(k8s::resources::kPods, pod.meta.ns, pod.meta.name, "eviction", eviction);
  std::string message = done.ok() ? std::string("evicted") : done.error().message;
  if (message == asked.told) co_return;
  asked.told = message;
  tell(options, &asked.instance, done.ok() ? agent_v1::DrainProgress::ASKED : agent_v1::DrainProgress::REFUSED, message);
}

}  // namespace

Awaitable<Result<void>> drain_node(DrainOptions options, StopToken stop) {
  Clock::Time begun = options.clock.now();
  std::map<std::string, Asked> asked;   // by pod uid
  for (;;) {
    std::set<std::string> here;
    std::vector<std::shared_ptr<Launcher>> launchers = options.view.launchers().all();
    for (const std::shared_ptr<Launcher>& launcher : launchers) {
      if (launcher->pod_gone || launcher->pod->ended()) continue;
      const std::string& uid = launcher->pod->meta.uid;
      here.insert(uid);
      Asked& entry = asked[uid];
      entry.instance = options.view.instance(*launcher);
      co_await evict(options, launcher, entry);
    }
    for (auto it = asked.begin(); it != asked.end();) {
      if (here.contains(it->first)) { ++it; continue; }
      tell(options, &it->second.instance, agent_v1::DrainProgress::GONE, "");
      it = asked.erase(it);
    }
    if (asked.empty()) {
      tell(options, nullptr, agent_v1::DrainProgress::DONE, "no instance is left on this node");
      co_return Result<void>{};
    }
    if (stop.stop_requested()) co_return Error{Code::Cancelled, "the drain is not waited for any more"};
    if (options.timeout.count() > 0 && options.clock.now() - begun >= options.timeout)
      co_return Error{Code::DeadlineExceeded, fmt::format("{} instances are still on this node", asked.size())};
    co_await options.clock.sleep(2s, stop);
  }
}

}  // namespace nodevirt::virt_handler
