// Two pods and a guest between them: their libvirt daemons and QEMUs meet at unix sockets, without nodes.
#pragma once
#include "pod.hpp"
#include "pkg/rpc/migration_client.hpp"
#include "relay.hpp"

namespace nodevirt::test {

class MigratingPair {
 public:
  struct Options {
    std::uint32_t span = 0;           ///< bytes that the guest rewrites without end; 0: it sleeps between ticks
    std::string memory = "32Mi";
    bool same_image = true;           ///< one image file for both pods, as on one machine
    bool empty_disk = false;
    std::string source_environment;
    Pod::Options target = {};
    Json changes = Json::object();    ///< of the instance
    std::size_t disk_bytes = 1u << 20;
    std::string name = {};            ///< with NV_RECORD_SAMPLES=FOLDER the source's events are left in NAME.json
  };
  explicit MigratingPair(Options options);
  MigratingPair() : MigratingPair(Options{}) {}
  ~MigratingPair();

  /// Starts the guest on the source and prepares the target; both are watched.
  void start();
  void prepare();
  /// After a failure: another target pod, prepared for a migration of that uid.
  void next_migration(std::string uid);
  rpc::v1::MigrateRequest migrate_request() const;
  Result<void> migrate(const rpc::v1::MigrateRequest& request);
  Result<void> migrate() { return migrate(migrate_request()); }
  rpc::v1::MigrationRequest request() const;

  using Kind = rpc::v1::MigrationEvent::Kind;
  /// Reads on until an event of that kind comes; fails the test after `seconds`.
  rpc::v1::MigrationEvent await(rpc::MigrationWatch& watch, Kind kind, int seconds = 60);
  /// The source's next event, whatever it is.
  rpc::v1::MigrationEvent next_of_source();
  rpc::v1::MigrationEvent await_source(Kind kind, int seconds = 60) { return await(*source_watch, kind, seconds); }
  rpc::v1::MigrationEvent await_target(Kind kind, int seconds = 60) { return await(*target_watch, kind, seconds); }
  Result<rpc::v1::ReleaseResponse> release();
  /// Asks until the answer is not NotYet.
  rpc::v1::ReleaseResponse release_for_sure();
  Result<rpc::v1::DomainState> resume(bool keep_paused = false);
  Result<void> abandon();
  Result<void> cancel();
  void watch_source();
  void watch_target();
  rpc::MigrationClient& client(Pod& pod) { return *pod.client().migration(); }

  /// The whole handover as virt-handlers do it: loaded, released, resumed.
  void hand_over();
  /// Reads on until the source's job is over, whatever comes before.
  rpc::v1::MigrationEvent await_end();

  /// How the migration stands there, asked anew; NONE when the launcher does not answer just now.
  rpc::v1::MigrationEvent standing(Pod& pod);
  /// Plays both virt-handlers to the end, whatever dies on the way; the faults are over when it is called or end by
  /// themselves. True when the guest moved. Checks that at no moment both sides run.
  bool settle();
  /// Both QEMUs run guests that move: what must never be.
  bool both_run();

  /// The counts that the guest has told, on both consoles, in order; fails the test on a wrong stamp, a failed disk, a
  /// repeated or a lost count.
  std::vector<std::uint32_t> counts();
  std::uint32_t last_count();
  void await_progress(Pod& pod);
  /// The count on the guest's boot disk.
  std::uint32_t count_on_disk(Pod& pod);
  /// Everything that holds after a move: the guest runs on at the target alone, without a gap in its count.
  void check_moved();
  /// The guest runs on at the source alone.
  void check_stayed();
  /// After abandon(): of the target nothing is left but its record.
  void check_target_is_clean();

  Pod source;
  std::unique_ptr<Pod> target;
  std::string uid = "b2a7a4a0-0000-4000-8000-000000000001";
  rpc::v1::PrepareTargetResponse prepared;
  std::unique_ptr<rpc::MigrationWatch> source_watch, target_watch;
  std::vector<rpc::v1::MigrationEvent> source_events;
  std::vector<rpc::v1::MigrationEvent> target_events;

 private:
  Json spec() const;
  void new_target(Pod::Options options);
  std::string log(Pod& pod) const;
  Options options_;
};

/// The guest's disk (tick_guest.S); noise from 1 MiB on.
std::string tick_disk(std::uint32_t span, std::size_t bytes);

}  // namespace nodevirt::test
