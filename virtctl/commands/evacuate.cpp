// evacuate NODE, evacuate-cancel.
#include <cstdio>
#include <set>

#include <CLI/CLI.hpp>

#include "api/names.hpp"
#include "pkg/base/clock.hpp"
#include "virtctl/commands/commands.hpp"
#include "virtctl/console/terminal.hpp"
#include "virtctl/migrate/evacuation.hpp"

namespace nodevirt::virtctl {

namespace {

namespace res = k8s::resources;

constexpr int kSomethingStays = 3, kTimeIsUp = 5;
constexpr auto kPoll = std::chrono::seconds(1);
constexpr std::size_t kShown = 20;

struct EvacuateFlags {
  std::string node;
  std::vector<std::string> words;
  bool shut_down = false, schedulable = false, dry_run = false, no_wait = false;
  std::int64_t timeout = 0;
  int exit_code = 0;
};

// The cluster's strategy counts for instances that name none; who may not read it is taken to have set none.
Awaitable<std::string> default_strategy(Session& session) {
  auto kubevirt = co_await session.client.get(res::kKubeVirts, std::string(api::kSystemNamespace), "kubevirt");
  std::string out = kubevirt.ok() ? string_at(*kubevirt, {"spec", "configuration", "evictionStrategy"}) : "";
  co_return out.empty() ? "None" : out;
}

Awaitable<Result<void>> cordon(Session& session, std::string node) {
  NV_CO_TRY(Json object, co_await session.client.get(res::kNodes, "", node));
  if (bool_at(object, {"spec", "unschedulable"})) co_return Result<void>{};
  Json patch = {{"spec", {{"unschedulable", true}}}};
  NV_CO_TRY(Json done, co_await session.client.patch(res::kNodes, "", node, client::PatchType::Merge, patch));
  std::printf("node/%s cordoned\n", node.c_str());
  co_return Result<void>{};
}

Awaitable<Result<std::vector<Evacuee>>> look(Session& session, std::string node, std::string fallback, bool shut_down) {
  client::ListOptions pods_of_instances;
  pods_of_instances.label_selector = std::string(api::kAppLabel) + "=virt-launcher";
  NV_CO_TRY(Json vmis, co_await session.client.list(res::kVirtualMachineInstances, ""));
  NV_CO_TRY(Json pods, co_await session.client.list(res::kPods, "", pods_of_instances));
  NV_CO_TRY(Json migrations, co_await session.client.list(res::kVirtualMachineInstanceMigrations, ""));
  co_return evacuees(vmis, pods, migrations, node, fallback, shut_down);
}

// A launcher whose instance is to be moved is refused with 429, and the instance marked: that is what is wanted. What
// the last refusal said.
Awaitable<Result<std::string>> evict(Session& session, Evacuee e, std::string node) {
  client::ListOptions of_instance;
  of_instance.label_selector = fmt::format("{}={}", api::kCreatedByLabel, e.uid);
  NV_CO_TRY(Json pods, co_await session.client.list(res::kPods, e.ns, of_instance));
  const Json* items = find(pods, {"items"});
  std::string said;
  if (!items || !items->is_array()) co_return said;
  for (const Json& pod : *items) {
    if (string_at(pod, {"spec", "nodeName"}) != node || !string_at(pod, {"metadata", "deletionTimestamp"}).empty()) continue;
    std::string name = string_at(pod, {"metadata", "name"});
    Json eviction = {{"apiVersion", "policy/v1"}, {"kind", "Eviction"}, {"metadata", {{"name", name}, {"namespace", e.ns}}}};
    auto done = co_await session.client.create_subresource(res::kPods, e.ns, name, "eviction", std::move(eviction));
    if (!done.ok() && done.error().code != Code::NotFound && done.error().reason != "TooManyRequests") co_return done.error();
    if (!done.ok() && done.error().code != Code::NotFound) said = done.error().message;
  }
  co_return said;
}

void tell_what_stays(const std::vector<Evacuee>& all) {
  for (std::size_t i = 0; i < all.size() && i < kShown; ++i) std::fprintf(stderr, "  %s: %s\n", all[i].key().c_str(), all[i].why.c_str());
  if (all.size() > kShown) std::fprintf(stderr, "  and %zu more\n", all.size() - kShown);
}

std::string state_line(const std::vector<Evacuee>& left) {
  const Evacuee* first = nullptr;
  for (const auto& e : left)
    if (e.fate != Evacuee::Fate::Stays && (!first || e.why.starts_with("Running"))) first = &e;
  return fmt::format("{} left on the node{}", left.size(), first ? fmt::format("; {}: {}", first->key(), first->why) : "");
}

Awaitable<Result<void>> evacuate(std::shared_ptr<EvacuateFlags> flags, Session& session) {
  Clock& clock = system_clock();
  const auto begun = clock.now();
  const std::string node = flags->node;
  std::string fallback = co_await default_strategy(session);
  if (!flags->schedulable && !flags->dry_run) NV_CO_TRY_VOID(co_await cordon(session, node));
  std::set<std::string> asked;
  Progress progress;
  for (;;) {
    NV_CO_TRY(auto left, co_await look(session, node, fallback, flags->shut_down));
    if (flags->dry_run) {
      for (const auto& e : left) std::printf("%s: %s\n", e.key().c_str(), e.fate == Evacuee::Fate::Evict ? "would be evicted" : e.why.c_str());
      co_return Result<void>{};
    }
    bool waits = false;
    for (auto& e : left) {
      waits = waits || e.fate != Evacuee::Fate::Stays;
      if (e.fate != Evacuee::Fate::Evict) continue;
      auto done = co_await evict(session, e, node);
      if (!done.ok()) co_return done.error().with_context("evict " + e.key());
      if (!done->empty()) e.why += " (" + *done + ")";
      if (asked.insert(e.uid).second) {
        progress.finish();
        std::printf("%s is to leave node %s\n", e.key().c_str(), node.c_str());
      }
    }
    if (left.empty()) {
      progress.finish();
      std::printf("node %s has no virtual machines\n", node.c_str());
      co_return Result<void>{};
    }
    bool late = flags->timeout > 0 && clock.now() - begun >= std::chrono::seconds(flags->timeout);
    if (!waits || flags->no_wait || late) {
      progress.finish();
      if (flags->no_wait && waits) co_return Result<void>{};
      std::fprintf(stderr, "error: %zu virtual machine(s) stay on node %s%s:\n", left.size(), node.c_str(), late && waits ? " (time is up; what was begun goes on)" : "");
      tell_what_stays(left);
      flags->exit_code = late && waits ? kTimeIsUp : kSomethingStays;
      co_return Result<void>{};
    }
    progress.show(state_line(left));
    StopToken never;
    co_await clock.sleep(kPoll, never);
  }
}

Awaitable<Result<void>> cancel_evacuation(std::shared_ptr<EvacuateFlags> flags, Session& session) {
  NV_CO_TRY(Target target, parse_target(flags->words, Kind::VirtualMachine));
  const char* type = target.kind == Kind::VirtualMachine ? "VM" : "VMI";
  NV_CO_TRY(Json vmi, co_await session.client.get(res::kVirtualMachineInstances, session.ns, target.name));
  std::string node = string_at(vmi, {"status", "nodeName"});
  if (node.empty()) co_return Error(Code::FailedPrecondition, fmt::format("{} {}/{} doesn't report Node name", type, session.ns, target.name));
  Json body = {{"evacuationNodeName", node}};
  if (flags->dry_run) body["dryRun"] = Json::array({"All"});
  auto done = co_await put_subresource(session, target.kind, target.name, "evacuate/cancel", body);
  if (!done.ok()) co_return done.error().with_context(fmt::format("error canceling evacuation for {} {}/{}", type, session.ns, target.name));
  std::printf("%s %s/%s was canceled evacuation%s\n", type, session.ns.c_str(), target.name.c_str(), flags->dry_run ? " (dry run)" : "");
  co_return Result<void>{};
}

}  // namespace

void add_evacuate(CLI::App& app, Globals& globals, int& exit_code) {
  auto flags = std::make_shared<EvacuateFlags>();
  CLI::App* sub = app.add_subcommand("evacuate", "Empty a node of its virtual machines, in order of their priority");
  sub->add_option("node", flags->node, "NODE")->required();
  sub->add_flag("--shut-down", flags->shut_down, "Shut down those that cannot or may not be migrated, instead of leaving them");
  sub->add_flag("--keep-schedulable", flags->schedulable, "Do not cordon the node first");
  sub->add_flag("--no-wait", flags->no_wait, "Return when everything has been asked for");
  sub->add_option("--timeout", flags->timeout, "Seconds to wait at most; 0: until the node is empty or nothing moves any more")->check(CLI::NonNegativeNumber);
  sub->add_flag("--dry-run", flags->dry_run, "Say what would be done");
  sub->callback([&globals, &exit_code, flags] {
    auto body = [flags](Session& session) { return evacuate(flags, session); };
    exit_code = with_session(globals, body);
    if (exit_code == 0) exit_code = flags->exit_code;
  });

  auto cancel_flags = std::make_shared<EvacuateFlags>();
  CLI::App* stop = app.add_subcommand("evacuate-cancel", "Take back that a virtual machine is to leave its node");
  stop->add_option("target", cancel_flags->words, "TYPE NAME (vm or vmi)")->required()->expected(1, 2);
  stop->add_flag("--dry-run", cancel_flags->dry_run, "Check the request, change nothing");
  stop->callback([&globals, &exit_code, cancel_flags] {
    auto body = [cancel_flags](Session& session) { return cancel_evacuation(cancel_flags, session); };
    exit_code = with_session(globals, body);
  });
}

}  // namespace nodevirt::virtctl
