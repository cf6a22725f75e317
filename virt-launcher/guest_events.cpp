// What libvirt tells of the guest, and its end.
#include "pkg/base/log.hpp"
#include "pkg/libvirt/domain_state.hpp"
#include "virt-launcher/guest.hpp"
#include "virt-launcher/guest_state.hpp"
#include "virt-launcher/marks.hpp"

namespace nodevirt::virt_launcher {

using namespace std::chrono_literals;

namespace {

constexpr auto kGoodbye = 5s;
constexpr auto kFarewell = 15s;  // after a migration the node still asks what became of it, until it deletes the domain

// How the end of a domain shows in the container's exit code.
int exit_code_of(const std::string& reason) { return reason == "Shutdown" || reason == "Destroyed" || reason == "Migrated" ? 0 : 1; }

}  // namespace

// Events are lost while a new libvirtd takes the domain over, so its state is asked for where it may have ended.
bool Guest::look_whether_ended() {
  auto d = domain(0ms);
  if (!d.ok()) {
    if (d.error().code != Code::NotFound) return false;
    ended("Unknown");
    return true;
  }
  auto s = d->state();
  if (!s.ok() || s->active()) return false;
  ended(std::string(libvirt::reason_word(s->state, s->reason)));
  return true;
}

// libvirt's own words come in order, that a kernel panicked before that the domain stopped; it is asked only when
// they do not come.
void Guest::qemu_is_gone() {
  deps_.queue.post([this] {
    {
      std::lock_guard lock(mutex_);
      if (exit_code_) return;
    }
    if (!look_whether_ended()) qemu_is_gone();
  }, 500ms);
}

void Guest::on_event(libvirt::DomainEvent e) {
  if (e.domain != domain_name_) return;
  using Kind = libvirt::DomainEvent::Kind;
  switch (e.kind) {
    case Kind::Lifecycle:
      log::info("the guest: {} {}", e.lifecycle, e.detail);
      if (e.lifecycle == "Stopped" && migration_.target.waits()) {
        publish(e.lifecycle, e.detail, "");  // it never ran here
      } else if (e.lifecycle == "Stopped") {
        // A start that failed ends here too; then there is no mark, and Sync has told the reason.
        if (mark_exists(deps_.paths.started_mark()) || e.detail != "Failed") ended(e.detail);
      } else {
        if (e.lifecycle == "Crashed" && e.detail == "Panicked") {
          std::lock_guard lock(mutex_);
          panicked_ = true;
        }
        publish(e.lifecycle, e.detail, "");
      }
      return;
    case Kind::AgentConnected:
      if (auto d = domain(0ms); d.ok())
        if (auto list = d->interface_addresses(true); list.ok()) {
          auto converted = agent_interfaces(*list);
          std::lock_guard lock(mutex_);
          agent_interfaces_ = std::move(converted);
        }
      return publish("", "AgentConnected", "");
    case Kind::AgentDisconnected: return publish("", "AgentDisconnected", "");
    case Kind::Reboot: return publish("", "Reboot", "");
    case Kind::IoError: return publish("", "IOError", fmt::format("disk {}: {}", e.device, e.detail.empty() ? "I/O error" : e.detail));
    case Kind::WatchdogFired: return publish("", "Watchdog", fmt::format("the guest's watchdog fired: {}", e.detail));
    case Kind::MigrationIteration:
    case Kind::JobCompleted: return;
    case Kind::ControlError: return publish("", "ControlError", "libvirt lost QEMU's monitor");
  }
}

void Guest::publish(std::string lifecycle, std::string detail, std::string message) {
  v1::DomainEvent event;
  *event.mutable_state() = state(false);
  event.set_lifecycle(std::move(lifecycle));
  event.set_detail(std::move(detail));
  event.set_message(std::move(message));
  deps_.hub.publish(std::move(event));
}

void Guest::ended(std::string reason) {
  // libvirt forgets why when its daemon is replaced meanwhile.
  bool killed = read_file(deps_.paths.shutdown_mark(), 64).value_or("") == kKilledMark;
  {
    std::lock_guard lock(mutex_);
    if (exit_code_) return;
    bool left = reason == "Migrated" || migration_.source.released();
    if (left) reason = "Migrated";
    else if (killed && exit_code_of(reason) != 0) reason = "Destroyed";
    else if (exit_code_of(reason) != 0) reason = panicked_ ? "Panicked" : "Crashed";  // libvirt: also Failed, Daemon, Unknown
    exit_code_ = exit_code_of(reason);
    end_reason_ = reason;
    goodbye_by_ = std::chrono::steady_clock::now() + (left ? kFarewell : kGoodbye);
  }
  if (!mark_exists(deps_.paths.started_mark())) write_mark(deps_.paths.started_mark(), "");
  std::string message;
  if (exit_code_of(reason) != 0) {
    message = reason == "Panicked" ? "its kernel panicked, as the panic device tells" : last_log_lines(deps_.paths.qemu_log(domain_name_));
    log::error("the guest has ended: {}{}{}", reason, message.empty() ? "" : ": ", message);
  }
  publish("Stopped", reason, message);
  finish_when_told();
}

// Whoever watches is to hear how the guest and its migration ended before the pod goes; nobody is waited for longer than kGoodbye.
void Guest::finish_when_told() {
  int code;
  bool late, left;
  {
    std::lock_guard lock(mutex_);
    left = end_reason_ == "Migrated";
    code = exit_code_.value_or(0);
    late = std::chrono::steady_clock::now() >= goodbye_by_;
  }
  if (!left && deps_.hub.drained() && migration_.source.told()) deps_.queue.post([this, code] { deps_.monitor.stopped(code); }, 200ms);
  else if (late) deps_.monitor.stopped(code);
  else deps_.queue.post([this] { finish_when_told(); }, 50ms);
}

}  // namespace nodevirt::virt_launcher
