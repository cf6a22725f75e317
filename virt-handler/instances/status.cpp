#include "virt-handler/instances/status.hpp"

#include <fmt/format.h>

#include "virt-handler/instances/conditions.hpp"
#include "virt-handler/instances/guest_status.hpp"

namespace nodevirt::virt_handler {
namespace {

void add_transition(Json& status, const std::string& phase, Clock::WallTime now) {
  Json& list = status["phaseTransitionTimestamps"];
  if (!list.is_array()) list = Json::array();
  for (const Json& item : list)
    if (string_at(item, {"phase"}) == phase) return;
  list.push_back(Json{{"phase", phase}, {"phaseTransitionTimestamp", format_time(now)}});
}

/// `message` is the launcher's: the disk, and QEMU's word for what happened.
std::string io_error(const std::string& message) {
  std::string out = "the guest was paused by an input or output error of a disk";
  if (!message.empty()) out += " (" + message + ")";
  if (message.find("enospc") != std::string::npos) out += ": no space is left where its data lies; unpause the guest when there is room again";
  return out;
}

void set_paused(Json& conditions, const launcher::v1::DomainState* domain, const std::string& message, Clock::WallTime now) {
  bool by_migration = domain && (domain->reason() == "Migration" || domain->reason().starts_with("Postcopy"));
  if (!domain || domain->state() != "Paused" || domain->reason() == "StartingUp" || by_migration) {
    remove_condition(conditions, "Paused");
    return;
  }
  if (domain->reason() == "IOError")
    set_condition(conditions, {"Paused", "True", "PausedIOError", io_error(message)}, now);
  else
    set_condition(conditions, {"Paused", "True", "PausedByUser", "the guest was paused by a user"}, now);
}

void set_conditions(Json& conditions, const StatusInput& in, const std::string& phase) {
  const Observation& seen = in.seen;
  bool active = seen.domain && is_active(*seen.domain) && phase == "Running";
  if (in.sync_error)
    set_condition(conditions, {"Synchronized", "False", in.sync_error->reason.empty() ? "SyncFailed" : in.sync_error->reason,
                               in.sync_error->message}, seen.now);
  else if (active || in.synced)
    remove_condition(conditions, "Synchronized");

  set_paused(conditions, active ? seen.domain : nullptr, seen.domain_message, seen.now);
  if (active && seen.domain->guest_agent()) set_condition(conditions, {"AgentConnected", "True", "", ""}, seen.now);
  else remove_condition(conditions, "AgentConnected");

  if (!active) return;
  for (auto& [type, can] : {std::pair{"LiveMigratable", live_migratable(*seen.vmi, in.object)}, {"StorageLiveMigratable", storage_live_migratable(*seen.vmi)}})
    set_condition(conditions, {type, can.possible ? "True" : "False", can.reason, can.message}, seen.now);
  if (seen.domain->domain_type() == "qemu")
    set_condition(conditions, {"SoftwareEmulation", "True", "NoUsableKVM", "this node has no usable KVM: the guest's processors are emulated"}, seen.now);
  else remove_condition(conditions, "SoftwareEmulation");
}

std::vector<EventText> events_of(const StatusInput& in, const PhaseOutcome& phase) {
  std::vector<EventText> out;
  const std::string& old = in.seen.vmi->status.phase;
  const api::Condition* told = in.seen.vmi->condition("Synchronized");
  if (in.sync_error && !(told && told->message == in.sync_error->message)) out.push_back({"Warning", "SyncFailed", in.sync_error->message});
  if (phase.phase == old) return out;
  if (phase.phase == "Running") {
    out.push_back({"Normal", "Created", "VirtualMachineInstance defined."});
    out.push_back({"Normal", "Started", "VirtualMachineInstance started."});
  } else if (phase.phase == "Succeeded") {
    out.push_back({"Normal", "Stopped", "The VirtualMachineInstance was shut down: " + phase.message + "."});
  } else if (phase.phase == "Failed") {
    out.push_back({"Warning", "Stopped", "The VirtualMachineInstance failed: " + phase.message + "."});
  }
  return out;
}

}  // namespace

StatusOutcome compute_status(const StatusInput& in) {
  StatusOutcome out;
  const Observation& seen = in.seen;
  const Json* stored = find(in.object, {"status"});
  out.status = stored && stored->is_object() ? *stored : Json::object();
  Json& status = out.status;
  if (seen.vmi->final_phase()) return out;

  PhaseOutcome phase = next_phase(in);
  bool became = phase.phase != seen.vmi->status.phase;
  if (became) {
    status["phase"] = phase.phase;
    add_transition(status, phase.phase, seen.now);
    if (phase.reason.empty()) status.erase("reason");
    else status["reason"] = phase.reason;
  }
  // Until it runs there is nothing to tell but why it does not: each write costs a start its time.
  if (phase.phase != "Running" && !became && !in.sync_error && !in.synced) return out;
  if (!in.node.empty()) status["nodeName"] = in.node;
  if (!seen.pod_uid.empty() && !in.node.empty()) status["activePods"][seen.pod_uid] = in.node;
  set_conditions(status["conditions"], in, phase.phase);
  if (status["conditions"].is_null() || status["conditions"].empty()) status.erase("conditions");
  if (phase.phase == "Running" && seen.domain && is_active(*seen.domain)) fill_guest_status(status, in);
  out.events = events_of(in, phase);
  return out;
}

Json status_patch(const Json& object, const Json& new_status) {
  Json patch = Json::array();
  const Json empty = Json::object();
  const Json* stored = find(object, {"status"});
  const Json& old = stored && stored->is_object() ? *stored : empty;
  if (old == new_status) return patch;
  patch.push_back(Json{{"op", "test"}, {"path", "/metadata/uid"}, {"value", string_at(object, {"metadata", "uid"})}});
  if (!stored) {
    patch.push_back(Json{{"op", "add"}, {"path", "/status"}, {"value", new_status}});
    return patch;
  }
  // All members of a status are plain words: nothing in their names needs escaping.
  for (const auto& [key, value] : old.items()) {
    if (new_status.contains(key) && new_status[key] == value) continue;
    patch.push_back(Json{{"op", "test"}, {"path", "/status/" + key}, {"value", value}});
    if (new_status.contains(key)) patch.push_back(Json{{"op", "replace"}, {"path", "/status/" + key}, {"value", new_status[key]}});
    else patch.push_back(Json{{"op", "remove"}, {"path", "/status/" + key}});
  }
  for (const auto& [key, value] : new_status.items())
    if (!old.contains(key)) patch.push_back(Json{{"op", "add"}, {"path", "/status/" + key}, {"value", value}});
  return patch;
}

}  // namespace nodevirt::virt_handler
