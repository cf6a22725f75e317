#include "standalone/podrunner/pod_runner.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include "pkg/base/log.hpp"
#include "pkg/base/process.hpp"
#include "pkg/runtime/informer.hpp"
#include "standalone/podrunner/network_namespace.hpp"
#include "standalone/podrunner/node_agent.hpp"
#include "standalone/podrunner/pod_start.hpp"
#include "standalone/podrunner/pod_worker.hpp"
#include "standalone/podrunner/volume_files.hpp"

namespace nodevirt::podrunner {
namespace fs = std::filesystem;
using runtime::RawObject;

struct PodRunner::Impl : std::enable_shared_from_this<PodRunner::Impl> {
  Impl(client::Client c, Clock& k, Options o)
      : client(c), clock(k), options(std::move(o)), informer(c, k, {k8s::resources::kPods, "", "", "spec.nodeName=" + options.node_name}) {}

  client::Client client;
  Clock& clock;
  Options options;
  runtime::Informer<RawObject> informer;
  std::optional<Executor> executor;
  std::unique_ptr<ImagePuller> images;
  std::unique_ptr<runtime::EventRecorder> events;
  CgroupLayout cgroups;
  std::map<std::string, std::shared_ptr<PodWorker>> workers;  // by uid
  StopToken stop;
  Fd lock;
  bool ready = false;                                         // what earlier runners left has been sorted out

  std::optional<Refusal> admit(const PodView& pod) {
    if (auto refusal = unsupported(pod, options.launcher_image)) return refusal;
    std::vector<const PodView*> others;
    for (const auto& [uid, worker] : workers)
      if (uid != pod.uid && worker->occupies()) others.push_back(&worker->pod());
    return does_not_fit(pod, others, {options.cpu, options.memory, options.pods});
  }

  static Awaitable<void> work(std::shared_ptr<Impl> self, std::shared_ptr<PodWorker> worker) {
    co_await worker->run(self->stop);
    if (worker->finished()) self->workers.erase(worker->pod().uid);
  }

  void add(PodView pod, std::shared_ptr<const Json> object, bool gone) {
    PodWorker::Deps deps{options, client, clock, *events, *images, cgroups, [this](const PodView& p) { return admit(p); }};
    const std::string uid = pod.uid;
    auto worker = std::make_shared<PodWorker>(std::move(deps), *executor, std::move(pod), std::move(object), gone);
    workers[uid] = worker;
    spawn(*executor, work(shared_from_this(), worker), "pod " + uid);
  }

  void changed(const std::shared_ptr<const RawObject>& old, const std::shared_ptr<const RawObject>& now) {
    if (!ready) return;
    if (old && (!now || old->meta.uid != now->meta.uid))
      if (const auto it = workers.find(old->meta.uid); it != workers.end()) it->second->removed();
    if (!now) return;
    auto object = std::make_shared<const Json>(now->json());
    auto view = PodView::decode(*object);
    if (!view.ok()) {
      log::warning("{}", view.error().message);
      return;
    }
    if (const auto it = workers.find(now->meta.uid); it != workers.end()) it->second->update(std::move(*view), std::move(object));
    else add(std::move(*view), std::move(object), false);
  }

  /// The lock is of this runner's process; one that was killed has let go of it.
  Result<void> take_lock() {
    NV_TRY_VOID(make_dirs(options.node_dir(), 0711));
    const auto path = options.node_dir() / "runner.lock";
    lock.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock) return errno_error(errno, "open " + path.string());
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
      return Error(Code::FailedPrecondition, "another pod runner serves the node " + options.node_name + " (" + path.string() + ")");
    return {};
  }

  Result<void> prepare_node() {
    NV_TRY_VOID(make_dirs(options.pods_dir(), 0711));
    NV_TRY_VOID(make_dirs(options.netns_dir(), 0755));
    cgroups = options.cgroups ? CgroupLayout::detect() : CgroupLayout{};
    if (!options.masquerade || options.cni.pod_cidr.empty()) return {};
    const std::string inside = options.cluster_cidr.empty() ? options.cni.pod_cidr : options.cluster_cidr;
    Command nft;
    nft.argv = {"nft", "-f", "-"};
    nft.input = fmt::format(
        "table ip nodevirt-pods {{}}\ndelete table ip nodevirt-pods\ntable ip nodevirt-pods {{\n chain postrouting {{\n"
        "  type nat hook postrouting priority srcnat; policy accept;\n  ip saddr {} ip daddr != {} oifname != \"{}\" masquerade\n }}\n}}\n",
        options.cni.pod_cidr, inside, options.cni.bridge);
    auto done = check_output(nft);
    if (!done.ok()) return done.error().with_context("set up the pods' way out (package nftables)");
    return {};
  }

  /// Pods of the disk: those that the server knows too are taken over as they come; others are ended.
  void sort_out() {
    std::error_code ec;
    std::vector<std::string> holders, uids;
    std::set<std::string> known;
    for (const auto& object : informer.list()) known.insert(object->meta.uid);
    for (auto it = fs::directory_iterator(options.pods_dir(), ec); !ec && it != fs::directory_iterator(); it.increment(ec)) {
      const std::string uid = it->path().filename().string();
      uids.push_back(uid);
      holders.push_back(options.node_name + "." + uid);
      if (known.contains(uid)) continue;
      auto object = read_state(it->path() / "pod.json");
      auto view = object ? PodView::decode(*object) : Result<PodView>(Error(Code::NotFound, "no pod.json"));
      if (view.ok() && view->uid == uid) {
        log::info("pod {} ({}) is unknown to the server: it is ended", view->key(), uid);
        add(std::move(*view), std::make_shared<const Json>(std::move(*object)), true);
        continue;
      }
      // Killed while its folder was made or removed: there are no processes then.
      PodPaths paths(options, uid, "none");
      (void)take_down(options, paths, {uid, paths.netns.string(), "", "", uid, {}}, cgroups);
      auto removed = remove_pod(options, paths, options.node_name + "." + uid, images->store());
      if (!removed.ok()) log::warning("{}", removed.error().message);
    }
    images->store().release_all_but(options.node_name + ".", holders);
    std::error_code e2;
    for (auto it = fs::directory_iterator(options.netns_dir(), e2); !e2 && it != fs::directory_iterator(); it.increment(e2))
      if (std::find(uids.begin(), uids.end(), it->path().filename().string()) == uids.end()) {
        (void)kill_sandbox(it->path().string(), 50);
        (void)remove_network_namespace(it->path());
      }
    CniOptions cni = options.cni;
    if (cni.data_dir.empty()) cni.data_dir = options.node_dir() / "cni";
    for (const auto& id : cni_leases(cni))
      if (std::find(uids.begin(), uids.end(), id) == uids.end())
        (void)cni_del(cni, {id, "", "", "", id, {}}, Json());
  }

  static Awaitable<void> housekeeping(std::shared_ptr<Impl> self) {
    while (true) {
      const bool more = co_await self->clock.sleep(std::chrono::seconds(30), self->stop);
      if (!more) co_return;
      std::vector<std::shared_ptr<PodWorker>> all;
      for (const auto& [uid, worker] : self->workers) all.push_back(worker);
      for (const auto& worker : all) co_await worker->housekeeping();
    }
  }
};

PodRunner::PodRunner(client::Client client, Clock& clock, Options options)
    : impl_(std::make_shared<Impl>(std::move(client), clock, std::move(options))) {}
PodRunner::~PodRunner() = default;

Awaitable<void> PodRunner::run(StopToken stop) {
  auto self = impl_;
  self->stop = stop;
  self->executor = co_await boost::asio::this_coro::executor;
  auto store = self->options.images;
  if (!store) store = std::make_shared<images::Store>(images::Store::Options{self->options.data_dir / "images", {}, {}});
  self->images = std::make_unique<ImagePuller>(*self->executor, store);
  self->events = std::make_unique<runtime::EventRecorder>(*self->executor, self->client, self->clock, "nodevirt-podrunner", self->options.node_name);

  bool complained = false;
  while (true) {
    auto prepare = [self]() -> Result<void> {
      NV_TRY_VOID(self->take_lock());
      return self->prepare_node();
    };
    auto prepared = co_await blocking(prepare);
    if (prepared.ok()) break;
    if (!complained) log::error("node {}: {}", self->options.node_name, prepared.error().message);
    complained = true;
    const bool again = co_await self->clock.sleep(std::chrono::seconds(1), stop);
    if (!again) co_return;
  }
  auto agent = [](std::shared_ptr<Impl> i, StopToken s) -> Awaitable<void> { co_await run_node_agent(i->client, i->clock, i->options, s); };
  auto files = [](std::shared_ptr<Impl> i, StopToken s) -> Awaitable<void> { co_await run_volume_files(i->client, i->clock, i->options, s); };
  auto follow = [](std::shared_ptr<Impl> i, StopToken s) -> Awaitable<void> { co_await i->informer.run(s); };
  spawn(*self->executor, agent(self, stop), "node agent");
  spawn(*self->executor, files(self, stop), "volume files");
  auto* raw = self.get();
  self->informer.on_change([raw](const auto& old, const auto& now) { raw->changed(old, now); });
  spawn(*self->executor, follow(self, stop), "pods");
  const bool synced = co_await self->informer.synced(stop);
  if (!synced) co_return;
  // On this thread: workers are made here, and there is nothing else to do yet.
  self->sort_out();
  self->ready = true;
  const auto first = self->informer.list();
  for (const auto& object : first) self->changed(nullptr, object);
  spawn(*self->executor, Impl::housekeeping(self), "pod housekeeping");
  while (!stop.stop_requested()) (void)co_await self->clock.sleep(std::chrono::hours(24), stop);
}

}  // namespace nodevirt::podrunner
