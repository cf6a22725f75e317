// What a pod needs from elsewhere before it can start: images, Secrets and ConfigMaps, claims.
#include "pkg/k8s/status.hpp"
#include "standalone/podrunner/pod_worker.hpp"

namespace nodevirt::podrunner {

Awaitable<Result<std::map<std::string, images::Image>>> PodWorker::fetch_images(StopToken stop) {
  struct Wanted {
    std::string volume, reference;
    images::PullPolicy policy;
  };
  std::map<std::string, images::Image> out;
  std::vector<Wanted> wanted;
  for (const auto& v : pod_.volumes) {
    const Json* image = find(v, {"image"});
    if (!image) continue;
    const std::string reference = string_at(*image, {"reference"});
    wanted.push_back({string_at(v, {"name"}), reference, images::pull_policy(string_at(*image, {"pullPolicy"}), reference)});
  }
  if (wanted.empty()) co_return out;
  auto* store = &deps_.images.store();
  const auto mark = holder();
  for (const auto& w : wanted) {
    auto look = [store, mark, w] { return store->find(w.reference, w.policy, mark); };
    auto found = co_await blocking(look);
    if (!found.ok() && found.error().code == Code::NotFound && w.policy != images::PullPolicy::Never) {
      facts_.container.reason = "ContainerCreating";
      event("Normal", "Pulling", "Pulling image \"" + w.reference + "\"");
      auto logins = co_await fetch_logins();
      if (!logins.ok()) co_return std::move(logins).error();
      auto pull = deps_.images.pull(w.reference, w.policy, *logins);
      // The status says meanwhile that the pod is being made; its deletion does not wait for the fetch.
      (void)co_await report();
      while (!pull.done() && !ending() && !stop.stop_requested()) {
        auto notify = [](Task<Result<images::Image>> task, std::weak_ptr<PodWorker> weak) -> Awaitable<void> {
          co_await task.ready();
          if (auto me = weak.lock()) me->wake_.notify();
        };
        spawn(executor_, notify(pull, weak_from_this()), "image wait");
        co_await wake_.wait(deps_.clock, std::nullopt, stop);
      }
      if (!pull.done()) co_return Error(Code::Cancelled, "the pod ends");
      if (!pull.value().ok()) co_return pull.value().error();
      auto again = [store, mark, w] { return store->find(w.reference, images::PullPolicy::IfNotPresent, mark); };
      found = co_await blocking(again);
      if (found.ok()) event("Normal", "Pulled", "Successfully pulled image \"" + w.reference + "\"");
    } else if (!found.ok() && w.policy == images::PullPolicy::Never) {
      auto explain = [store, mark, w] { return store->resolve(w.reference, w.policy, mark); };
      found = co_await blocking(explain);
    }
    if (!found.ok()) {
      auto error = found.error();
      if (error.reason.empty()) error.reason = "ErrImagePull";
      co_return error;
    }
    out.emplace(w.volume, std::move(*found));
  }
  co_return out;
}

/// The registries' logins of the pod's imagePullSecrets, as one document; empty when there are none.
Awaitable<Result<std::string>> PodWorker::fetch_logins() {
  Json all = Json::object();
  const auto names = pod_.image_pull_secrets;
  for (const auto& name : names) {
    auto secret = co_await deps_.client.get(k8s::resources::kSecrets, pod_.ns, name);
    if (!secret.ok() && k8s::is_not_found(secret.error())) {
      event("Warning", "FailedToRetrieveImagePullSecret", "Unable to retrieve the image pull secret " + name);
      continue;
    }
    if (!secret.ok()) co_return std::move(secret).error();
    const Objects one{{{"Secret", name}, std::move(*secret)}};
    auto text = object_value(one, {"Secret", name}, ".dockerconfigjson");
    auto logins = text.ok() ? parse_json(*text) : Result<Json>(text.error());
    const Json* auths = logins.ok() ? find(*logins, {"auths"}) : nullptr;
    if (!auths || !auths->is_object())
      co_return Error(Code::InvalidArgument, "ErrImagePull", "image pull secret " + name + " is not of type kubernetes.io/dockerconfigjson");
    for (const auto& [host, login] : auths->items()) all["auths"][host] = login;
  }
  co_return all.empty() ? std::string() : dump_json(all);
}

Awaitable<Result<Objects>> PodWorker::fetch_objects() {
  Objects out;
  const auto names = referenced_objects(pod_);
  for (const auto& name : names) {
    const auto& resource = name.kind == "Secret" ? k8s::resources::kSecrets : k8s::resources::kConfigMaps;
    auto object = co_await deps_.client.get(resource, pod_.ns, name.name);
    if (object.ok()) out.emplace(name, std::move(*object));
    else if (!k8s::is_not_found(object.error())) {
      auto error = object.error().with_context("get " + name.kind + " " + name.name);
      error.reason = "FailedMount";
      co_return error;
    }
  }
  co_return out;
}

Awaitable<Result<std::map<std::string, Json>>> PodWorker::fetch_claims() {
  std::map<std::string, Json> out;
  const auto failed = [](std::string message) { return Error(Code::FailedPrecondition, "FailedMount", std::move(message)); };
  for (const auto& v : pod_.volumes) {
    const std::string name = string_at(v, {"persistentVolumeClaim", "claimName"});
    if (name.empty() || out.contains(name)) continue;
    auto claim = co_await deps_.client.get(k8s::resources::kPersistentVolumeClaims, pod_.ns, name);
    if (!claim.ok()) co_return failed("claim " + name + ": " + claim.error().message);
    const std::string volume_name = string_at(*claim, {"spec", "volumeName"});
    if (string_at(*claim, {"status", "phase"}) != "Bound" || volume_name.empty())
      co_return failed("claim " + name + " is not bound to a volume yet");
    auto volume = co_await deps_.client.get(k8s::resources::kPersistentVolumes, "", volume_name);
    if (!volume.ok()) co_return failed("volume " + volume_name + " of claim " + name + ": " + volume.error().message);
    if (string_at(*volume, {"spec", "claimRef", "uid"}) != string_at(*claim, {"metadata", "uid"}))
      co_return failed("volume " + volume_name + " belongs to another claim than " + name);
    out.emplace(name, std::move(*volume));
  }
  co_return out;
}

}  // namespace nodevirt::podrunner
