#include "virt-launcher/migration/source.hpp"

#include <algorithm>
#include <csignal>

#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/domain/destination.hpp"
#include "pkg/libvirt/domain_state.hpp"
#include "virt-launcher/migration/base_identity.hpp"
#include "virt-launcher/migration/migration.hpp"
#include "virt-launcher/migration/release.hpp"
#include "virt-launcher/migration/sample.hpp"

namespace nodevirt::virt_launcher::migration {

using namespace std::chrono_literals;

NV_DECLARE_FAILPOINT(kBeforeRecord, "launcher-migrate-before-record");
NV_DECLARE_FAILPOINT(kBeforeJob, "launcher-migrate-before-job");
NV_DECLARE_FAILPOINT(kAtSample, "launcher-migrate-at-sample");
NV_DECLARE_FAILPOINT(kAtSwitchover, "launcher-migrate-at-switchover");
NV_DECLARE_FAILPOINT(kJobOver, "launcher-migrate-job-over");
NV_DECLARE_FAILPOINT(kAfterAbort, "launcher-cancel-after-abort");

namespace {

std::uint64_t unix_ms() {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

Error refuse(std::string reason, std::string message) { return {Code::FailedPrecondition, std::move(reason), std::move(message)}; }

std::uint64_t now_stamped(v1::MigrationSample& s) {
  s.set_taken_at_unix_ms(unix_ms());
  return s.taken_at_unix_ms();
}

bool paused(const libvirt::StateAndReason& s) { return libvirt::state_word(s.state) == "Paused"; }
bool paused_by_migration(const libvirt::StateAndReason& s) {
  auto why = libvirt::reason_word(s.state, s.reason);
  return paused(s) && (why == "Migration" || why.starts_with("Postcopy"));
}

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

Result<void> Source::begin(const v1::MigrateRequest& q) {
  const std::string& uid = q.migration_uid();
  if (uid.empty()) return Error(Code::InvalidArgument, "a migration needs a uid");
  std::lock_guard action(action_mutex_);
  NV_TRY(Record r, known());
  if (r.role == Role::target && r.step != Step::resumed)
    return refuse("MigrationTarget", "this pod waits for an incoming guest");
  if (r.role == Role::source) {
    if (r.step == Step::released) return refuse("Released", "the guest has left this pod");
    bool runs = r.step == Step::begun;
    if (r.uid == uid) {
      if (runs) return {};
      return refuse("MigrationEnded", fmt::format("the migration {} has ended here", uid));
    }
    if (runs) return refuse("MigrationUnderWay", fmt::format("the migration {} is under way", r.uid));
  }
  NV_TRY(libvirt::Domain domain, context_.domain(20s));
  NV_TRY(libvirt::StateAndReason s, domain.state());
  if (!s.active()) return refuse("GuestEnded", "the guest does not run");
  if (paused_by_migration(s)) return refuse("MigrationUnderWay", "the guest is still suspended by the migration before");
  if (auto asked = context_.monitor.execute("query-status"); !asked.ok())
    return refuse("NoMonitor", fmt::format("the guest's second monitor does not answer ({}); a guest that was started by an older "
                                           "version must be restarted before it can migrate", asked.error().message));
  NV_TRY(libvirt::MigrationPlan p, plan(q, domain));
  NV_TRY_VOID(set_parameters(q));
  if (q.max_downtime_ms()) NV_TRY_VOID(libvirt::set_max_downtime(domain, q.max_downtime_ms()));
  stop_threads();  // of the migration before
  NV_FAILPOINT(kBeforeRecord);
  Record fresh{uid, Role::source, Step::begun, "", paused(s), false, std::clamp(q.sample_interval_ms() ? q.sample_interval_ms() : 250u, 50u, 10000u)};
  NV_TRY_VOID(update([&](Record& r) { return r = fresh, true; }));
  {
    std::lock_guard lock(mutex_);
    phase_ = Phase::running;
    cancel_ = cancelled_ = false;
    may_post_copy_ = q.allow_post_copy() && q.target().post_copy_possible();
    post_copy_ = PostCopy::no;
    final_.reset();
  }
  context_.events.begin(uid, v1::MigrationEvent::SAMPLE);
  NV_FAILPOINT(kBeforeJob);
  log::info("migration {}: begins", uid);
  start_threads(std::move(p));
  return {};
}

Result<libvirt::MigrationPlan> Source::plan(const v1::MigrateRequest& q, const libvirt::Domain& domain) {
  const v1::PrepareTargetResponse& t = q.target();
  libvirt::MigrationPlan p;
  p.destination_socket = (context_.paths.migration / kSourceLibvirtSocket).string();
  p.memory_socket = t.memory_socket();
  p.disk_socket = t.disk_socket();
  if (p.memory_socket.empty()) return Error(Code::InvalidArgument, "the target's answer is missing");
  p.bandwidth_mib_per_second = q.bandwidth_mib_per_second();
  p.parallel_connections = std::min(q.parallel_connections(), 64u);
  p.auto_converge = q.auto_converge();
  p.throttle_initial = q.throttle_initial_percent();
  p.throttle_increment = q.throttle_increment_percent();
  p.xbzrle = q.compression() == "xbzrle";
  p.copied_disks.assign(q.copied_disks().begin(), q.copied_disks().end());

  domain::Destination d;
  d.source_socket_dir = context_.paths.instance.string();
  d.socket_dir = t.socket_dir();
  if (!q.compression().empty() && !p.xbzrle) {
    if (q.compression() != "zlib" && q.compression() != "zstd")
      return Error(Code::InvalidArgument, fmt::format("compression {} is not known: zstd, zlib or xbzrle", q.compression()));
    if (!p.parallel_connections) return Error(Code::InvalidArgument, fmt::format("compression {} needs parallel connections", q.compression()));
    d.compression = q.compression();
  }
  for (auto& disk : t.disks()) {
    domain::DiskSource s{disk.volume(), disk.path(), disk.format().empty() ? "raw" : disk.format(), disk.block()};
    s.backing_path = disk.backing_path();
    s.backing_format = disk.backing_format();
    d.disks.push_back(std::move(s));
  }
  const auto& interfaces = q.target_interfaces().empty() ? t.interfaces() : q.target_interfaces();
  for (auto& i : interfaces) d.taps[i.name()] = i.tap();
  NV_TRY(std::string live, libvirt::migratable_xml(domain));
  NV_TRY(p.xml, domain::destination_xml(live, d));
  if (p.copied_disks.empty()) return p;
  NV_TRY(auto backing, domain::disk_backing(live));
  NV_TRY(auto targets, domain::disk_targets(live));
  for (auto& disk : t.disks()) {
    bool copied = std::find(p.copied_disks.begin(), p.copied_disks.end(), targets[disk.volume()]) != p.copied_disks.end();
    if (!copied || (backing[disk.volume()].empty() && disk.backing_path().empty())) continue;
    std::string mine = base_identity(backing[disk.volume()]);
    if (mine.empty() || mine != disk.base_identity()) p.copy_whole_chain = true;
  }
  return p;
}

Result<void> Source::set_parameters(const v1::MigrateRequest& q) {
  Json arguments{{"max-cpu-throttle", q.throttle_maximum_percent() ? std::min(q.throttle_maximum_percent(), 99u) : 99u},
                 {"throttle-trigger-threshold", q.throttle_trigger_percent() ? std::min(q.throttle_trigger_percent(), 100u) : 50u},
                 {"multifd-compression", q.compression() == "zlib" || q.compression() == "zstd" ? q.compression() : "none"}};
  // QEMU refuses a ceiling below the first step; libvirt sets the step again when it begins.
  unsigned maximum = static_cast<unsigned>(arguments["max-cpu-throttle"].get<int>());
  arguments["cpu-throttle-initial"] = std::min(q.throttle_initial_percent() ? q.throttle_initial_percent() : 20u, maximum);
  if (q.throttle_initial_percent() > maximum || (q.auto_converge() && !q.throttle_initial_percent() && maximum < 20))
    return Error(Code::InvalidArgument, "the throttle begins above its ceiling");
  auto set = context_.monitor.execute("migrate-set-parameters", arguments);
  if (!set.ok()) return set.error();
  return {};
}

void Source::start_threads(std::optional<libvirt::MigrationPlan> p) {
  std::lock_guard lock(mutex_);
  bool alone = !p;
  job_runs_ = !alone;
  if (p) job_thread_ = std::thread([this, p = std::move(*p)] { job(p); });
  follow_thread_ = std::thread([this, alone] { follow(alone); });
}

void Source::job(libvirt::MigrationPlan p) {
  std::string error;
  bool lost = false;
  for (;;) {
    auto domain = context_.domain(20s);
    auto done = domain.ok() ? libvirt::migrate(*domain, p) : Result<void>(domain.error());
    error = done.ok() ? "" : done.error().message;
    lost = !done.ok() && done.error().code == Code::Unavailable;
    {
      std::lock_guard lock(mutex_);
      if (post_copy_ != PostCopy::wanted || cancelled_ || done.ok() || lost || stop_) break;
    }
    // Once more, this time for post-copy after the first pass: libvirt leaves the guest paused at the target or lets
    // post-copy begin, never both. The limit keeps the pass from ending in a switch-over of its own.
    if (auto limited = libvirt::set_max_downtime(*domain, 1); !limited.ok()) log::warning("{}", limited.error().message);
    p.post_copy = true;
    std::lock_guard lock(mutex_);
    post_copy_ = PostCopy::pending;
    cancel_ = false;
    phase_ = Phase::running;
    final_.reset();
    log::info("migration {}: begins again for post-copy", record_.uid);
  }
  NV_FAILPOINT(kJobOver);
  log::info("migration {}: libvirt's job ended: {}", record().uid, error.empty() ? "well" : error);
  // The connection may have broken under a job that runs on; then it is followed without this thread.
  bool done = concluded(error, lost);
  std::lock_guard lock(mutex_);
  job_runs_ = false;
  if (!done) changed_.notify_all();
}

// Takes samples until the job is over. `alone`: no thread of this process waits for the job's end.
void Source::follow(bool alone) {
  auto interval = std::chrono::milliseconds(std::max(record().interval_ms, 50u));
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait_for(lock, interval, [&] { return stop_ || phase_ == Phase::over || post_copy_ == PostCopy::now; });
    if (stop_ || phase_ == Phase::over) return;
    bool ask = phase_ == Phase::running || phase_ == Phase::post_copy, cancel = cancel_, post_copy = post_copy_ == PostCopy::now;
    alone = alone || !job_runs_;
    std::string uid = record_.uid;
    lock.unlock();
    bool active = true;
    if (auto domain = ask || alone ? context_.domain(1s) : Result<libvirt::Domain>(Error(Code::Unavailable, "")); domain.ok()) {
      if (cancel)
        if (auto aborted = libvirt::abort_job(*domain); aborted.ok()) {
          std::lock_guard again(mutex_);
          cancel_ = false;
        }
      if (post_copy) {
        auto started = libvirt::start_post_copy(*domain);
        if (!started.ok()) log::error("{}", started.error().message);
        std::lock_guard again(mutex_);
        post_copy_ = started.ok() ? PostCopy::no : PostCopy::pending;  // asked again at the next pass
      }
      if (auto stats = libvirt::job_stats(*domain); stats.ok()) {
        active = stats->active();
        if (active && ask) {
          v1::MigrationSample sample = sample_of(stats->values, false);
          now_stamped(sample);
          context_.events.publish(uid, v1::MigrationEvent::SAMPLE, sample);
          NV_FAILPOINT(kAtSample);
        }
      } else {
        active = stats.error().code == Code::Unavailable;
      }
    } else if (domain.error().code == Code::NotFound) {
      active = false;
    }
    if (alone && !active) concluded("", true);
    lock.lock();
  }
}

std::string Source::why_it_ended(const std::string& fallback) const {
  std::lock_guard lock(mutex_);
  std::string why = final_ ? final_->text("errmsg") : "";
  return !why.empty() ? why : !fallback.empty() ? fallback : "the migration ended; libvirt does not tell why";
}

// Looks at what libvirt and QEMU say once no call waits for the job. False: it runs on.
bool Source::concluded(const std::string& error, bool lost) {
  if (error.empty() && !lost) {
    over("");
    return true;
  }
  auto domain = context_.domain(30s);
  if (!domain.ok()) {
    if (domain.error().code == Code::NotFound) return over("the domain is gone"), true;
    return false;
  }
  if (lost)
    if (auto stats = libvirt::job_stats(*domain); stats.ok() && stats->active()) return false;
  auto s = domain->state();
  if (!s.ok()) return false;
  if (!s->active()) {
    bool moved = libvirt::reason_word(s->state, s->reason) == "Migrated";
    return over(moved ? "" : why_it_ended(error.empty() ? "the guest has ended" : error)), true;
  }
  Record r = record();
  if (paused(*s) && r.paused_by_us && !r.guest_was_paused && !paused_by_migration(*s))
    if (auto resumed = domain->resume(); !resumed.ok()) log::warning("{}", resumed.error().message);
  over(why_it_ended(error));
  return true;
}

void Source::over(const std::string& error) {
  v1::MigrationSample sample = context_.events.standing().sample();
  Record r;
  {
    std::lock_guard lock(mutex_);
    if (phase_ == Phase::over) return;
    phase_ = Phase::over;
    if (final_) {
      sample = sample_of(*final_, true);
      now_stamped(sample);
    }
    r = record_;
    changed_.notify_all();
  }
  // What a steered migration leaves in QEMU: libvirt puts back only what it knows.
  if (r.step != Step::released && !error.empty()) {
    auto reset = context_.monitor.execute("migrate-set-parameters", {{"max-cpu-throttle", 99}, {"cpu-throttle-initial", 20}, {"cpu-throttle-increment", 10},
                                                                     {"throttle-trigger-threshold", 50}, {"multifd-compression", "none"}});
    if (!reset.ok()) log::warning("put the migration's parameters back: {}", reset.error().message);
  }
  auto end = [&](Record& now) {
    if (now.step != Step::begun) return false;  // a release wins over whatever the job says
    now.step = Step::ended;
    now.error = error;
    return true;
  };
  if (auto saved = update(end); !saved.ok()) log::error("{}", saved.error().message);
  log::info("migration {}: over{}{}", r.uid, error.empty() ? "" : ": ", error);
  context_.events.publish(r.uid, v1::MigrationEvent::ENDED, sample, released() ? "" : error);
}

Result<void> Source::steer(const v1::SteerRequest& q) {
  Record r = record();
  if (r.role != Role::source || r.uid != q.migration_uid()) return refuse("NotMigrating", "no migration of that uid is under way here");
  {
    std::lock_guard lock(mutex_);
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
  if (q.has_bandwidth_mib_per_second()) NV_TRY_VOID(libvirt::set_migration_bandwidth(domain, q.bandwidth_mib_per_second()));
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
  Record r = record();
  if (r.role != Role::source || r.uid != uid) return refuse("NotMigrating", "no migration of that uid is known here");
  if (r.step == Step::released) return refuse("Released", "the guest has left this pod");
  NV_TRY(libvirt::Domain domain, context_.domain(5s));
  bool job;
  {
    std::lock_guard lock(mutex_);
    if (phase_ == Phase::post_copy) return refuse("PostCopy", "the guest runs at the target: it cannot be taken back");
    job = phase_ == Phase::running || phase_ == Phase::switched;
    cancel_ = cancelled_ = job;
  }
  if (job) {
    auto aborted = libvirt::abort_job(domain);
    NV_FAILPOINT(kAfterAbort);
    std::lock_guard lock(mutex_);
    if (aborted.ok()) cancel_ = false;
    return {};  // else it is asked again until the job takes it or is over
  }
  // The job is over, and libvirt could not tell how: the guest stands, and its state is whole here.
  NV_TRY(libvirt::StateAndReason s, domain.state());
  if (!paused(s) || r.guest_was_paused || libvirt::reason_word(s.state, s.reason).starts_with("Postcopy")) return {};
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
    NV_TRY_VOID(finish_release(context_.qemu_pid()));
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
  if (done.sample) {
    now_stamped(*done.sample);
    context_.events.publish(uid, v1::MigrationEvent::RELEASED, *done.sample);
  } else {
    context_.events.publish(uid, v1::MigrationEvent::RELEASED);
  }
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
    if (auto done = finish_release(context_.qemu_pid()); !done.ok()) log::error("{}", done.error().message);
    return context_.events.begin(r->uid, v1::MigrationEvent::RELEASED);
  }
  // Frozen by a release that did not come to its record: nobody was told of it.
  if (auto qemu = Process::open(context_.qemu_pid(), "qemu-system"); qemu.ok() && qemu->stopped()) qemu->signal(SIGCONT);
  if (r->step == Step::ended) {
    std::lock_guard lock(mutex_);
    phase_ = Phase::over;
    return context_.events.begin(r->uid, v1::MigrationEvent::ENDED, r->error);
  }
  log::info("migration {}: found again", r->uid);
  {
    std::lock_guard lock(mutex_);
    phase_ = Phase::running;
  }
  context_.events.begin(r->uid, v1::MigrationEvent::SAMPLE);
  start_threads(std::nullopt);
}

}  // namespace nodevirt::virt_launcher::migration
