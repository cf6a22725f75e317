// A migration's source: the job in libvirtd, what it tells, and the release at its end (migration.hpp).
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <optional>
#include <thread>

#include "pkg/libvirt/domain_events.hpp"
#include "pkg/libvirt/migration.hpp"
#include "virt-launcher/migration/record.hpp"
#include "virt-launcher/migration/side.hpp"

namespace nodevirt::virt_launcher::migration {

/// Thread-safe. One migration at a time; the job itself belongs to libvirtd and is found again by a new launcher.
class Source {
 public:
  explicit Source(Context& context);
  ~Source();

  Result<void> begin(const v1::MigrateRequest& request);
  Result<void> steer(const v1::SteerRequest& request);
  Result<void> cancel(const std::string& uid);
  Result<v1::ReleaseResponse> release(const std::string& uid);

  /// On libvirt's event thread: never blocks.
  void on_event(const libvirt::DomainEvent& event);
  /// A new libvirtd, or a new launcher: finds out what has become of the job. On the launcher's thread.
  void reconnected();
  /// The guest has left: its end here is no end.
  bool released() const;
  /// No migration runs here, and whoever watches knows how the last one ended.
  bool told() const;

 private:
  enum class Phase { idle, running, switched, post_copy, over };
  Result<libvirt::MigrationPlan> plan(const v1::MigrateRequest& request, const libvirt::Domain& domain);
  Result<void> set_parameters(const v1::MigrateRequest& request);
  /// Without a plan the job is one that is found again; `in_post_copy`: it has to be attended to.
  void start_threads(std::optional<libvirt::MigrationPlan> plan, bool in_post_copy = false);
  void stop_threads();
  void follow(bool alone);
  void job(libvirt::MigrationPlan plan);
  void mend();
  bool concluded(const std::string& error, bool lost);
  bool given_up();
  void over(const std::string& error);
  /// Changes the record durably, unless `change` says no.
  Result<void> update(const std::function<bool(Record&)>& change);
  Result<Record> known();
  Record record() const;
  void divide(std::uint64_t bandwidth, std::size_t disks);
  void look_at_copies(v1::MigrationSample& sample);
  void abort(const libvirt::Domain& domain);
  std::string why_it_ended(const std::string& words) const;
  std::optional<libvirt::Parameters> final_statistics();

  Context& context_;
  std::mutex action_mutex_;     // begin, cancel, release, reconnected: one at a time
  std::mutex record_mutex_;     // one writer of the file
  mutable std::mutex mutex_;    // what follows
  std::condition_variable changed_;
  Record record_;
  Phase phase_ = Phase::idle;
  bool cancel_ = false;         // to be asked of libvirt until it takes it
  bool cancelled_ = false;      // somebody wants the guest to stay
  bool may_post_copy_ = false;
  bool copies_disks_ = true;    // or may do so, as far as a new launcher knows
  std::uint64_t bandwidth_ = 0;    // MiB/s
  std::size_t shared_among_ = 0;   // disks that the limit is still to be divided among
  enum class PostCopy { no, wanted, pending, now } post_copy_ = PostCopy::no;  // see job()
  bool job_runs_ = false;       // virDomainMigrateToURI3 has not returned
  bool stop_ = false;
  std::optional<std::chrono::steady_clock::time_point> gone_;  // since when QEMU is known to have ended without the guest having left
  std::optional<libvirt::Parameters> final_;  // of the job-completed event
  std::thread job_thread_, follow_thread_;
};

}  // namespace nodevirt::virt_launcher::migration
