// libvirt's job on the source: the thread that waits for it, the one that follows it, and its end.
#include <algorithm>

#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "virt-launcher/migration/cause.hpp"
#include "virt-launcher/migration/disk_speed.hpp"
#include "virt-launcher/migration/leftovers.hpp"
#include "virt-launcher/migration/sample.hpp"
#include "virt-launcher/migration/source.hpp"

namespace nodevirt::virt_launcher::migration {

using namespace std::chrono_literals;

NV_DECLARE_FAILPOINT(kAtSample, "launcher-migrate-at-sample");
NV_DECLARE_FAILPOINT(kJobOver, "launcher-migrate-job-over");

namespace {

constexpr auto kAgain = 10ms;  // libvirt takes no cancellation before its job has begun, nor copies disks yet
constexpr auto kSwitchOver = 1s;  // QEMU is left alone meanwhile
constexpr auto kMend = 500ms;  // between tries to go on with a post-copy that was interrupted
constexpr auto kLastWord = 2s;   // for libvirt's call to return once QEMU has ended: with a target that waits in post-copy it may never do
constexpr const char* kEndedInPostCopy = "the source's QEMU ended in post-copy";
constexpr int kUnattended = 20;  // tries, until a job that QEMU calls complete is over whatever libvirt does

}  // namespace

void Source::start_threads(std::optional<libvirt::MigrationPlan> p, bool in_post_copy) {
  std::lock_guard lock(mutex_);
  bool alone = !p && !in_post_copy;
  job_runs_ = !alone;
  if (p) job_thread_ = std::thread([this, p = std::move(*p)] { job(p); });
  else if (in_post_copy) job_thread_ = std::thread([this] { mend(); });
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
    p.parallel_connections = 0;  // QEMU has not both
    std::lock_guard lock(mutex_);
    if (cancelled_ || stop_) break;
    post_copy_ = PostCopy::pending;
    cancel_ = false;
    phase_ = Phase::running;
    final_.reset();
    log::info("migration {}: begins again for post-copy", record_.uid);
  }
  NV_FAILPOINT(kJobOver);
  log::info("migration {}: libvirt's job ended: {}", record().uid, error.empty() ? "well" : error);
  if (error.find("block") != std::string::npos)  // a copy that failed, or could not begin
    log::info("QEMU has {}", block_state([&](std::string_view command, const Json& arguments) { return context_.monitor.execute(command, arguments); }));
  // The connection may have broken under a job that runs on; then it is followed without this thread.
  bool done = concluded(error, lost);
  {
    std::lock_guard lock(mutex_);
    if (done || phase_ != Phase::post_copy) {
      job_runs_ = false;
      if (!done) changed_.notify_all();
      return;
    }
  }
  mend();
}

// Post-copy whose call has failed, or was made by a launcher that is no more. QEMU keeps what the target lacks: with the
// link back the job goes on. How long that is tried is for virt-handler to say: it ends the domain.
void Source::mend() {
  const Json again{{"uri", "unix:" + record().memory_socket}, {"resume", true}};
  bool told = false;
  for (int complete = 0;;) {
    {
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, kMend, [&] { return stop_ || phase_ == Phase::over; })) return;
    }
    auto domain = context_.domain(1s);
    if (!domain.ok() && domain.error().code == Code::NotFound) return over("the guest's memory is gone at the source");
    auto s = domain.ok() ? domain->state() : Result<libvirt::StateAndReason>(domain.error());
    if (!s.ok()) continue;
    if (!s->active()) {
      bool moved = libvirt::reason_word(s->state, s->reason) == "Migrated";
      return over(moved || complete ? "" : kEndedInPostCopy);
    }
    auto job = context_.monitor.execute("query-migrate");
    std::string step = job.ok() ? string_at(*job, {"status"}) : "";
    if (step == "completed") {
      if (++complete >= kUnattended) return over("");
      continue;  // libvirt is about to end it
    }
    if (step != "postcopy-paused") continue;
    if (!std::exchange(told, true)) log::warning("migration {}: post-copy is interrupted; it goes on when the target can be reached", record().uid);
    // Not by libvirt's VIR_MIGRATE_POSTCOPY_RESUME: the target's daemon waits for QEMU's main thread, which may itself wait for a page.
    // Both daemons see how the job goes on, and end it.
    auto mended = context_.monitor.execute("migrate", again);
    if (!mended.ok()) log::debug("migration {}: {}", record().uid, mended.error().message);
  }
}

// Ends a job whose QEMU has ended, when nobody else does.
bool Source::given_up() {
  bool in_post_copy;
  {
    std::lock_guard lock(mutex_);
    in_post_copy = phase_ == Phase::post_copy;
    if (!gone_ || std::chrono::steady_clock::now() < *gone_ + kLastWord || (phase_ != Phase::running && !in_post_copy)) return false;
  }
  over(in_post_copy ? kEndedInPostCopy : "the guest has ended");
  return true;
}

// Takes samples until the job is over, and asks for its end until libvirt takes that. `alone`: no thread of this process
// waits for the job's end.
void Source::follow(bool alone) {
  using Clock = std::chrono::steady_clock;
  auto interval = std::chrono::milliseconds(std::max(record().interval_ms, 50u));
  auto next = Clock::now() + interval;
  auto switched = next;  // not before
  Cancelling cancelling;
  const Execute qemu = [this](std::string_view command, const Json& arguments) { return context_.monitor.execute(command, arguments); };
  std::unique_lock lock(mutex_);
  for (;;) {
    bool again = cancel_ || shared_among_;
    changed_.wait_until(lock, again ? std::min(next, Clock::now() + kAgain) : next,
                        [&] { return stop_ || phase_ == Phase::over || post_copy_ == PostCopy::now || (cancel_ && !again); });
    if (stop_ || phase_ == Phase::over) return;
    bool cancel = cancel_, post_copy = post_copy_ == PostCopy::now, look = Clock::now() >= next;
    bool ask = phase_ == Phase::running || phase_ == Phase::post_copy;
    if (ask) switched = Clock::now();
    alone = alone || !job_runs_;
    if (alone && phase_ == Phase::post_copy) {
      lock.unlock();
      return mend();
    }
    std::string uid = record_.uid;
    std::uint64_t bandwidth = bandwidth_;
    std::size_t disks = shared_among_;
    bool copies = copies_disks_, called_off = cancelled_;
    lock.unlock();
    if (given_up()) return;
    if (disks) divide(bandwidth, disks);
    if (look) next = Clock::now() + interval;
    bool active = true;
    if (auto domain = ask || alone || cancel ? context_.domain(1s) : Result<libvirt::Domain>(Error(Code::Unavailable, "")); domain.ok()) {
      if (cancel) abort(*domain);
      if (post_copy) {
        auto started = libvirt::start_post_copy(*domain);
        if (!started.ok()) log::error("{}", started.error().message);
        std::lock_guard again(mutex_);
        post_copy_ = started.ok() ? PostCopy::no : PostCopy::pending;  // asked again at the next pass
      }
      if (auto stats = look ? libvirt::job_stats(*domain) : Result<libvirt::JobStats>(Error(Code::Unavailable, "")); stats.ok()) {
        active = stats->active();
        if (active && ask) {
          v1::MigrationSample sample = sample_of(stats->values, false);
          if (copies) look_at_copies(sample);
          stamp_now(sample);
          context_.events.publish(uid, v1::MigrationEvent::SAMPLE, sample);
          NV_FAILPOINT(kAtSample);
        }
      } else {
        active = stats.error().code == Code::Unavailable;
      }
    } else if (domain.error().code == Code::NotFound) {
      active = false;
    }
    bool overdue = ask ? called_off || !active : Clock::now() >= switched + kSwitchOver;
    if (look && overdue && cancelling.let_end(qemu, Clock::now()))
      log::warning("migration {}: called off while the guest was being stopped: QEMU waited to be told to go on", uid);
    if (alone && !active) concluded("", true);
    lock.lock();
  }
}

// libvirt's figures of the disks may be those of some time ago, or missing. Once the memory is on its way that does not
// matter, and QEMU is asked for nothing more: the switch-over is near.
void Source::look_at_copies(v1::MigrationSample& sample) {
  if (sample.iteration() == 0)
    if (auto jobs = context_.monitor.execute("query-block-jobs"); jobs.ok() && add_copies(sample, *jobs)) return;
  if (sample.disk_total_bytes()) return;
  const v1::MigrationSample before = context_.events.standing().sample();
  sample.set_disk_total_bytes(before.disk_total_bytes());
  sample.set_disk_processed_bytes(before.disk_processed_bytes());
  sample.set_disk_remaining_bytes(before.disk_remaining_bytes());
}

// Divides the bandwidth among the disks as soon as all are being copied.
void Source::divide(std::uint64_t bandwidth, std::size_t disks) {
  auto shared = share_among_disks(context_.monitor, bandwidth, disks);
  bool late = context_.events.standing().sample().memory_processed_bytes() > 0;
  if (!late && !(shared.ok() && *shared)) return;
  std::lock_guard lock(mutex_);
  shared_among_ = 0;
}

// libvirt refuses while it has not come as far as the job; then follow() asks again.
void Source::abort(const libvirt::Domain& domain) {
  if (!libvirt::abort_job(domain).ok()) return;
  std::lock_guard lock(mutex_);
  cancel_ = false;
}

// What to tell of a job that failed while its guest stayed; `words` are libvirt's, empty when no call waited for it.
std::string Source::why_it_ended(const std::string& words) const {
  std::lock_guard lock(mutex_);
  if (cancelled_) return "cancelled";
  std::string of_job = final_ ? final_->text("errmsg") : "";
  if (words.empty() && of_job.empty()) return "the migration ended; libvirt does not tell why";
  return cause_of(words.empty() ? of_job : words);
}

// Looks at what libvirt and QEMU say once no call waits for the job. False: it runs on.
bool Source::concluded(const std::string& error, bool lost) {
  if (error.empty() && !lost) {
    over("");
    return true;
  }
  auto domain = context_.domain(30s);
  // libvirt ends QEMU as soon as the target has all; a libvirtd that dies then leaves nobody to tell it. Whether the guest may be the
  // target's is for the release to say: a guest whose QEMU is gone cannot stay here.
  bool left = false;
  if (lost) {
    std::lock_guard lock(mutex_);
    left = phase_ == Phase::switched;
  }
  if (!domain.ok()) {
    if (domain.error().code == Code::NotFound) return over(left ? "" : "the domain is gone"), true;
    return false;
  }
  if (lost)
    if (auto stats = libvirt::job_stats(*domain); stats.ok() && stats->active()) return false;
  auto s = domain->state();
  if (!s.ok()) return false;
  if (!s->active()) {
    bool moved = libvirt::reason_word(s->state, s->reason) == "Migrated" || left;
    return over(moved ? "" : error.empty() ? "the guest has ended" : "the guest has ended: " + error), true;
  }
  if (stopped_by_post_copy(*s)) {
    std::unique_lock lock(mutex_);
    bool known = std::exchange(phase_, Phase::post_copy) == Phase::post_copy;
    std::string uid = record_.uid;
    lock.unlock();
    if (!known) context_.events.publish(uid, v1::MigrationEvent::POST_COPY);
    return false;
  }
  Record r = record();
  if (paused(*s) && r.paused_by_us && !r.guest_was_paused && !paused_by_migration(*s))
    if (auto resumed = domain->resume(); !resumed.ok()) log::warning("{}", resumed.error().message);
  over(why_it_ended(error));
  return true;
}

// The finished job's statistics; libvirt's event may come after its call has returned.
std::optional<libvirt::Parameters> Source::final_statistics() {
  {
    std::lock_guard lock(mutex_);
    if (final_) return final_;
  }
  auto domain = context_.domain(1s);
  auto stats = domain.ok() ? libvirt::job_stats(*domain, true) : Result<libvirt::JobStats>(domain.error());
  if (!stats.ok() || stats->type != libvirt::JobType::Completed) return std::nullopt;
  return stats->values;
}

void Source::over(const std::string& error) {
  std::optional<libvirt::Parameters> final = error.empty() ? final_statistics() : std::nullopt;
  v1::MigrationSample sample = context_.events.standing().sample();
  if (error.empty()) {
    sample = final_sample(final ? sample_of(*final, true) : v1::MigrationSample(), sample);
    stamp_now(sample);
  }
  Record r;
  {
    std::lock_guard lock(mutex_);
    if (phase_ == Phase::over) return;
    phase_ = Phase::over;
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

}  // namespace nodevirt::virt_launcher::migration
