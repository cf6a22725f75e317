#include "standalone/podrunner/pod_status.hpp"

namespace nodevirt::podrunner {
namespace {

const Json* condition(const Json& conditions, std::string_view type) {
  for (const auto& c : conditions)
    if (string_at(c, {"type"}) == type) return &c;
  return nullptr;
}

struct Verdict {
  bool value = true;
  std::string reason, message;
};

Json render(const PodView& pod, std::string_view type, const Verdict& v, const std::string& now) {
  const std::string status = v.value ? "True" : "False";
  Json out{{"type", type}, {"status", status}, {"lastProbeTime", nullptr}, {"lastTransitionTime", now}};
  if (const Json* old = condition(pod.conditions, type); old && string_at(*old, {"status"}) == status)
    out["lastTransitionTime"] = string_at(*old, {"lastTransitionTime"}, now);
  // An explicit null takes away what an earlier status said.
  out["reason"] = v.reason.empty() ? Json() : Json(v.reason);
  out["message"] = v.message.empty() ? Json() : Json(v.message);
  return out;
}

Json container_state(const ContainerFacts& c) {
  Json state = Json::object();
  if (c.state == ContainerFacts::State::Waiting) {
    state["waiting"] = Json{{"reason", c.reason}};
    if (!c.message.empty()) state["waiting"]["message"] = c.message;
  } else if (c.state == ContainerFacts::State::Running) {
    state["running"] = Json{{"startedAt", c.started_at}};
  } else {
    Json t{{"exitCode", c.exit_code}, {"reason", c.reason}};
    if (!c.message.empty()) t["message"] = c.message;
    if (!c.started_at.empty()) t["startedAt"] = c.started_at;
    if (!c.finished_at.empty()) t["finishedAt"] = c.finished_at;
    if (!c.container_id.empty()) t["containerID"] = c.container_id;
    if (c.exit_code > 128 && c.exit_code < 193) t["signal"] = c.exit_code - 128;
    state["terminated"] = std::move(t);
  }
  return state;
}

/// `wanted` within `current`: null stands for absent, objects are compared member by member, conditions by type.
bool contains(const Json& current, const Json& wanted, bool conditions) {
  if (wanted.is_object()) {
    if (!current.is_object()) return false;
    for (const auto& [key, value] : wanted.items()) {
      const auto it = current.find(key);
      if (value.is_null()) {
        if (it != current.end() && !it->is_null()) return false;
      } else if (it == current.end() || !contains(*it, value, key == "conditions")) {
        return false;
      }
    }
    return true;
  }
  if (wanted.is_array() && conditions) {
    if (!current.is_array()) return false;
    for (const auto& w : wanted) {
      const Json* c = condition(current, string_at(w, {"type"}));
      if (!c || !contains(*c, w, false)) return false;
    }
    return true;
  }
  return current == wanted;
}

}  // namespace

Json compute_status(const PodView& pod, const PodFacts& facts, const std::string& now) {
  const auto& c = facts.container;
  using State = ContainerFacts::State;
  const bool refused = !facts.failed_reason.empty();
  std::string phase = "Pending";
  if (refused) phase = "Failed";
  else if (c.state == State::Running) phase = "Running";
  else if (c.state == State::Terminated) phase = c.exit_code == 0 ? "Succeeded" : "Failed";
  const bool over = phase == "Succeeded" || phase == "Failed";

  Json status{{"phase", phase}};
  status["reason"] = refused ? Json(facts.failed_reason) : Json();
  status["message"] = refused ? Json(facts.failed_message) : Json();
  if (!facts.host_ip.empty()) {
    status["hostIP"] = facts.host_ip;
    status["hostIPs"] = Json::array({Json{{"ip", facts.host_ip}}});
  }
  if (!facts.pod_ip.empty()) {
    status["podIP"] = facts.pod_ip;
    status["podIPs"] = Json::array({Json{{"ip", facts.pod_ip}}});
  }
  if (!facts.start_time.empty()) status["startTime"] = facts.start_time;
  status["qosClass"] = qos_class(pod);

  const std::string name = pod.containers.empty() ? "" : pod.containers[0].name;
  Verdict containers_ready, ready, initialized, network;
  if (phase == "Succeeded") {
    containers_ready = ready = {false, "PodCompleted", ""};
    initialized.reason = "PodCompleted";
  } else if (phase == "Failed") {
    containers_ready = ready = {false, refused ? facts.failed_reason : "PodFailed", ""};
  } else if (c.state != State::Running || !c.ready) {
    containers_ready = {false, "ContainersNotReady", "containers with unready status: [" + name + "]"};
    ready = containers_ready;
  }
  if (containers_ready.value) {
    std::string missing;
    for (const auto& gate : pod.readiness_gates) {
      const Json* g = condition(pod.conditions, gate);
      if (g && string_at(*g, {"status"}) == "True") continue;
      missing += (missing.empty() ? "" : ", ") + std::string(g ? "the status of pod readiness gate \"" : "corresponding condition of pod readiness gate \"") +
                 gate + (g ? "\" is not \"True\"" : "\" does not exist");
    }
    if (!missing.empty()) ready = {false, "ReadinessGatesNotReady", missing};
  }
  network.value = facts.network_ready && !over;
  status["conditions"] = Json::array();
  auto& conditions = status["conditions"];
  conditions.push_back(render(pod, "PodReadyToStartContainers", network, now));
  conditions.push_back(render(pod, "Initialized", initialized, now));
  conditions.push_back(render(pod, "Ready", ready, now));
  conditions.push_back(render(pod, "ContainersReady", containers_ready, now));
  conditions.push_back(render(pod, "PodScheduled", {}, now));

  if (!pod.containers.empty() && (!refused || c.state == State::Terminated)) {
    Json cs{{"name", name}, {"image", pod.containers[0].image}, {"imageID", pod.containers[0].image}, {"restartCount", 0},
            {"ready", c.state == State::Running && c.ready}, {"started", c.state == State::Running && c.started},
            {"state", container_state(c)}, {"lastState", Json::object()}};
    if (!c.container_id.empty()) cs["containerID"] = c.container_id;
    status["containerStatuses"] = Json::array({std::move(cs)});
  }
  return status;
}

bool status_differs(const Json& current, const Json& wanted) { return !contains(current, wanted, false); }

}  // namespace nodevirt::podrunner
