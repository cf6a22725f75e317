#include "pkg/libvirt/domain_state.hpp"

#include <cstddef>
#include <span>

#include <libvirt/libvirt.h>

namespace nodevirt::libvirt {

namespace {

using Words = std::span<const std::string_view>;

std::string_view pick(Words words, int i) {
  return i >= 0 && static_cast<std::size_t>(i) < words.size() ? words[static_cast<std::size_t>(i)] : "Unknown";
}

constexpr std::string_view kStates[] = {"NoState", "Running", "Blocked", "Paused",
                                        "Shutdown", "Shutoff", "Crashed", "PMSuspended"};
constexpr std::string_view kRunning[] = {"Unknown", "Booted", "Migrated", "Restored", "FromSnapshot", "Unpaused",
                                         "MigrationCanceled", "SaveCanceled", "Wakeup", "Crashed", "Postcopy",
                                         "PostcopyFailed"};
constexpr std::string_view kPaused[] = {"Unknown", "User", "Migration", "Save", "Dump", "IOError", "Watchdog",
                                        "FromSnapshot", "ShuttingDown", "Snapshot", "Crashed", "StartingUp",
                                        "Postcopy", "PostcopyFailed", "ApiError"};
constexpr std::string_view kShutdown[] = {"Unknown", "User"};
constexpr std::string_view kShutoff[] = {"Unknown", "Shutdown", "Destroyed", "Crashed", "Migrated",
                                         "Saved", "Failed", "FromSnapshot", "Daemon"};
constexpr std::string_view kCrashed[] = {"Unknown", "Panicked"};

constexpr std::string_view kLifecycle[] = {"Defined", "Undefined", "Started", "Suspended", "Resumed",
                                           "Stopped", "Shutdown", "PMSuspended", "Crashed"};
constexpr std::string_view kStarted[] = {"Booted", "Migrated", "Restored", "FromSnapshot", "Wakeup"};
constexpr std::string_view kSuspended[] = {"Paused", "Migrated", "IOError", "Watchdog", "Restored",
                                           "FromSnapshot", "ApiError", "Postcopy", "PostcopyFailed"};
constexpr std::string_view kResumed[] = {"Unpaused", "Migrated", "FromSnapshot", "Postcopy", "PostcopyFailed"};
constexpr std::string_view kStopped[] = {"Shutdown", "Destroyed", "Crashed", "Migrated", "Saved", "Failed",
                                         "FromSnapshot"};
constexpr std::string_view kShutdownBy[] = {"Finished", "Guest", "Host"};

}  // namespace

std::string_view state_word(int state) { return pick(kStates, state); }

std::string_view reason_word(int state, int reason) {
  switch (state) {
    case VIR_DOMAIN_RUNNING: return pick(kRunning, reason);
    case VIR_DOMAIN_PAUSED: return pick(kPaused, reason);
    case VIR_DOMAIN_SHUTDOWN: return pick(kShutdown, reason);
    case VIR_DOMAIN_SHUTOFF: return pick(kShutoff, reason);
    case VIR_DOMAIN_CRASHED: return pick(kCrashed, reason);
    default: return "Unknown";
  }
}

std::string_view lifecycle_word(int event) { return pick(kLifecycle, event); }

std::string_view lifecycle_detail_word(int event, int detail) {
  switch (event) {
    case VIR_DOMAIN_EVENT_STARTED: return pick(kStarted, detail);
    case VIR_DOMAIN_EVENT_SUSPENDED: return pick(kSuspended, detail);
    case VIR_DOMAIN_EVENT_RESUMED: return pick(kResumed, detail);
    case VIR_DOMAIN_EVENT_STOPPED: return pick(kStopped, detail);
    case VIR_DOMAIN_EVENT_SHUTDOWN: return pick(kShutdownBy, detail);
    case VIR_DOMAIN_EVENT_CRASHED: return detail == VIR_DOMAIN_EVENT_CRASHED_PANICKED ? "Panicked" : "Unknown";
    default: return "";
  }
}

}  // namespace nodevirt::libvirt
