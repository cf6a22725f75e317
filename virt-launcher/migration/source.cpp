#include "virt-launcher/migration/source.hpp"

#include <algorithm>
#include <csignal>

#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "virt-launcher/migration/disk_speed.hpp"
#include "virt-launcher/migration/migration.hpp"
#include "virt-launcher/migration/release.hpp"
#include "virt-launcher/migration/sample.hpp"

namespace nodevirt::virt_launcher::migration {

using namespace std::chrono_literals;

NV_DECLARE_FAILPOINT(kAtSwitchover, "launcher-migrate-at-switchover");
NV_DECLARE_FAILPOINT(kAfterAbort, "launcher-cancel-after-abort");

namespace {

Error still_looking() { return {Code::Unavailable, "NotYet", "a new launcher is looking for the migration that it found; ask again"}; }

}  // namespace

Source::Source(Context& context) : context_(context) {
  if (auto r = read_record(context_.paths.migration); r.ok() && r->role == Role::source) record_ = *r;
}

Source::~Source() { stop_threads(); }

void Source::stop_threads() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  if (job_thread_.joinable()) job_thread_.join();
  if (follow_thread_.joinable()) follow_thread_.join();
  std::lock_guard lock(mutex_);
  stop_ = false;
}

Record Source::record() const {
  std::lock_guard lock(mutex_);
  return record_;
}

bool Source::released() const {
  std::lock_guard lock(mutex_);
  return record_.role == Role::source && record_.step == Step::released;
}

Result<void> Source::update(const std::function<bool(Record&)>& change) {
  std::lock_guard writing(record_mutex_);
  Record r = record();
  if (!change(r)) return {};
  NV_TRY_VOID(write_record(context_.paths.migration, r));
  std::lock_guard lock(mutex_);
  record_ = std::move(r);
  return {};
}

bool Source::told() const {
  {
    std::lock_guard lock(mutex_);
    if (phase_ == Phase::idle) return true;
  }
  Kind stands = context_.events.standing().kind();
  return (stands == v1::MigrationEvent::ENDED || stands == v1::MigrationEvent::RELEASED) && context_.events.drained();
}

// A new launcher may be asked before it has found libvirtd, and with that what was under way.
Result<Record> Source::known() {
  Record r = record();
  if (r.role == Role::source) return r;
  NV_TRY(r, read_record(context_.paths.migration));
  if (r.role == Role::source) {
    std::lock_guard lock(mutex_);
    if (record_.role == Role::none) record_ = r;
  }
  return r;
}

Result<void> Source::steer(const v1::SteerRequest& q) {
  Record r = record();
  if (r.role != Role::source || r.uid != q.migration_uid()) return refuse("NotMigrating", "no migration of that uid is under way here");
  {
    std::lock_guard lock(mutex_);
    if (phase_ == Phase::idle && r.step == Step::begun) return still_looking();
    if (phase_ == Phase::over || phase_ == Phase::idle) return refuse("MigrationEnded", "the migration has ended");
  }
  NV_TRY(libvirt::Domain domain, context_.domain(5s));
  if (q.start_post_copy()) {
    std::lock_guard lock(mutex_);
    if (!may_post_copy_) return refuse("PostCopyImpossible", "post-copy was not allowed, or cannot work at the target, or its plan was lost with a launcher");
  }
  Json arguments = Json::object();
  if (q.has_throttle_maximum_percent()) arguments["max-cpu-throttle"] = std::clamp(q.throttle_maximum_percent(), 1u, 99u);
  if (q.has_throttle_initial_percent()) arguments["cpu-throttle-initial"] = std::clamp(q.throttle_initial_percent(), 1u, 99u);
  if (q.has_throttle_increment_percent()) arguments["cpu-throttle-increment"] = std::clamp(q.throttle_increment_percent(), 1u, 99u);
  if (q.has_throttle_trigger_percent()) arguments["throttle-trigger-threshold"] = std::clamp(q.throttle_trigger_percent(), 1u, 100u);
  if (!arguments.empty()) {
    auto set = context_.monitor.execute("migrate-set-parameters", arguments);
    if (!set.ok()) return set.error();
  }
  if (q.has_max_downtime_ms()) NV_TRY_VOID(libvirt::set_max_downtime(domain, q.max_downtime_ms()));
  if (q.has_bandwidth_mib_per_second()) {
    NV_TRY_VOID(libvirt::set_migration_bandwidth(domain, q.bandwidth_mib_per_second()));
    NV_TRY_VOID(share_among_disks(context_.monitor, q.bandwidth_mib_per_second(), 0));
    std::lock_guard lock(mutex_);
    bandwidth_ = q.bandwidth_mib_per_second();
  }
  if (q.pause_guest()) {
    NV_TRY_VOID(update([](Record& now) { return now.paused_by_us = true; }));
    NV_TRY_VOID(domain.suspend());
  }
  if (q.start_post_copy()) {
    std::lock_guard lock(mutex_);
    if (post_copy_ != PostCopy::no || phase_ != Phase::running) return {};
    post_copy_ = PostCopy::wanted;
    cancel_ = true;  // job() begins again
    changed_.notify_all();
  }
  return {};
}

Result<void> Source::cancel(const std::string& uid) {
  std::lock_guard action(action_mutex_);
  NV_TRY(Record r, known());
  if (r.role != Role::source || r.uid != uid) return refuse("NotMigrating", "no migration of that uid is known here");
  if (r.step == Step::released) return refuse("Released", "the guest has left this pod");
  NV_TRY(libvirt::Domain domain, context_.domain(5s));
  Phase phase;
  {
    std::lock_guard lock(mutex_);
    phase = phase_;
  }
  if (phase == Phase::idle && r.step == Step::begun) return still_looking();
  if (phase == Phase::post_copy) return refuse("PostCopy", "the guest runs at the target: it cannot be taken back");
  if (phase == Phase::switched) {
    auto job = context_.monitor.execute("query-migrate");
    if (job.ok() && string_at(*job, {"status"}) == "completed")
      return refuse("SwitchedOver", "the guest has been sent whole: it goes on at the target, or here by itself when the target does not take it");
  }
  if (phase == Phase::running || phase == Phase::switched) {
    log::info("migration {}: to be cancelled", uid);
    {
      std::lock_guard lock(mutex_);
      cancel_ = cancelled_ = true;
    }
    abort(domain);
    NV_FAILPOINT(kAfterAbort);
    std::lock_guard lock(mutex_);
    if (cancel_) changed_.notify_all();
    return {};
  }
  // The job is over, and libvirt could not tell how: the guest stands, and its state is whole here.
  NV_TRY(libvirt::StateAndReason s, domain.state());
  if (!paused(s) || r.guest_was_paused) return {};
  if (stopped_by_post_copy(s)) return refuse("PostCopy", "a part of the guest's memory is at the target only");
  log::info("migration {}: cancelled; the guest goes on here", uid);
  return domain.resume();
}

Result<v1::ReleaseResponse> Source::release(const std::string& uid) {
  std::lock_guard action(action_mutex_);
  NV_TRY(Record r, known());
  if (r.role != Role::source || r.uid != uid) return refuse("NotMigrating", "no migration of that uid is known here");
  v1::ReleaseResponse answer;
  answer.set_guest_was_paused(r.guest_was_paused);
  auto held = context_.monitor.hold();
  if (r.step == Step::released) {
    NV_TRY_VOID(end_qemu(context_.qemu_pid()));
    answer.set_released(true);
    return answer;
  }
  auto durable = [&] { return update([](Record& now) { return now.step = Step::released, true; }); };
  NV_TRY(Release done, migration::release(context_.qemu_pid(), context_.monitor.path(), durable));
  answer.set_released(done.released);
  answer.set_why_kept(done.why_kept);
  if (!done.released) {
    log::info("migration {}: the guest is kept: {}", uid, done.why_kept);
    return answer;
  }
  log::info("migration {}: released", uid);
  v1::MigrationSample last = final_sample(done.sample.value_or(v1::MigrationSample()), context_.events.standing().sample());
  stamp_now(last);
  context_.events.publish(uid, v1::MigrationEvent::RELEASED, last);
  return answer;
}

void Source::on_event(const libvirt::DomainEvent& e) {
  using K = libvirt::DomainEvent::Kind;
  std::string uid;
  std::optional<Kind> kind;
  v1::MigrationSample sample = context_.events.standing().sample();
  {
    std::lock_guard lock(mutex_);
    if (record_.role != Role::source || phase_ == Phase::idle || phase_ == Phase::over) return;
    uid = record_.uid;
    if (e.kind == K::MigrationIteration) {
      sample.set_iteration(static_cast<std::uint32_t>(e.iteration));
      if (e.iteration > 1 && post_copy_ == PostCopy::pending) {
        post_copy_ = PostCopy::now;
        changed_.notify_all();
      }
      kind = v1::MigrationEvent::ITERATION;
    } else if (e.kind == K::JobCompleted) {
      final_ = e.job;
    } else if (e.kind == K::Lifecycle && e.lifecycle == "Suspended" && e.detail == "Migrated") {
      phase_ = Phase::switched;
      kind = v1::MigrationEvent::SWITCHOVER;
    } else if (e.kind == K::Lifecycle && e.lifecycle == "Suspended" && e.detail == "Postcopy") {
      phase_ = Phase::post_copy;
      kind = v1::MigrationEvent::POST_COPY;
    } else if (e.kind == K::Lifecycle && e.lifecycle == "Resumed" && phase_ == Phase::switched) {
      phase_ = Phase::running;
      kind = v1::MigrationEvent::RESUMED;
    } else if (e.kind == K::Lifecycle && e.lifecycle == "Stopped" && e.detail != "Migrated") {
      gone_ = std::chrono::steady_clock::now();
    }
  }
  if (!kind) return;
  context_.events.publish(uid, *kind, sample);
  if (*kind == v1::MigrationEvent::SWITCHOVER) NV_FAILPOINT(kAtSwitchover);
}

void Source::reconnected() {
  std::lock_guard action(action_mutex_);
  {
    std::lock_guard lock(mutex_);
    if (phase_ != Phase::idle) return;  // the threads of this process know
  }
  auto r = read_record(context_.paths.migration);
  if (!r.ok()) return log::error("{}", r.error().message);
  if (r->role != Role::source) return;
  {
    std::lock_guard lock(mutex_);
    record_ = *r;
  }
  if (r->step == Step::released) {
    if (auto done = end_qemu(context_.qemu_pid()); !done.ok()) log::error("{}", done.error().message);
    return context_.events.begin(r->uid, v1::MigrationEvent::RELEASED);
  }
  // Frozen by a release that did not come to its record: nobody was told of it.
  if (auto qemu = Process::open(context_.qemu_pid(), "qemu-system"); qemu.ok() && qemu->stopped()) qemu->signal(SIGCONT);
  if (r->step == Step::ended) {
    std::lock_guard lock(mutex_);
    phase_ = Phase::over;
    return context_.events.begin(r->uid, v1::MigrationEvent::ENDED, r->error);
  }
  auto domain = context_.domain(0ms);
  auto s = domain.ok() ? domain->state() : Result<libvirt::StateAndReason>(domain.error());
  bool in_post_copy = s.ok() && stopped_by_post_copy(*s);
  log::info("migration {}: found again{}", r->uid, in_post_copy ? ", in post-copy" : "");
  {
    std::lock_guard lock(mutex_);
    phase_ = in_post_copy ? Phase::post_copy : Phase::running;
  }
  context_.events.begin(r->uid, in_post_copy ? v1::MigrationEvent::POST_COPY : v1::MigrationEvent::SAMPLE);
  start_threads(std::nullopt, in_post_copy);
}

}  // namespace nodevirt::virt_launcher::migration
