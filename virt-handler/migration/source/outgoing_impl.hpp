// What stands behind Outgoing: one object, its coroutines in several files.
#pragma once
#include <deque>

#include "virt-handler/migration/half.hpp"
#include "virt-handler/migration/handover/journal.hpp"
#include "virt-handler/migration/handover/source_handover.hpp"
#include "virt-handler/migration/patches.hpp"
#include "virt-handler/migration/prepared.hpp"
#include "virt-handler/migration/source/outgoing.hpp"
#include "virt-handler/migration/source/requests.hpp"
#include "virt-handler/migration/source/why.hpp"
#include "virt-handler/migration/stream/control_link.hpp"
#include "virt-handler/migration/stream/pod_sockets.hpp"

namespace nodevirt::virt_handler::migration {

struct Outgoing::Impl : Half, std::enable_shared_from_this<Impl> {
  Impl(Deps d, std::shared_ptr<const InstanceObject> object);

  // outgoing.cpp: the session, and what it does of what the handover wants
  Awaitable<void> run();
  void act();
  void feed(const Json& vmi) override;
  Awaitable<void> note(Note note);
  Awaitable<void> release();
  Awaitable<void> cancel_job();
  void before_store() override;
  void after_store() override;
  Awaitable<void> finish();
  Awaitable<void> tick();
  Awaitable<void> ask_again();
  Awaitable<void> see_whether_it_runs();
  void look_at_own_pod(const std::shared_ptr<Launcher>& launcher);
  void give_up(std::string reason);
  std::string why() const;
  /// Why it failed. Nothing: the job, or the target, is about to tell.
  std::optional<std::string> reason();

  // outgoing_job.cpp: before and during the job
  Awaitable<void> begin();
  Awaitable<Result<void>> try_to_begin();
  Awaitable<Result<void>> wait_for_hello();
  Awaitable<Result<void>> ask_for_the_job(launcher::v1::MigrateRequest ask);
  Awaitable<void> measure();
  Awaitable<void> keep_link();
  void heard(const Json& message);
  void told(const launcher::v1::MigrationEvent& event, bool first);

  // outgoing_progress.cpp: what the job's samples lead to
  void sampled(const launcher::v1::MigrationSample& sample);
  void decided(const Sample& sample, Decision decision);
  void ended_well(const launcher::v1::MigrationSample& sample);
  void tell_the_end();
  Awaitable<void> steer();
  Awaitable<void> write_progress();
  Awaitable<void> write_mode(std::string mode);

  // outgoing_post_copy.cpp
  void attend_post_copy(const std::shared_ptr<Launcher>& launcher);
  void keep_way_open(const Launcher& launcher);
  Awaitable<void> look_at_target();

  FindLauncher find_launcher();
  std::shared_ptr<void> self() override { return shared_from_this(); }

  Deps deps;
  Journal journal;
  SourceHandover handover;

  std::shared_ptr<ControlLink> link;
  std::optional<Hello> hello;
  std::unique_ptr<PodSockets> sockets;
  std::optional<Policy> policy;
  std::deque<Action> actions;
  std::optional<api::MigrationProgress> progress, progress_written;
  std::uint64_t memory_bytes = 0;             ///< the guest's
  std::optional<Sample> final_sample;         ///< the guest has left, or is about to: no other sample counts any more
  std::optional<Clock::Time> end_due;         ///< the last word, without the target's
  bool write_again = false;                   ///< the progress, after the write that is under way
  std::optional<Clock::Time> asked_at, switched_at, resumed_at;   ///< the job; the guest stood still; it ran on the target
  Clock::Time progress_at{};
  std::optional<Clock::Time> released_said_at;
  std::uint64_t dirty_rate = 0;

  const bool recovered;           ///< the job was begun in an earlier life
  Clock::Time born;
  bool job_asked = false, job_ended = false, cancelled = false, guest_was_paused = false, post_copy = false;
  bool noting = false, releasing = false, cancelling = false, steering = false, writing_progress = false;
  std::string failure;            ///< why it does not succeed; the first reason is kept
  std::string target_end;         ///< what has ended at the target, as its node tells (prepared.hpp)
  struct ToNowhere {
    Clock::Time since;
    std::function<void()> end;
  };
  bool begins_once = false;             ///< post-copy begins the job anew, with another QEMU at the target
  std::optional<ToNowhere> to_nowhere;  ///< the streams to what has ended there
  std::string stream_failure;     ///< what broke on the way; told when nobody knows better
  std::optional<Clock::Time> kept_since;
  std::string target_gone;                                     ///< why nothing of the guest can be at the target any more
  std::optional<Clock::Time> no_pod_since, broken_since, looked_at;   ///< in post-copy
};

}  // namespace nodevirt::virt_handler::migration
