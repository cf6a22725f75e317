// Definitions over time: registering what they serve, and taking their objects down with them.
#pragma once
#include "pkg/base/async.hpp"

namespace nodevirt::apiserver {

struct ServerState;

/// At start: every stored definition, and from then on each as it is committed.
void register_stored_definitions(ServerState& state);
/// Brings the registry in line with one stored definition (or its absence).
void register_definition(ServerState& state, const std::string& name);
/// Follows the definitions: registration is immediate; deleted ones lose their objects, then their
/// finalizer; names that became free go to definitions that were waiting for them.
Awaitable<void> run_definitions(ServerState& state, StopToken stop);

}  // namespace nodevirt::apiserver
