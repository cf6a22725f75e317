#include "standalone/podrunner/volume_files.hpp"

#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "pkg/runtime/controller.hpp"
#include "pkg/runtime/informer.hpp"
#include "standalone/volumes/names.hpp"

namespace nodevirt::podrunner {
namespace fs = std::filesystem;
using runtime::RawObject;
namespace {

/// The finalizer of `volume` at its index, or -1.
int finalizer_index(const Json& volume, std::string_view name) {
  const Json* list = find(volume, {"metadata", "finalizers"});
  if (!list || !list->is_array()) return -1;
  for (std::size_t i = 0; i < list->size(); ++i)
    if ((*list)[i].is_string() && (*list)[i].get<std::string>() == name) return static_cast<int>(i);
  return -1;
}

Result<void> remove_file(const Json& volume, const fs::path& volumes_dir) {
  // Retain means what it says: the object goes, the data stays.
  if (string_at(volume, {"spec", "persistentVolumeReclaimPolicy"}, "Retain") != "Delete") return {};
  const std::string name = string_at(volume, {"metadata", "name"});
  const fs::path dir = volumes_dir / name;
  if (name.empty() || name[0] == '.' || name.find('/') != std::string::npos || string_at(volume, {"spec", "local", "path"}) != dir.string()) return {};
  std::error_code ec;
  fs::remove_all(dir, ec);
  if (ec) return Error(Code::Internal, "remove " + dir.string() + ": " + ec.message());
  return {};
}

struct Clearing {
  client::Client client;
  const Options& options;
  runtime::Informer<RawObject> informer;

  Awaitable<Result<runtime::Action>> reconcile(std::string key) {
    auto object = informer.get(key);
    if (!object) co_return runtime::Action{};
    const Json volume = object->json();
    if (!volume_to_clear(volume, options.node_name)) co_return runtime::Action{};
    const auto dir = options.volumes_dir();
    auto work = [&volume, dir] { return remove_file(volume, dir); };
    NV_CO_TRY_VOID(co_await blocking(work));
    const int index = finalizer_index(volume, volumes::kFileFinalizer);
    const std::string path = "/metadata/finalizers/" + std::to_string(index);
    Json patch = Json::array();
    patch.push_back(Json{{"op", "test"}, {"path", path}, {"value", volumes::kFileFinalizer}});
    patch.push_back(Json{{"op", "remove"}, {"path", path}});
    auto done = co_await client.patch(k8s::resources::kPersistentVolumes, "", key, client::PatchType::Json, std::move(patch));
    if (!done.ok() && !k8s::is_not_found(done.error()) && !k8s::is_conflict(done.error()) && !k8s::is_failed_test(done.error()))
      co_return std::move(done).error();
    log::info("persistent volume {}: its file is removed", key);
    co_return runtime::Action{};
  }
};

}  // namespace

bool volume_to_clear(const Json& volume, const std::string& node) {
  if (!volumes::is_ours(volume) || string_at(volume, {"metadata", "deletionTimestamp"}).empty()) return false;
  if (finalizer_index(volume, volumes::kFileFinalizer) < 0 || finalizer_index(volume, volumes::kPvProtection) >= 0) return false;
  const Json* terms = find(volume, {"spec", "nodeAffinity", "required", "nodeSelectorTerms"});
  if (!terms || !terms->is_array() || terms->empty()) return true;  // shared: any node may
  for (const auto& term : *terms) {
    bool here = true;  // a term that names no host is true of every node: a shared volume
    const Json* expressions = find(term, {"matchExpressions"});
    if (expressions && expressions->is_array())
      for (const auto& e : *expressions) {
        if (string_at(e, {"key"}) != "kubernetes.io/hostname") continue;
        const Json* values = find(e, {"values"});
        here = here && values && values->is_array() && std::find(values->begin(), values->end(), Json(node)) != values->end();
      }
    if (here) return true;
  }
  return false;
}

Awaitable<void> run_volume_files(client::Client client, Clock& clock, const Options& options, StopToken stop) {
  const auto executor = co_await boost::asio::this_coro::executor;
  auto clearing = std::make_shared<Clearing>(Clearing{client, options, runtime::Informer<RawObject>(client, clock, {k8s::resources::kPersistentVolumes, "", "", ""})});
  runtime::Controller::Options controller_options;
  controller_options.name = "volume-files";
  controller_options.workers = 1;
  auto controller = std::make_shared<runtime::Controller>(clock, controller_options, [clearing](std::string key) { return clearing->reconcile(std::move(key)); });
  clearing->informer.on_change([controller](const auto&, const auto& now) {
    if (now && !now->meta.deletion_timestamp.empty()) controller->enqueue(now->meta.key());
  });
  auto follow = [](std::shared_ptr<Clearing> c, StopToken s) -> Awaitable<void> { co_await c->informer.run(s); };
  spawn(executor, follow(clearing, stop), "persistent volumes");
  co_await controller->run(stop);
}

}  // namespace nodevirt::podrunner
