// What is done to a guest that runs: pausing, stopping, removing.
#include "pkg/libvirt/domain_state.hpp"
#include "virt-launcher/guest.hpp"
#include "virt-launcher/marks.hpp"

namespace nodevirt::virt_launcher {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

Result<void> Guest::on_domain(std::function<Result<void>(libvirt::Domain&)> action) {
  NV_TRY(libvirt::Domain d, domain());
  return action(d);
}

Result<void> Guest::pause() {
  return on_domain([](libvirt::Domain& d) -> Result<void> {
    NV_TRY(libvirt::StateAndReason s, d.state());
    if (libvirt::state_word(s.state) == "Paused") return {};
    return d.suspend();
  });
}

Result<void> Guest::unpause() {
  return on_domain([](libvirt::Domain& d) -> Result<void> {
    NV_TRY(libvirt::StateAndReason s, d.state());
    if (libvirt::state_word(s.state) == "Running") return {};
    return d.resume();
  });
}

Result<void> Guest::reset() {
  return on_domain([](libvirt::Domain& d) { return d.reset(); });
}

Result<void> Guest::soft_reboot() {
  return on_domain([](libvirt::Domain& d) { return d.reboot(); });
}

Result<void> Guest::shut_down() {
  std::lock_guard action(action_mutex_);
  write_mark(deps_.paths.shutdown_mark(), "");
  NV_TRY(libvirt::Domain d, domain());
  NV_TRY(libvirt::StateAndReason s, d.state());
  if (!s.active()) return {};
  if (libvirt::state_word(s.state) == "Paused") NV_TRY_VOID(d.resume());  // a paused guest sees no button
  NV_TRY_VOID(d.shutdown());
  deps_.queue.post([this] {
    publish("", "ShutdownRequested", "");
    press_again();
  });
  return {};
}

// A guest that is still booting does not notice the first press.
void Guest::press_again() {
  deps_.queue.post([this] {
    {
      std::lock_guard lock(mutex_);
      if (exit_code_) return;
    }
    if (auto d = domain(0ms); d.ok()) [[maybe_unused]] auto pressed = d->shutdown();
    press_again();
  }, 5s);
}

Result<void> Guest::kill() {
  std::lock_guard action(action_mutex_);
  write_mark(deps_.paths.shutdown_mark(), kKilledMark);
  auto d = domain();
  if (!d.ok()) {
    if (d.error().code == Code::NotFound) return {};
    return d.error();
  }
  NV_TRY(libvirt::StateAndReason s, d->state());
  if (!s.active()) return {};
  auto destroyed = d->destroy();
  if (!destroyed.ok())
    if (auto again = d->state(); again.ok() && !again->active()) return {};
  return destroyed;
}

Result<void> Guest::remove() {
  std::lock_guard action(action_mutex_);
  write_mark(deps_.paths.shutdown_mark(), "");
  auto d = domain();
  if (!d.ok() && d.error().code != Code::NotFound) return d.error();
  if (d.ok()) {
    NV_TRY(libvirt::StateAndReason s, d->state());
    if (s.active()) return Error(Code::FailedPrecondition, "the guest still runs: shut it down or kill it first");
    NV_TRY_VOID(d->undefine());
  }
  std::error_code ec;
  for (const char* folder : {"disks", "empty", "cloud-init"}) fs::remove_all(deps_.paths.ephemeral / folder, ec);
  deps_.queue.post([this] {
    int code;
    {
      std::lock_guard lock(mutex_);
      code = exit_code_.value_or(0);
    }
    deps_.monitor.stopped(code);
  });
  return {};
}

}  // namespace nodevirt::virt_launcher
