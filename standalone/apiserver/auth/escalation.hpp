// Nobody gives away more than they have: roles and bindings written by somebody who is no administrator.
#pragma once
#include "pkg/base/json.hpp"
#include "standalone/apiserver/request_info.hpp"
#include "standalone/apiserver/resources/resource_info.hpp"

namespace nodevirt::apiserver {

struct ServerState;

/// Forbidden when `object`, a role or binding, would give rights that `user` lacks, unless they may
/// `escalate` the role or `bind` what the binding refers to. Nothing is asked for other kinds, nor when an
/// update changes no right.
Result<void> check_escalation(ServerState& state, const UserInfo& user, const ResourceInfo& info, const Json& object, const Json* old);

}  // namespace nodevirt::apiserver
