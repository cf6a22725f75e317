#include <fmt/format.h>

#include "standalone/schema/cells.hpp"

namespace nodevirt::schema {

namespace {

std::string termination(const Json& t) {
  if (auto reason = string_at(t, {"reason"}); !reason.empty()) return reason;
  if (auto signal = int_at(t, {"signal"})) return fmt::format("Signal:{}", signal);
  return fmt::format("ExitCode:{}", int_at(t, {"exitCode"}));
}

const Json* state(const Json& status, std::string_view name) {
  const Json* s = find(status, {"state", name});
  return s && s->is_object() ? s : nullptr;
}

bool condition(const Json& pod, std::string_view type) {
  for (const Json& c : list_at(pod, {"status", "conditions"}))
    if (string_at(c, {"type"}) == type) return string_at(c, {"status"}) == "True";
  return false;
}

struct Summary {
  std::string reason;
  std::int64_t restarts = 0, ready = 0;
  std::string last_restart;

  void count_restarts(const Json& status) {
    restarts += int_at(status, {"restartCount"});
    if (auto t = string_at(status, {"lastState", "terminated", "finishedAt"}); t > last_restart) last_restart = t;
  }
};

bool restartable(const Json& pod, const std::string& name) {
  for (const Json& c : list_at(pod, {"spec", "initContainers"}))
    if (string_at(c, {"name"}) == name) return string_at(c, {"restartPolicy"}) == "Always";
  return false;
}

/// True while init containers still decide what the pod's status is.
bool summarize_init(const Json& pod, Summary& s, Summary& sidecars) {
  const Json& statuses = list_at(pod, {"status", "initContainerStatuses"});
  for (std::size_t i = 0; i < statuses.size(); ++i) {
    const Json& c = statuses[i];
    s.count_restarts(c);
    const bool sidecar = restartable(pod, string_at(c, {"name"}));
    if (sidecar) sidecars.count_restarts(c);
    const Json* ended = state(c, "terminated");
    if (ended && int_at(*ended, {"exitCode"}) == 0) continue;
    if (sidecar && bool_at(c, {"started"})) {
      s.ready += bool_at(c, {"ready"});
      continue;
    }
    const Json* waiting = state(c, "waiting");
    const std::string why = waiting ? string_at(*waiting, {"reason"}) : "";
    if (ended) s.reason = "Init:" + termination(*ended);
    else if (!why.empty() && why != "PodInitializing") s.reason = "Init:" + why;
    else s.reason = fmt::format("Init:{}/{}", i, list_at(pod, {"spec", "initContainers"}).size());
    return true;
  }
  return false;
}

void summarize_containers(const Json& pod, Summary& s) {
  bool running = false;
  const Json& statuses = list_at(pod, {"status", "containerStatuses"});
  for (std::size_t i = statuses.size(); i-- > 0;) {
    const Json& c = statuses[i];
    s.count_restarts(c);
    const Json* waiting = state(c, "waiting");
    const Json* ended = state(c, "terminated");
    if (waiting && !string_at(*waiting, {"reason"}).empty()) {
      s.reason = string_at(*waiting, {"reason"});
    } else if (ended) {
      s.reason = termination(*ended);
    } else if (bool_at(c, {"ready"}) && state(c, "running")) {
      running = true;
      ++s.ready;
    }
  }
  if (s.reason == "Completed" && running) s.reason = condition(pod, "Ready") ? "Running" : "NotReady";
}

std::string readiness_gates(const Json& pod) {
  const Json& gates = list_at(pod, {"spec", "readinessGates"});
  if (gates.empty()) return "<none>";
  std::size_t met = 0;
  for (const Json& g : gates) met += condition(pod, string_at(g, {"conditionType"}));
  return fmt::format("{}/{}", met, gates.size());
}

}  // namespace

Json pod_cells(const Json& pod, Clock::WallTime now) {
  const std::string phase = string_at(pod, {"status", "phase"});
  Summary s, sidecars;
  s.reason = string_at(pod, {"status", "reason"}, phase);
  if (s.reason.empty()) s.reason = phase;
  for (const Json& c : list_at(pod, {"status", "conditions"}))
    if (string_at(c, {"type"}) == "PodScheduled" && string_at(c, {"reason"}) == "SchedulingGated") s.reason = "SchedulingGated";

  if (!summarize_init(pod, s, sidecars) || condition(pod, "Initialized")) {
    s.restarts = sidecars.restarts;
    s.last_restart = sidecars.last_restart;
    summarize_containers(pod, s);
  }
  const bool ended = phase == "Succeeded" || phase == "Failed";
  if (!at(pod, {"metadata", "deletionTimestamp"}).is_null()) {
    if (string_at(pod, {"status", "reason"}) == "NodeLost") s.reason = "Unknown";
    else if (!ended) s.reason = "Terminating";
  }
  std::size_t total = list_at(pod, {"spec", "containers"}).size();
  for (const Json& c : list_at(pod, {"spec", "initContainers"})) total += string_at(c, {"restartPolicy"}) == "Always";
  std::string restarts = std::to_string(s.restarts);
  if (s.restarts && !s.last_restart.empty()) restarts += fmt::format(" ({} ago)", age_text(s.last_restart, now));

  std::string ip = string_at(pod, {"status", "podIP"});
  if (const Json& ips = list_at(pod, {"status", "podIPs"}); !ips.empty()) ip = string_at(ips[0], {"ip"}, ip);
  Json cells = Json::array();
  cells.push_back(string_at(pod, {"metadata", "name"}));
  cells.push_back(fmt::format("{}/{}", s.ready, total));
  cells.push_back(s.reason);
  cells.push_back(restarts);
  cells.push_back(age_text(at(pod, {"metadata", "creationTimestamp"}), now));
  cells.push_back(or_none(ip));
  cells.push_back(or_none(string_at(pod, {"spec", "nodeName"})));
  cells.push_back(or_none(string_at(pod, {"status", "nominatedNodeName"})));
  cells.push_back(readiness_gates(pod));
  return cells;
}

}  // namespace nodevirt::schema
