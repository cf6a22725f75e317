#include "virt-controller/vm/revisions.hpp"

#include "pkg/k8s/status.hpp"
#include "virt-controller/vm/instance.hpp"

namespace nodevirt::virt_controller::vm {

namespace {
using k8s::resources::kControllerRevisions;
constexpr std::size_t kMaxKnown = 100000;
}  // namespace

Awaitable<Result<void>> Revisions::remember(const Json& machine) {
  return make(known_.contains(revision_name(string_at(machine, {"metadata", "uid"}), int_at(machine, {"metadata", "generation"})))
                  ? Json()
                  : build_revision(machine));
}

Awaitable<Result<void>> Revisions::make(Json revision) {
  if (revision.is_null()) co_return Result<void>();
  std::string ns = string_at(revision, {"metadata", "namespace"}), name = string_at(revision, {"metadata", "name"});
  std::string uid = string_at(revision, {"metadata", "labels", "kubevirt.io/vm-uid"});
  auto generation = int_at(revision, {"revision"});
  auto made = co_await client_.create(kControllerRevisions, ns, std::move(revision));
  if (!made.ok() && !k8s::is_already_exists(made.error())) co_return made.error().with_context("create revision " + name);
  if (known_.size() >= kMaxKnown) known_.clear();
  known_.insert(name);
  if (!made.ok() || generation <= 1) co_return Result<void>();

  client::ListOptions options;
  options.label_selector = "kubevirt.io/vm-uid=" + uid;
  auto all = co_await client_.list(kControllerRevisions, ns, options);
  if (!all.ok()) co_return all.error();
  const Json* items = find(*all, {"items"});
  std::vector<std::string> older;
  if (items && items->is_array())
    for (const auto& item : *items)
      if (std::string n = string_at(item, {"metadata", "name"}); !n.empty() && int_at(item, {"revision"}) < generation) older.push_back(std::move(n));
  for (const auto& n : older) {
    auto gone = co_await client_.remove(kControllerRevisions, ns, n);
    if (!gone.ok() && !k8s::is_not_found(gone.error())) co_return gone.error();
    known_.erase(n);
  }
  co_return Result<void>();
}

Awaitable<Result<Json>> Revisions::spec_of(std::string ns, std::string name) {
  auto revision = co_await client_.get(kControllerRevisions, std::move(ns), name);
  if (!revision.ok()) co_return revision.error();
  const Json* spec = find(*revision, {"data", "spec"});
  if (!spec) co_return Error(Code::NotFound, "NotFound", "revision " + name + " holds no spec");
  co_return *spec;
}

}  // namespace nodevirt::virt_controller::vm
