#include "virt-controller/vm/machine.hpp"

#include <charconv>

#include "api/names.hpp"
#include "virt-controller/status_patch.hpp"
#include "virt-controller/vm/volumes.hpp"

namespace nodevirt::virt_controller::vm {

namespace {

constexpr std::pair<std::string_view, RunStrategy> kStrategies[] = {
    {"Always", RunStrategy::Always}, {"Halted", RunStrategy::Halted},
    {"Manual", RunStrategy::Manual}, {"RerunOnFailure", RunStrategy::RerunOnFailure},
    {"Once", RunStrategy::Once},     {"WaitAsReceiver", RunStrategy::WaitAsReceiver}};

void read_strategy(Machine& m, const Json& object) {
  const Json* running = find(object, {"spec", "running"});
  std::string text = string_at(object, {"spec", "runStrategy"});
  if (running && running->is_boolean() && !text.empty()) {
    m.complaint = "spec.running and spec.runStrategy exclude each other";
  } else if (running && running->is_boolean()) {
    m.by_running = true;
    m.strategy = running->get<bool>() ? RunStrategy::Always : RunStrategy::Halted;
  } else if (text.empty()) {
    m.strategy = RunStrategy::Halted;
  } else {
    for (const auto& [name, strategy] : kStrategies)
      if (name == text) m.strategy = strategy;
    if (!m.strategy) m.complaint = fmt::format("spec.runStrategy \"{}\" is not known", text.substr(0, 40));
  }
}

}  // namespace

std::string_view to_string(RunStrategy s) {
  for (const auto& [name, strategy] : kStrategies)
    if (strategy == s) return name;
  return "Halted";
}

Machine Machine::of(const Json& object) {
  Machine m;
  m.ns = string_at(object, {"metadata", "namespace"});
  m.name = string_at(object, {"metadata", "name"});
  m.uid = string_at(object, {"metadata", "uid"});
  m.generation = int_at(object, {"metadata", "generation"});
  m.deleting = !string_at(object, {"metadata", "deletionTimestamp"}).empty();
  m.orphaning = has_finalizer(object, "orphan");
  m.finalized = has_finalizer(object, api::kVmFinalizer);
  m.recorded_strategy = string_at(object, {"status", "runStrategy"});
  read_strategy(m, object);
  if (const Json* list = find(object, {"status", "stateChangeRequests"}); list && list->is_array())
    for (const auto& r : *list)
      m.requests.push_back({string_at(r, {"action"}), string_at(r, {"uid"}), string_at(r, {"data", "paused"}) == "true"});
  if (const Json* f = find(object, {"status", "startFailure"}); f && f->is_object()) {
    StartFailure failure{int_at(*f, {"consecutiveFailCount"}), string_at(*f, {"lastFailedVMIUID"}), std::nullopt};
    if (auto t = parse_time(string_at(*f, {"retryAfterTimestamp"})); t.ok()) failure.retry_after = *t;
    m.failure = std::move(failure);
  }
  m.must_be_recovered = needs_recovery(object);
  return m;
}

Instance Instance::of(const Json& object) {
  Instance i;
  i.uid = string_at(object, {"metadata", "uid"});
  i.phase = string_at(object, {"status", "phase"});
  i.owner = controller_of(object);
  i.deleting = !string_at(object, {"metadata", "deletionTimestamp"}).empty();
  if (const Json* list = find(object, {"status", "phaseTransitionTimestamps"}); list && list->is_array())
    for (const auto& t : *list) i.ran = i.ran || string_at(t, {"phase"}) == "Running";
  i.ran = i.ran || i.phase == "Running";
  i.ready = i.phase == "Running" && condition_is(object, "Ready", "True");
  i.paused = condition_is(object, "Paused", "True");
  i.revision = string_at(object, {"status", "virtualMachineRevisionName"});
  std::string generation = string_at(object, {"metadata", "annotations", api::kVmGenerationAnnotation});
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(generation.data(), generation.data() + generation.size(), value);
  if (!generation.empty() && error == std::errc() && end == generation.data() + generation.size()) i.generation = value;
  return i;
}

bool stop_requested(const Machine& m, const Instance& i) {
  return !m.requests.empty() && m.requests[0].action == "Stop" && m.requests[0].uid == i.uid;
}

bool rerun_wants_start(const Machine& m) {
  return m.start_requested() || m.recorded_strategy != to_string(RunStrategy::RerunOnFailure);
}

bool request_is_done(const Machine& m, const Instance* i) {
  if (m.requests.empty()) return false;
  const ChangeRequest& first = m.requests[0];
  if (first.action == "Stop") return !i || first.uid.empty() || first.uid != i->uid;
  if (first.action == "Start") {
    // "Halted" is the later word than a restart, or a start from before.
    if (m.strategy == RunStrategy::Halted && !m.start_of_halted()) return true;
    return i && !i->deleting && !i->final();
  }
  return true;  // nobody knows what it means
}

bool is_set_to_start(const Machine& m, const Instance* i) {
  if (!m.strategy || m.deleting) return false;
  switch (*m.strategy) {
    case RunStrategy::Always: return true;
    case RunStrategy::Halted: return false;
    case RunStrategy::Manual: return i ? !stop_requested(m, *i) : m.start_requested();
    case RunStrategy::RerunOnFailure: return i ? i->phase != "Succeeded" : rerun_wants_start(m);
    case RunStrategy::Once: return !i;
    case RunStrategy::WaitAsReceiver: return false;
  }
  return false;
}

Clock::Duration backoff_left(const Machine& m, Clock::WallTime now) {
  if (!m.failure || !m.failure->retry_after || *m.failure->retry_after <= now) return Clock::Duration::zero();
  // A clock that was set back must not keep a machine down for longer than the longest back-off.
  return std::min<Clock::Duration>(*m.failure->retry_after - now, std::chrono::seconds(300));
}

}  // namespace nodevirt::virt_controller::vm
