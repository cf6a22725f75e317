#include "standalone/services/proxy.hpp"

#include "pkg/base/log.hpp"
#include "pkg/base/process.hpp"
#include "pkg/runtime/signal.hpp"

namespace nodevirt::services {
namespace {

constexpr auto kGather = std::chrono::milliseconds(5);
constexpr auto kRetry = std::chrono::seconds(2);

}  // namespace

struct Proxy::Impl {
  Impl(ClusterView& v, Clock& k, std::vector<Place> p, Apply a) : view(v), clock(k), places(std::move(p)), apply(std::move(a)), loaded(places.size()) {}

  std::vector<Target> targets() const {
    return targets_of(view.services(), [this](const std::string& ns, const std::string& name) { return view.slices(ns, name); });
  }

  Awaitable<void> loop(StopToken stop) {
    if (!co_await view.synced(stop)) co_return;
    while (!stop.stop_requested()) {
      dirty = false;
      const std::vector<Target> now = targets();
      for (std::size_t i = 0; i < places.size(); ++i) {
        std::string document = rules_document(places[i].rules, now);
        if (document == loaded[i]) continue;
        auto done = co_await apply(document, places[i].netns_fd);
        if (done.ok()) {
          loaded[i] = std::move(document);
          continue;
        }
        log::error("load the rules of services: {}", done.error().message);
        loaded[i].clear();
        dirty = true;
        co_await clock.sleep(kRetry, stop);
      }
      while (!dirty && !stop.stop_requested()) co_await wake.wait(stop);
      co_await clock.sleep(kGather, stop);
    }
  }

  ClusterView& view;
  Clock& clock;
  std::vector<Place> places;
  Apply apply;
  std::vector<std::string> loaded;
  runtime::Signal wake;
  bool dirty = true;
};

Proxy::Proxy(ClusterView& view, Clock& clock, std::vector<Place> places, Apply apply)
    : impl_(std::make_shared<Impl>(view, clock, std::move(places), apply ? std::move(apply) : Apply(&Proxy::load))) {
  view.on_change([weak = std::weak_ptr<Impl>(impl_)] {
    if (auto impl = weak.lock()) {
      impl->dirty = true;
      impl->wake.notify_all();
    }
  });
}

Proxy::~Proxy() = default;

Awaitable<void> Proxy::run(StopToken stop) {
  auto impl = impl_;
  co_await impl->loop(std::move(stop));
}

Awaitable<Result<void>> Proxy::load(std::string document, int netns_fd) {
  Command c{.argv = {"nft", "-f", "-"}, .input = std::move(document), .netns_fd = netns_fd};
  auto work = [c = std::move(c)]() -> Result<void> {
    auto done = check_output(c);
    if (!done.ok()) return done.error();
    return {};
  };
  auto result = co_await blocking(std::move(work));
  co_return result;
}

}  // namespace nodevirt::services
