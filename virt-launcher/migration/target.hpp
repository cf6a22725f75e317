// A migration's target: what must be there before the guest comes, and what is done with it then (migration.hpp).
#pragma once
#include <condition_variable>
#include <thread>

#include "pkg/domain/domain.hpp"
#include "pkg/libvirt/domain_events.hpp"
#include "virt-launcher/migration/record.hpp"
#include "virt-launcher/migration/side.hpp"

namespace nodevirt::virt_launcher::migration {

/// Beside the record: what prepare answered.
inline constexpr std::string_view kAnswerFile = "target-answer";

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
  /// The guest runs here, and a part of its memory is still to come.
  bool fetches() const;

 private:
  Record record() const;
  Result<void> save(const Record& record);
  Result<void> destroy();
  void destroy_late(int tries);
  void after_resume();
  void announce();
  void arrived(Kind kind);
  void be_ready_for_post_copy();
  void fetch();
  bool look_whether_whole();
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
  std::condition_variable changed_;
  bool loaded_ = false, loading_begun_ = false, stop_ = false, look_now_ = false;
  std::thread loading_, fetching_;
  bool told_ = false;         // the events stand where the record does
  // While memory is still coming, on a thread of its own: others may wait for QEMU, whose main thread may wait for a page.
  bool listens_again_ = false;
};

}  // namespace nodevirt::virt_launcher::migration
