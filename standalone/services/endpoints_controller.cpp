#include "standalone/services/endpoints_controller.hpp"

#include "pkg/runtime/controller.hpp"
#include "standalone/services/endpoints.hpp"

namespace nodevirt::services {
namespace {

namespace res = k8s::resources;
using runtime::Informer;
using runtime::RawObject;

constexpr const char* kManager = "endpointslice-controller.k8s.io";

}  // namespace

struct EndpointsController::Impl {
  Impl(Executor e, client::Client c, Clock& k)
      : executor(e), client(c), services(c, k, {.resource = res::kServices}), pods(c, k, {.resource = res::kPods}),
        endpoints(c, k, {.resource = res::kEndpoints}),
        slices(c, k, {.resource = res::kEndpointSlices}), 
        controller(k, {.name = "endpoints"}, [this](std::string key) { return reconcile(this, std::move(key)); }) {
    services.on_change([this](const auto& old, const auto& now) { controller.enqueue((now ? now : old)->meta.key()); });
    pods.add_index("namespace", [](const BackendPod& p) { return std::vector<std::string>{p.meta.ns}; });
    services.add_index("namespace", [](const ServiceView& s) { return std::vector<std::string>{s.meta.ns}; });
    slices.add_index("service", [](const RawObject& s) { return std::vector<std::string>{service_key(s)}; });
    pods.on_change([this](const auto& old, const auto& now) { on_pod(old, now); });
    endpoints.on_change([this](const auto& old, const auto& now) { controller.enqueue((now ? now : old)->meta.key()); });
    slices.on_change([this](const auto& old, const auto& now) { controller.enqueue(service_key(*(now ? now : old))); });
  }

  static std::string service_key(const RawObject& slice) {
    auto it = slice.meta.labels.find("kubernetes.io/service-name");
    return slice.meta.ns + "/" + (it == slice.meta.labels.end() ? "" : it->second);
  }
  static bool managed(const RawObject& slice) {
    auto it = slice.meta.labels.find("endpointslice.kubernetes.io/managed-by");
    return it != slice.meta.labels.end() && it->second == kManager;
  }

  void on_pod(const std::shared_ptr<const BackendPod>& old, const std::shared_ptr<const BackendPod>& now) {
    if (old && now && old->ip == now->ip && old->ready == now->ready && old->phase == now->phase && old->node == now->node &&
        old->meta.labels == now->meta.labels && old->meta.deletion_timestamp == now->meta.deletion_timestamp)
      return;
    for (const auto& s : services.by_index("namespace", (now ? now : old)->meta.ns))
      if (s->has_selector && ((old && s->selector.matches(old->meta.labels)) || (now && s->selector.matches(now->meta.labels))))
        controller.enqueue(s->meta.key());
  }

  static Awaitable<Result<runtime::Action>> reconcile(Impl* me, std::string key) {
    auto service = me->services.get(key);
    if (service && !service->has_selector) co_return runtime::Action{};
    Json wanted_endpoints;
    std::vector<Json> wanted_slices;
    if (service && service->meta.deletion_timestamp.empty()) {
      Pods pods = me->pods.by_index("namespace", service->meta.ns);
      wanted_endpoints = endpoints_object(*service, pods);
      wanted_slices = slice_objects(*service, pods);
    }
    NV_CO_TRY_VOID(co_await me->apply_endpoints(key, wanted_endpoints));
    std::map<std::string, std::shared_ptr<const RawObject>> surplus;
    for (auto& s : me->slices.by_index("service", key))
      if (managed(*s)) surplus[s->meta.name] = s;
    for (Json& w : wanted_slices) {
      auto it = surplus.find(string_at(w, {"metadata", "name"}));
      std::shared_ptr<const RawObject> current = it == surplus.end() ? nullptr : it->second;
      if (current) surplus.erase(it);
      NV_CO_TRY_VOID(co_await me->apply(res::kEndpointSlices, current, std::move(w)));
    }
    for (auto& [name, s] : surplus) {
      client::DeleteOptions options;
      options.uid = s->meta.uid;
      auto gone = co_await me->client.remove(res::kEndpointSlices, s->meta.ns, s->meta.name, options);
      if (!gone.ok() && gone.error().code != Code::NotFound) co_return gone.error();
    }
    co_return runtime::Action{};
  }

  /// A Service that is gone takes along only what was written for it here.
  Awaitable<Result<void>> apply_endpoints(std::string key, Json wanted) {
    auto current = endpoints.get(key);
    if (!wanted.is_null()) {
      auto done = co_await apply(res::kEndpoints, current, std::move(wanted));
      co_return done;
    }
    if (!current || !current->meta.labels.contains("endpoints.kubernetes.io/managed-by")) co_return Result<void>{};
    client::DeleteOptions options;
    options.uid = current->meta.uid;
    auto gone = co_await client.remove(res::kEndpoints, current->meta.ns, current->meta.name, options);
    if (!gone.ok() && gone.error().code != Code::NotFound) co_return gone.error();
    co_return Result<void>{};
  }

  Awaitable<Result<void>> apply(k8s::Resource resource, std::shared_ptr<const RawObject> current, Json wanted) {
    const std::string ns = string_at(wanted, {"metadata", "namespace"}), name = string_at(wanted, {"metadata", "name"});
    if (!current) {
      auto made = co_await client.create(resource, ns, std::move(wanted));
      if (!made.ok()) co_return made.error().with_context("create " + resource.kind + " " + name);
      co_return Result<void>{};
    }
    const Json object = current->json();
    if (says_the_same(object, wanted)) co_return Result<void>{};
    wanted["metadata"]["resourceVersion"] = current->meta.resource_version;
    auto written = co_await client.replace(resource, ns, name, std::move(wanted));
    if (!written.ok()) co_return written.error().with_context("update " + resource.kind + " " + name);
    co_return Result<void>{};
  }

  Executor executor;
  client::Client client;
  Informer<ServiceView> services;
  Informer<BackendPod> pods;
  Informer<RawObject> endpoints, slices;
  runtime::Controller controller;
};

EndpointsController::EndpointsController(Executor executor, client::Client client, Clock& clock)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(client), clock)) {}

EndpointsController::~EndpointsController() = default;

Awaitable<void> EndpointsController::run(StopToken stop) {
  auto impl = impl_;
  spawn(impl->executor, impl->services.run(stop), "endpoints services");
  spawn(impl->executor, impl->pods.run(stop), "endpoints pods");
  spawn(impl->executor, impl->endpoints.run(stop), "endpoints endpoints");
  spawn(impl->executor, impl->slices.run(stop), "endpoints slices");
  const bool synced = co_await impl->services.synced(stop) && co_await impl->pods.synced(stop) && co_await impl->endpoints.synced(stop) &&
                      co_await impl->slices.synced(stop);
  if (synced) co_await impl->controller.run(stop);
}

}  // namespace nodevirt::services
