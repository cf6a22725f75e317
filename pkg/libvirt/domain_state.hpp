// The words for what a domain is and does; the same as in api/proto/launcher.proto.
#pragma once
#include <string_view>

namespace nodevirt::libvirt {

/// virDomainState: NoState, Running, Blocked, Paused, Shutdown, Shutoff, Crashed, PMSuspended.
std::string_view state_word(int state);
/// The reason of a state, for example (Shutoff, VIR_DOMAIN_SHUTOFF_CRASHED) -> "Crashed".
std::string_view reason_word(int state, int reason);
/// virDomainEventType: Defined, Undefined, Started, Suspended, Resumed, Stopped, Shutdown, PMSuspended, Crashed.
std::string_view lifecycle_word(int event);
/// The detail of a lifecycle event, for example (Stopped, VIR_DOMAIN_EVENT_STOPPED_FAILED) -> "Failed".
std::string_view lifecycle_detail_word(int event, int detail);

}  // namespace nodevirt::libvirt
