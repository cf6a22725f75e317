#include "virt-controller/migration/automatic.hpp"

#include <algorithm>

#include "api/names.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-controller/vmi/pod.hpp"

namespace nodevirt::virt_controller::migration {

namespace {

constexpr std::size_t kNamePart = 180;   // of the instance's name

Json object_of(const Automatic::Wanted& w) {
  std::string mark = vmi::pod_name("", w.attempt);
  const std::string& instance = w.instance->meta.name;
  std::string name = w.prefix + instance.substr(0, kNamePart) + "-" + mark.substr(mark.rfind('-') + 1);
  Json metadata = {{"name", name}, {"namespace", w.instance->meta.ns}, {"annotations", {{w.annotation.first, w.annotation.second}}},
                   {"labels", {{std::string(api::kMigrationSelectorLabel), vmi::label_value(instance)}}}};
  return {{"apiVersion", "kubevirt.io/v1"}, {"kind", "VirtualMachineInstanceMigration"}, {"metadata", std::move(metadata)},
          {"spec", {{"vmiName", instance}, {"priority", w.priority}}}};
}

}  // namespace

std::vector<MigrationInformer::Ptr> Automatic::history(const std::string& key) const {
  auto all = caches_.migrations.by_index("instance", key);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return std::tie(b->created, b->meta.uid) < std::tie(a->created, a->meta.uid); });
  return all;
}

Automatic::Failures Automatic::failures(const std::string& key, const std::function<bool(const MigrationObject&)>& ours) const {
  Failures out;
  for (const auto& m : history(key)) {
    if (!m->final()) continue;
    if (m->phase != "Failed" || !ours(*m)) break;
    ++out.count;
    if (auto at = parse_time(m->ended); !out.last && at.ok()) out.last = *at;
  }
  return out;
}

bool Automatic::awaited(const std::string& key, bool shown) {
  auto it = made_.find(key);
  if (it != made_.end() && (shown || ctx_.clock.now() >= it->second)) made_.erase(it);
  return made_.contains(key);
}

Awaitable<Result<void>> Automatic::make(Wanted w) {
  auto self = shared_from_this();
  Json migration = object_of(w);
  std::string key = w.instance->meta.key(), ns = w.instance->meta.ns, name = string_at(migration, {"metadata", "name"});
  auto about = reference_to(w.instance->json());
  made_[key] = ctx_.clock.now() + kEcho;
  auto made = co_await ctx_.client.create(k8s::resources::kVirtualMachineInstanceMigrations, ns, std::move(migration));
  if (!made.ok() && k8s::is_already_exists(made.error())) co_return Result<void>();
  if (!made.ok()) {
    made_.erase(key);
    ctx_.events.event(about, "Warning", "FailedCreate", "Error creating a Migration: " + made.error().message);
    co_return made.error().with_context("create a migration of " + key);
  }
  log::info("{}: migration {}/{}", w.why, ns, name);
  ctx_.events.event(about, "Normal", "SuccessfulCreate", "Created Migration " + name + w.purpose);
  co_return Result<void>();
}

}  // namespace nodevirt::virt_controller::migration
