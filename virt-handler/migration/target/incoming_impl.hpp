// What stands behind Incoming.
#pragma once
#include "virt-handler/migration/half.hpp"
#include "virt-handler/migration/handover/target_handover.hpp"
#include "virt-handler/migration/patches.hpp"
#include "virt-handler/migration/prepared.hpp"
#include "virt-handler/migration/stream/control_link.hpp"
#include "virt-handler/migration/target/incoming.hpp"

namespace nodevirt::virt_handler::migration {

struct Incoming::Impl : Half, std::enable_shared_from_this<Impl> {
  Impl(Deps d, std::shared_ptr<const InstanceObject> o);

  Awaitable<void> run();
  Awaitable<void> tick();
  void act();
  void feed(const Json& vmi) override;
  void before_store() override;
  void after_store() override;
  Awaitable<void> resume();
  Awaitable<void> abandon();
  void told(const launcher::v1::MigrationEvent& event);
  void heard(const Json& message);
  Awaitable<void> finish();

  // incoming_post_copy.cpp
  void look_whether_it_is_lost(const std::shared_ptr<Launcher>& launcher);
  void lose(std::string why);
  Awaitable<void> look_at_source();

  // incoming_end.cpp
  void tell_of_its_end(const std::shared_ptr<Launcher>& launcher);

  // incoming_prepare.cpp
  Awaitable<void> prepare();
  Awaitable<Result<launcher::v1::PrepareTargetRequest>> prepare_request();
  void open_door();
  void accept(std::shared_ptr<net::FdStream> stream);

  FindLauncher find_launcher();
  std::shared_ptr<void> self() override { return shared_from_this(); }

  Deps deps;
  TargetHandover handover;

  std::string token;                                   ///< for streams without TLS
  std::optional<launcher::v1::PrepareTargetResponse> prepared;
  std::optional<Error> refused;                        ///< it cannot be prepared
  std::shared_ptr<ControlLink> link;
  bool memory_waits = false;                           ///< as the route says
  bool door_open = false;                              ///< the source's streams find the pod
  bool keep_paused = false, told_once = false, came_in = false, detected = false, post_copy = false;
  bool qemu_seen = false;                              ///< the guest's process began to come in
  std::string end_said;                                ///< "QEMU", "pod": what of it the source was told to have ended
  bool preparing = false, resuming = false, abandoning = false;
  std::optional<Clock::Time> not_loaded_since;         ///< ResumeTarget finds nothing
  std::optional<Clock::Time> no_guest_since, broken_since, looked_at;   ///< in post-copy: nothing to be seen of it; it stands still
  bool listens_again = false;                          ///< in post-copy: QEMU's first stream has broken, and the next may come
  std::string loss;                                    ///< why the guest is lost
};

}  // namespace nodevirt::virt_handler::migration
