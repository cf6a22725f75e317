#include <iostream>

#include "pkg/base/file.hpp"
#include "standalone/supervisor/api_door.hpp"
#include "standalone/supervisor/control.hpp"
#include "standalone/supervisor/flags.hpp"
#include "standalone/supervisor/pods_left.hpp"
#include "standalone/supervisor/status_text.hpp"
#include "standalone/supervisor/up.hpp"

namespace nodevirt::supervisor {
namespace {

/// Proportional set size in bytes, or 0 when it cannot be read.
std::int64_t memory_of(std::int64_t pid) {
  auto text = read_file(fmt::format("/proc/{}/smaps_rollup", pid), 64 << 10);
  auto at = text.ok() ? text->find("\nPss:") : std::string::npos;
  return at == std::string::npos ? 0 : std::strtoll(text->c_str() + at + 5, nullptr, 10) * 1024;
}

Json count_guests(const Json& list) {
  std::int64_t running = 0, all = 0;
  if (const Json* items = find(list, {"items"}); items && items->is_array())
    for (const Json& item : *items) {
      ++all;
      if (string_at(item, {"status", "phase"}) == "Running") ++running;
    }
  return {{"instances", all}, {"running", running}};
}

Json nodes_of(const Json& list) {
  Json out = Json::array();
  if (const Json* items = find(list, {"items"}); items && items->is_array())
    for (const Json& item : *items) {
      bool ready = false;
      if (const Json* conditions = find(item, {"status", "conditions"}); conditions && conditions->is_array())
        for (const Json& c : *conditions) ready = ready || (string_at(c, {"type"}) == "Ready" && string_at(c, {"status"}) == "True");
      out.push_back({{"name", string_at(item, {"metadata", "name"})}, {"ready", ready},
                     {"cordoned", bool_at(item, {"spec", "unschedulable"})}});
    }
  return out;
}

Result<Json> collect(const DataDir& data) {
  NV_TRY(Instance instance, load_instance(data));
  Json out{{"dataDir", data.root.string()}, {"kubeconfig", data.kubeconfig().string()}, {"listen", instance.listen}, {"running", false}, {"allowUserfaultfd", instance.userfaultfd}};
  if (auto now = read_file("/proc/sys/vm/unprivileged_userfaultfd", 16); now.ok()) out["unprivilegedUserfaultfd"] = *now == "1\n";
  if (lock_holder(data) == 0) {
    out["guestsLeft"] = pods_left(data).size();
    return out;
  }
  NV_TRY(Json supervisor, ask_control(data, "status"));
  out["running"] = true;
  std::int64_t total = memory_of(int_at(supervisor, {"pid"}));
  out["memoryBytes"] = total;
  for (Json& p : supervisor["programs"]) {
    std::int64_t bytes = int_at(p, {"pid"}) > 0 ? memory_of(int_at(p, {"pid"})) : 0;
    p["memoryBytes"] = bytes;
    total += bytes;
  }
  supervisor["memoryBytes"] = out["memoryBytes"];
  out["memoryBytes"] = total;
  out["supervisor"] = supervisor;
  auto api = ApiDoor::open(data);
  if (api.ok()) (*api)->patience = std::chrono::seconds(3);
  auto listed = api.ok() ? (*api)->list(k8s::resources::kNodes) : Result<Json>(api.error());
  if (!listed.ok()) {
    out["apiError"] = listed.error().message;
    return out;
  }
  out["nodes"] = nodes_of(*listed);
  if (auto vms = (*api)->list(k8s::resources::kVirtualMachines); vms.ok())
    if (const Json* items = find(*vms, {"items"}); items && items->is_array()) out["virtualMachines"] = items->size();
  if (auto vmis = (*api)->list(k8s::resources::kVirtualMachineInstances); vmis.ok()) out["guests"] = count_guests(*vmis);
  return out;
}

}  // namespace

int status(std::vector<std::string> args) {
  std::string data_dir(kDefaultDataDir), output;
  std::vector<Flag> flags{string_flag("data-dir", 0, "DIR", "which instance (default /var/lib/nodevirt)", data_dir),
                          string_flag("output", 'o', "FORMAT", "json: for programs", output)};
  auto rest = parse_flags(args, flags);
  if (!rest.ok() && rest.error().reason == "Help") {
    std::cout << usage("nodevirt status [flags]", "Shows what runs. Exit status 3 when nothing does.", flags);
    return 0;
  }
  if (!rest.ok()) return complain(rest.error());
  if (!rest->empty()) return complain({Code::InvalidArgument, "status takes no argument: " + rest->front()});
  if (!output.empty() && output != "json") return complain({Code::InvalidArgument, "--output can only be json"});
  const DataDir data = data_dir_at(data_dir);
  auto collected = collect(data);
  if (!collected.ok() && collected.error().code == Code::NotFound) {
    if (output == "json") std::cout << Json{{"dataDir", data.root.string()}, {"running", false}}.dump(2) << "\n";
    else std::cout << "nothing was set up in " << data.root.string() << " yet (`nodevirt up` does)\n";
    return 3;
  }
  if (!collected.ok()) return complain(collected.error());
  std::cout << (output == "json" ? collected->dump(2) + "\n" : status_text(*collected));
  return bool_at(*collected, {"running"}) ? 0 : 3;
}

}  // namespace nodevirt::supervisor
