// A migration's target: what must be there before the guest comes, and what is done with it then (migration.hpp).
#pragma once
#include <thread>

#include "pkg/domain/domain.hpp"
#include "pkg/libvirt/domain_events.hpp"
#include "pkg/libvirt/qmp_client.hpp"
#include "virt-launcher/migration/record.hpp"
#include "virt-launcher/migration/side.hpp"

namespace nodevirt::virt_launcher::migration {

/// What the launcher does for an incoming guest as for one of its own.
struct TargetHooks {
  /// Whether a request is meant for this pod's instance.
  std::function<Result<void>(const std::string& uid)> check;
  /// Volumes, DHCP and all else that comes before the definition; repeating it is safe.
  std::function<Result<domain::Options>(const v1::PrepareTargetRequest&)> prepare;
  /// The definition as it would be here.
  std::function<Result<std::string>(const v1::PrepareTargetRequest&, const domain::Options&)> definition;
  /// The guest is about to run here: it is the launcher's own from now on.
  std::function<void()> taken_over;
  /// Takes the preparation back.
  std::function<void()> forget;
};

/// Thread-safe.
class Target {
 public:
  Target(Context& context, TargetHooks hooks);
  ~Target();

  Result<v1::PrepareTargetResponse> prepare(const v1::PrepareTargetRequest& request);
  Result<void> resume(const std::string& uid, bool keep_paused);
  Result<void> abandon(const std::string& uid);

  /// On libvirt's event thread: never blocks.
  void on_event(const libvirt::DomainEvent& event);
  /// A new libvirtd, or a new launcher. On the launcher's thread.
  void reconnected();
  /// A guest is awaited or stands here, not yet this launcher's own: its end is no end of the instance.
  bool waits() const;

 private:
  Record record() const;
  Result<void> save(const Record& record);
  Result<void> destroy();
  void destroy_late(int tries);
  void after_resume();
  void arrived(Kind kind);
  void look_whether_whole();
  bool qemu_has_all();
  void listen_again(const std::string& uid);
  void begin_loading(const std::string& uid);
  void await_whole(std::string uid);
  bool loaded(const libvirt::Domain& domain) const;
  bool can_resume(const libvirt::Domain& domain);
  void set_time(int tries);

  Context& context_;
  TargetHooks hooks_;
  std::mutex action_mutex_;   // prepare, resume, abandon: one at a time
  mutable std::mutex mutex_;
  Record record_;
  bool loaded_ = false, loading_begun_ = false, stop_ = false;
  std::thread loading_;
  bool told_ = false;         // the events stand where the record does
  // While memory is still coming, on the launcher's thread. QEMU's main thread may wait for a page that does not come: then it
  // takes only what is said out of band, on a connection that was made before.
  std::optional<libvirt::QmpClient> line_;
  std::chrono::steady_clock::time_point listens_since_{};
  bool interrupted_ = false;
};

}  // namespace nodevirt::virt_launcher::migration
