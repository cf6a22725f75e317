// The instance's guest: one libvirt domain, from the first Sync to its end. Everything that must outlive the
// launcher is in libvirt and in files of the pod; a new Guest finds it there.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <optional>

#include "api/vmi.hpp"
#include "virt-launcher/dhcp/responder.hpp"
#include "virt-launcher/event_hub.hpp"
#include "virt-launcher/migration/sides.hpp"
#include "virt-launcher/monitor_link.hpp"
#include "virt-launcher/options.hpp"
#include "virt-launcher/session.hpp"
#include "virt-launcher/storage/volumes.hpp"
#include "virt-launcher/work_queue.hpp"

namespace nodevirt::virt_launcher {

/// All methods are thread-safe and may block as long as libvirt does. `queue` is where what libvirt tells is
/// worked on; its owner runs it.
class Guest {
 public:
  struct Deps {
    Options options;
    Paths paths;
    EventHub& hub;
    MonitorLink& monitor;
    WorkQueue& queue;
  };
  explicit Guest(Deps deps);

  Result<v1::DomainState> sync(const v1::SyncRequest& request);
  Result<void> pause();
  Result<void> unpause();
  /// The power button, pressed again every few seconds until the guest has ended.
  Result<void> shut_down();
  Result<void> kill();
  Result<void> remove();
  Result<void> reset();
  Result<void> soft_reboot();
  void renew_fence(std::uint64_t boottime_ms) { deps_.monitor.fence(boottime_ms); }

  /// The monitor reaped QEMU: finds out how it ended, also when libvirt's event was lost. On the queue's thread.
  void qemu_is_gone();

  v1::DomainState state(bool with_xml);
  migration::Sides& migration() { return migration_; }
  Result<v1::DomainStats> stats();
  Result<std::string> screenshot();
  Result<v1::GuestInfo> guest_info();
  /// FailedPrecondition when a request is meant for another instance.
  Result<void> check_target(const std::string& uid) const;
  /// Of libvirt and QEMU, as far as they are known by now.
  std::pair<std::string, std::string> versions();

 private:
  Result<v1::DomainState> start(const v1::SyncRequest& request, const Json& raw, const api::Instance& instance);
  Result<domain::Options> prepare(const v1::NodeOptions& node, const api::Instance& instance, const storage::PreparedVolumes& volumes);
  void warm_up(Session::Connection connection);
  migration::TargetHooks target_hooks();
  void adopt_dhcp();
  void taken_over();
  Result<libvirt::Domain> domain(std::chrono::milliseconds timeout = std::chrono::seconds(20));
  Result<void> on_domain(std::function<Result<void>(libvirt::Domain&)> action);
  void adopt(Session::Connection connection);
  void learn_versions();
  void on_event(libvirt::DomainEvent event);
  void publish(std::string lifecycle, std::string detail, std::string message);
  void ended(std::string reason);
  bool look_whether_ended();
  void finish_when_told();
  void press_again();
  void bound_console_log();
  void tell_monitor();
  Result<void> start_dhcp(const v1::NodeOptions& node, const api::Instance& instance);
  void add_interfaces(v1::DomainState& out);

  Deps deps_;
  std::string domain_name_;
  std::mutex action_mutex_;  // one of sync, kill, shut_down, remove at a time
  mutable std::mutex mutex_;
  std::unique_ptr<dhcp::Responder> dhcp_;
  v1::NodeOptions node_;                     // of the last sync
  std::vector<v1::GuestInterface> agent_interfaces_;
  std::pair<std::string, std::string> versions_;  // of libvirt and QEMU
  bool adopted_ = false;
  bool panicked_ = false;                    // the guest's kernel said so through its panic device
  std::optional<int> exit_code_;             // set once the guest has ended
  std::string end_reason_;                   // Shutdown, Destroyed, Crashed or Panicked, from then on
  std::chrono::steady_clock::time_point goodbye_by_;
  migration::Sides migration_;
  Session session_;                          // last: its callbacks use the rest
};

}  // namespace nodevirt::virt_launcher
