#include "standalone/volumes/volume_controller.hpp"

#include <sys/statvfs.h>

#include <boost/asio/this_coro.hpp>

#include "api/quantity.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "pkg/runtime/controller.hpp"
#include "pkg/runtime/event_recorder.hpp"
#include "pkg/runtime/informer.hpp"
#include "standalone/volumes/plan.hpp"

namespace nodevirt::volumes {
using runtime::RawObject;
namespace resources = k8s::resources;
namespace {

constexpr const char* kByClaim = "claim";

std::vector<std::string> claims_of_pod(const RawObject& pod) {
  std::vector<std::string> out;
  const Json object = pod.json();
  const Json* volumes = find(object, {"spec", "volumes"});
  if (volumes && volumes->is_array())
    for (const auto& v : *volumes)
      if (const auto name = string_at(v, {"persistentVolumeClaim", "claimName"}); !name.empty()) out.push_back(pod.meta.ns + "/" + name);
  return out;
}

std::string claim_of_volume(const RawObject& volume) {
  const Json object = volume.json();
  const auto ns = string_at(object, {"spec", "claimRef", "namespace"}), name = string_at(object, {"spec", "claimRef", "name"});
  return ns.empty() || name.empty() ? "" : ns + "/" + name;
}

}  // namespace

struct VolumeController::Impl : std::enable_shared_from_this<VolumeController::Impl> {
  Impl(client::Client c, Clock& k, Options o)
      : client(c), clock(k), options(std::move(o)), claims(c, k, {resources::kPersistentVolumeClaims, "", "", ""}),
        volumes(c, k, {resources::kPersistentVolumes, "", "", ""}), classes(c, k, {resources::kStorageClasses, "", "", ""}),
        pods(c, k, {resources::kPods, "", "", ""}) {}

  client::Client client;
  Clock& clock;
  Options options;
  runtime::Informer<RawObject> claims, volumes, classes, pods;
  std::unique_ptr<runtime::EventRecorder> events;
  std::unique_ptr<runtime::Controller> controller;
  std::map<std::string, std::string> told;         // key -> the last notice, so that each is told once

  std::string default_class() const {
    for (const auto& c : classes.list()) {
      const auto it = c->meta.annotations.find("storageclass.kubernetes.io/is-default-class");
      if (it != c->meta.annotations.end() && it->second == "true") return c->meta.name;
    }
    return "";
  }

  void tell(const std::string& key, const char* kind, const RawObject& object, const Notice& notice) {
    auto& last = told[key];
    if (last == notice.reason + notice.message) return;
    last = notice.reason + notice.message;
    events->event({"v1", kind, object.meta.ns, object.meta.name, object.meta.uid, object.meta.resource_version}, notice.type, notice.reason, notice.message);
  }

  /// Whether the machine's disk can hold one more volume at all. The files are sparse, so this only keeps a
  /// claim that could never be filled from being bound; a disk that is full says so.
  std::optional<std::string> no_space(const Json& volume) const {
    struct statvfs st {};
    if (::statvfs(options.data_dir.c_str(), &st) != 0) return std::nullopt;
    const auto free = static_cast<std::uint64_t>(st.f_bavail) * st.f_frsize;
    auto size = api::Quantity::parse(string_at(volume, {"spec", "capacity", "storage"}));
    const auto wanted = size.ok() ? static_cast<std::uint64_t>(std::max<std::int64_t>(0, size->value())) : 0;
    if (free < options.min_free || wanted > free)
      return fmt::format("failed to provision volume: {} bytes are wanted, and the disk of {} has {} left", wanted, options.data_dir, free);
    return std::nullopt;
  }

  static Awaitable<Result<void>> write(std::shared_ptr<Impl> self, Write w) {
    Result<Json> done;
    client::WriteOptions status;
    status.subresource = "status";
    switch (w.kind) {
      case Write::Kind::CreateVolume:
        done = co_await self->client.create(resources::kPersistentVolumes, "", std::move(w.body));
        if (!done.ok() && k8s::is_already_exists(done.error())) co_return Result<void>{};
        break;
      case Write::Kind::PatchVolume:
        done = co_await self->client.patch(resources::kPersistentVolumes, "", w.name, client::PatchType::Merge, std::move(w.body));
        break;
      case Write::Kind::PatchVolumeStatus:
        done = co_await self->client.patch(resources::kPersistentVolumes, "", w.name, client::PatchType::Merge, std::move(w.body), status);
        break;
      case Write::Kind::DeleteVolume: {
        client::DeleteOptions del;
        del.uid = string_at(w.body, {"uid"});
        done = co_await self->client.remove(resources::kPersistentVolumes, "", w.name, del);
        break;
      }
      case Write::Kind::PatchClaim:
        done = co_await self->client.patch(resources::kPersistentVolumeClaims, w.ns, w.name, client::PatchType::Merge, std::move(w.body));
        break;
      case Write::Kind::PatchClaimStatus:
        done = co_await self->client.patch(resources::kPersistentVolumeClaims, w.ns, w.name, client::PatchType::Merge, std::move(w.body), status);
        break;
    }
    if (!done.ok() && !k8s::is_not_found(done.error())) co_return std::move(done).error();
    co_return Result<void>{};
  }

  static Awaitable<Result<runtime::Action>> reconcile(std::shared_ptr<Impl> self, std::string key) {
    if (key.starts_with("pv/")) co_return co_await reconcile_volume(self, key.substr(3));
    co_return co_await reconcile_claim(self, key.substr(4));
  }

  static Awaitable<Result<runtime::Action>> reconcile_claim(std::shared_ptr<Impl> self, std::string key) {
    auto object = self->claims.get(key);
    if (!object) {
      self->told.erase("pvc/" + key);
      co_return runtime::Action{};
    }
    const Json claim = object->json();
    std::vector<Json> kept;
    Json storage_class;
    ClaimView view{claim, nullptr, {}, {}, self->options.data_dir + "/volumes", self->default_class()};
    if (auto sc = self->classes.get(string_at(claim, {"spec", "storageClassName"}))) {
      storage_class = sc->json();
      view.storage_class = &storage_class;
    }
    const auto volumes = self->volumes.list();
    const auto pods = self->pods.by_index(kByClaim, key);
    kept.reserve(volumes.size() + pods.size());
    for (const auto& v : volumes) view.volumes.push_back(&kept.emplace_back(v->json()));
    for (const auto& p : pods) view.pods.push_back(&kept.emplace_back(p->json()));
    Plan plan = plan_claim(view);
    for (auto& w : plan.writes) {
      if (w.kind == Write::Kind::CreateVolume) {
        if (auto why = self->no_space(w.body)) {
          self->tell("pvc/" + key, "PersistentVolumeClaim", *object, {"Warning", "ProvisioningFailed", *why});
          runtime::Action later;
          later.requeue_after = std::chrono::seconds(10);
          co_return later;
        }
      }
      auto written = co_await write(self, std::move(w));
      if (!written.ok()) co_return std::move(written).error();
    }
    for (const auto& n : plan.notices) self->tell("pvc/" + key, "PersistentVolumeClaim", *object, n);
    co_return runtime::Action{};
  }

  static Awaitable<Result<runtime::Action>> reconcile_volume(std::shared_ptr<Impl> self, std::string name) {
    auto object = self->volumes.get(name);
    if (!object) co_return runtime::Action{};
    const Json volume = object->json();
    const auto claim_key = claim_of_volume(*object);
    Json claim;
    const Json* found = nullptr;
    if (!claim_key.empty()) {
      if (auto c = self->claims.get(claim_key)) {
        claim = c->json();
        found = &claim;
      } else {
        // Gone from the cache; the volume is given up only when the server says so too.
        const auto slash = claim_key.find('/');
        auto asked = co_await self->client.get(resources::kPersistentVolumeClaims, claim_key.substr(0, slash), claim_key.substr(slash + 1));
        if (asked.ok()) {
          claim = std::move(*asked);
          found = &claim;
        } else if (!k8s::is_not_found(asked.error())) {
          co_return std::move(asked).error();
        }
      }
    }
    Plan plan = plan_volume(volume, found);
    for (auto& w : plan.writes) {
      auto written = co_await write(self, std::move(w));
      if (!written.ok()) co_return std::move(written).error();
    }
    co_return runtime::Action{};
  }

  static Awaitable<void> make_classes(std::shared_ptr<Impl> self, StopToken stop) {
    for (const auto& sc : storage_classes()) {
      while (!stop.stop_requested()) {
        // One that a person changed stays as it is; one that a person deleted comes back at the next start.
        auto made = co_await self->client.create(resources::kStorageClasses, "", sc);
        if (made.ok() || k8s::is_already_exists(made.error())) break;
        log::warning("storage class {}: {}", string_at(sc, {"metadata", "name"}), made.error().message);
        (void)co_await self->clock.sleep(std::chrono::seconds(1), stop);
      }
    }
  }

  void watch() {
    auto weak = weak_from_this();
    const auto claim = [weak](const std::string& key) {
      if (auto self = weak.lock(); self && !key.empty()) self->controller->enqueue("pvc/" + key);
    };
    const auto volume = [weak](const std::string& name) {
      if (auto self = weak.lock(); self && !name.empty()) self->controller->enqueue("pv/" + name);
    };
    claims.on_change([=](const auto& old, const auto& now) {
      if (now) claim(now->meta.key());
      auto self = weak.lock();
      if (!self) return;
      if (now && old) return;  // volumes care for claims that come and go
      for (const auto& v : self->volumes.list())
        if (claim_of_volume(*v) == (now ? now : old)->meta.key()) volume(v->meta.name);
    });
    volumes.on_change([=](const auto& old, const auto& now) {
      if (now) volume(now->meta.name);
      auto self = weak.lock();
      if (!self) return;
      const auto key = claim_of_volume(now ? *now : *old);
      if (!key.empty()) claim(key);
      else
        for (const auto& c : self->claims.list())
          if (string_at(c->json(), {"status", "phase"}) != "Bound") claim(c->meta.key());
    });
    classes.on_change([=](const auto&, const auto&) {
      auto self = weak.lock();
      if (!self) return;
      for (const auto& c : self->claims.list())
        if (string_at(c->json(), {"status", "phase"}) != "Bound") claim(c->meta.key());
    });
    pods.on_change([=](const auto& old, const auto& now) {
      // A claim that is being deleted waits for its last pod.
      if (now && now->meta.deletion_timestamp.empty() && old) {
        const auto phase = string_at(now->json(), {"status", "phase"});
        if (phase != "Succeeded" && phase != "Failed") return;
      }
      for (const auto& key : claims_of_pod(now ? *now : *old)) claim(key);
    });
    pods.add_index(kByClaim, claims_of_pod);
  }
};

VolumeController::VolumeController(client::Client client, Clock& clock, Options options)
    : impl_(std::make_shared<Impl>(std::move(client), clock, std::move(options))) {}
VolumeController::~VolumeController() = default;

Awaitable<void> VolumeController::run(StopToken stop) {
  auto self = impl_;
  const auto executor = co_await boost::asio::this_coro::executor;
  self->events = std::make_unique<runtime::EventRecorder>(executor, self->client, self->clock, "nodevirt-volumes");
  runtime::Controller::Options options;
  options.name = "volumes";
  options.workers = 1;  // two claims never look for the same free volume at once
  auto* raw = self.get();
  self->controller = std::make_unique<runtime::Controller>(self->clock, options, [raw](std::string key) {
    return Impl::reconcile(raw->shared_from_this(), std::move(key));
  });
  self->watch();
  auto follow = [](std::shared_ptr<Impl> i, runtime::Informer<RawObject>* informer, StopToken s) -> Awaitable<void> {
    (void)i;
    co_await informer->run(s);
  };
  for (auto* informer : {&self->claims, &self->volumes, &self->classes, &self->pods}) spawn(executor, follow(self, informer, stop), "volumes");
  spawn(executor, Impl::make_classes(self, stop), "storage classes");
  for (auto* informer : {&self->claims, &self->volumes, &self->classes, &self->pods}) {
    const bool synced = co_await informer->synced(stop);
    if (!synced) co_return;
  }
  co_await self->controller->run(stop);
}

}  // namespace nodevirt::volumes
