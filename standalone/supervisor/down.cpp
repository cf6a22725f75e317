#include <csignal>
#include <iostream>
#include <thread>
#include <unistd.h>

#include "standalone/supervisor/api_door.hpp"
#include "standalone/supervisor/control.hpp"
#include "standalone/supervisor/flags.hpp"
#include "standalone/supervisor/pods_left.hpp"
#include "standalone/supervisor/up.hpp"

namespace nodevirt::supervisor {
namespace {

using Steady = std::chrono::steady_clock;

struct DownOptions {
  std::string data_dir = std::string(kDefaultDataDir);
  bool keep_guests = false, force = false;
  int timeout = 180;
};

void say(const std::string& line) { std::cout << line << std::endl; }

Result<void> delete_pod(ApiDoor& api, const Json& pod, std::optional<std::int64_t> grace) {
  client::DeleteOptions o;
  o.grace_period_seconds = grace;
  o.uid = string_at(pod, {"metadata", "uid"});
  const std::string ns = string_at(pod, {"metadata", "namespace"}), name = string_at(pod, {"metadata", "name"});
  auto done = api.call([ns, name, o](client::Client& c) -> Awaitable<Result<Json>> { return c.remove(k8s::resources::kPods, ns, name, o); });
  if (!done.ok() && done.error().code != Code::NotFound) return done.error();
  return {};
}

/// Pods are told to end as by `kubectl delete pod`: guests get ACPI's power button and their grace period. Only
/// virt-controller is stopped before, so that nobody starts them again; what is to run is started by the next `up`.
Result<void> stop_guests(const DataDir& data, const DownOptions& o) {
  NV_TRY(auto api, ApiDoor::open(data));
  (void)ask_control(data, "stop-program virt-controller");
  const auto deadline = Steady::now() + std::chrono::seconds(o.timeout);
  std::set<std::string> told;
  bool forced = false;
  std::size_t before = 0;
  for (;;) {
    NV_TRY(Json list, api->list(k8s::resources::kPods));
    const Json* items = find(list, {"items"});
    std::size_t left = 0;
    if (items && items->is_array())
      for (const Json& pod : *items) {
        if (string_at(pod, {"spec", "nodeName"}).empty()) continue;   // never started
        const std::string phase = string_at(pod, {"status", "phase"});
        if (phase == "Succeeded" || phase == "Failed") continue;
        ++left;
        if (told.insert(string_at(pod, {"metadata", "uid"})).second) NV_TRY_VOID(delete_pod(*api, pod, std::nullopt));
        else if (Steady::now() > deadline && !forced) NV_TRY_VOID(delete_pod(*api, pod, 0));
      }
    if (left == 0) break;
    if (left != before) say(fmt::format("     waiting for {} guest{} to shut down", left, left == 1 ? "" : "s"));
    before = left;
    if (Steady::now() > deadline) {
      if (forced && Steady::now() > deadline + std::chrono::seconds(30))
        return Error{Code::DeadlineExceeded, fmt::format("{} guests do not end; see {}", left, data.log().string())};
      if (!forced) say("     out of patience: they are switched off");
      forced = true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  if (!told.empty()) say(fmt::format("[ok] {} guest{} stopped", told.size(), told.size() == 1 ? "" : "s"));
  return {};
}

Result<void> stop_programs(const DataDir& data, int pid) {
  if (auto asked = ask_control(data, "stop"); !asked.ok()) kill(pid, SIGTERM);
  const auto deadline = Steady::now() + std::chrono::seconds(30);
  while (lock_holder(data) != 0) {
    if (Steady::now() > deadline) return Error{Code::DeadlineExceeded, fmt::format("the supervisor (pid {}) does not end", pid)};
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  say("[ok] programs stopped");
  return {};
}

Result<void> bring_down(const DataDir& data, const DownOptions& o, const LinkedPrograms& linked) {
  NV_TRY_VOID(require_root("nodevirt down"));
  if (o.force && o.keep_guests) return Error{Code::InvalidArgument, "--force and --keep-guests contradict each other"};
  auto instance = load_instance(data);
  if (!instance.ok() && instance.error().code == Code::NotFound)
    return Error{Code::NotFound, fmt::format("nothing was set up in {} yet", data.root.string())};
  if (!instance.ok() && !o.force) return instance.error();
  int pid = lock_holder(data);
  if (pid == 0 && !o.keep_guests && !o.force && !pods_left(data).empty()) {
    say("     nothing but guests runs: taking them over in order to shut them down");
    if (up({"--data-dir", data.root.string(), "--detach"}, linked) != 0)
      return Error{Code::FailedPrecondition, "the guests cannot be taken over, and run on (--force switches them off)"};
    pid = lock_holder(data);
  }
  if (pid != 0) {
    if (!o.keep_guests && !o.force) {
      auto stopped = stop_guests(data, o);
      // Without an API server there is nobody to ask; that only matters when there is somebody to stop.
      if (!stopped.ok() && !pods_left(data).empty())
        return stopped.error().with_context("stop the guests (--keep-guests leaves them running, --force switches them off)");
    }
    NV_TRY_VOID(stop_programs(data, pid));
  } else {
    say("[ok] no program was running");
  }
  if (o.keep_guests) {
    say("[ok] guests run on; `nodevirt up` takes them over");
    return {};
  }
  if (auto left = pods_left(data); !left.empty() && o.force) {
    if (!kill_pods(data, std::chrono::seconds(10))) return Error{Code::DeadlineExceeded, "some guests do not end, though killed (blocked in the kernel?)"};
    say(fmt::format("[ok] {} guest{} switched off", left.size(), left.size() == 1 ? "" : "s"));
  } else if (!left.empty())
    return Error{Code::FailedPrecondition, fmt::format("{} guests still run, so their network stays; say `nodevirt down` again", left.size())};
  if (instance.ok()) NV_TRY_VOID(nodes::tear_down(instance->whole_topology()));
  else NV_TRY_VOID(nodes::tear_down_remains(nodes::instance_hash(data.root.string()), data.root == kDefaultDataDir));
  say("[ok] network removed; the state stays in " + data.root.string());
  return {};
}

}  // namespace

int down(std::vector<std::string> args, const LinkedPrograms& linked) {
  DownOptions o;
  std::vector<Flag> flags{
      string_flag("data-dir", 0, "DIR", "which instance (default /var/lib/nodevirt)", o.data_dir),
      switch_flag("keep-guests", 0, "stop the programs only; guests and their network stay", o.keep_guests),
      switch_flag("force", 0, "switch the guests off without asking anybody: also with a damaged state, or no API server", o.force),
      int_flag("timeout", 0, "SECONDS", "how long guests may take to shut down before they are switched off (default 180)", o.timeout, 0, 86400)};
  auto rest = parse_flags(args, flags);
  if (!rest.ok() && rest.error().reason == "Help") {
    std::cout << usage("nodevirt down [flags]", "Shuts the guests down, stops every program and removes the network. The state stays.", flags);
    return 0;
  }
  if (!rest.ok()) return complain(rest.error());
  if (!rest->empty()) return complain({Code::InvalidArgument, "down takes no argument: " + rest->front()});
  auto done = bring_down(data_dir_at(o.data_dir), o, linked);
  return done.ok() ? 0 : complain(done.error());
}

}  // namespace nodevirt::supervisor
