#include "virt-launcher/migration/target.hpp"

#include <algorithm>

#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/libvirt/migration.hpp"
#include "virt-launcher/guest_state.hpp"
#include "virt-launcher/migration/migration.hpp"
#include "virt-launcher/migration/release.hpp"

namespace nodevirt::virt_launcher::migration {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr auto kLookAgain = 5ms;  // for what libvirt did not let us wait for

NV_DECLARE_FAILPOINT(kAtLoaded, "launcher-target-at-loaded");
NV_DECLARE_FAILPOINT(kResumeRecorded, "launcher-target-resume-recorded");
NV_DECLARE_FAILPOINT(kResumed, "launcher-target-resumed");
NV_DECLARE_FAILPOINT(kAbandonRecorded, "launcher-target-abandon-recorded");
NV_DECLARE_FAILPOINT(kDestroyed, "launcher-target-destroyed");

Target::Target(Context& context, TargetHooks hooks) : context_(context), hooks_(std::move(hooks)) {
  auto r = read_record(context_.paths.migration);
  if (r.ok()) record_ = *r;
  else log::error("{}", r.error().message);
}

Target::~Target() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  if (loading_.joinable()) loading_.join();
  if (fetching_.joinable()) fetching_.join();
}

Record Target::record() const {
  std::lock_guard lock(mutex_);
  return record_;
}

bool Target::waits() const {
  std::lock_guard lock(mutex_);
  return record_.role == Role::target && record_.step != Step::resumed;
}

bool Target::fetches() const {
  std::lock_guard lock(mutex_);
  return record_.role == Role::target && record_.fetching;
}

Result<void> Target::save(const Record& record) {
  NV_TRY_VOID(write_record(context_.paths.migration, record));
  std::lock_guard lock(mutex_);
  record_ = record;
  return {};
}

Result<void> Target::resume(const std::string& uid, bool keep_paused) {
  std::lock_guard action(action_mutex_);
  NV_TRY(Record r, read_record(context_.paths.migration));
  if (r.role != Role::target || r.uid != uid) return refuse("NotMigrating", "no migration of that uid is known here");
  if (r.step == Step::abandoned) return refuse("Abandoned", "this target was given up");
  auto domain = context_.domain(20s);
  if (!domain.ok()) {
    if (domain.error().code == Code::NotFound) return refuse("NotLoaded", "the guest is not here");
    return domain.error();
  }
  NV_TRY(libvirt::StateAndReason s, domain->state());
  auto word = libvirt::state_word(s.state), why = libvirt::reason_word(s.state, s.reason);
  bool first = r.step != Step::resumed;
  if (!first && (word == "Running" || keep_paused)) return {};
  if (!s.active()) return refuse("NotLoaded", first ? "the guest is not here" : "the guest has ended");
  if (word == "Paused" && !can_resume(*domain)) return refuse("NotLoaded", fmt::format("the guest is not whole here: {}", why));
  if (first) {
    r.step = Step::resumed;
    NV_TRY_VOID(save(r));
    NV_FAILPOINT(kResumeRecorded);
  }
  context_.monitor.close_line();
  hooks_.taken_over();
  if (!keep_paused && word != "Running") NV_TRY_VOID(domain->resume());
  NV_FAILPOINT(kResumed);
  log::info("migration {}: the guest {} here", uid, keep_paused ? "stays paused" : "runs");
  context_.events.publish(uid, v1::MigrationEvent::RESUMED);
  context_.post([this] { after_resume(); }, 0ms);
  return {};
}

// libvirt's daemon, killed before its job is over, ends an incoming guest when it comes back: until then the guest is not
// safe here, whatever the events say.
bool Target::loaded(const libvirt::Domain& domain) const {
  auto job = libvirt::job_stats(domain);
  auto s = domain.state();  // after the job: its last act is this state
  return job.ok() && !job->active() && s.ok() && libvirt::state_word(s->state) == "Paused" && libvirt::reason_word(s->state, s->reason) == "User";
}

// Once the source is released this guest is the only one: it goes on from whatever it was paused by.
bool Target::can_resume(const libvirt::Domain& domain) {
  if (loaded(domain)) return true;
  auto job = libvirt::job_stats(domain);
  if (!job.ok() || job->active()) return false;
  auto status = context_.monitor.execute("query-status");
  return status.ok() && string_at(*status, {"status"}) == "paused";
}

// A thread of its own: a handover counts milliseconds, and the event's thread must not wait.
void Target::begin_loading(const std::string& uid) {
  std::lock_guard lock(mutex_);
  if (std::exchange(loading_begun_, true)) return;
  loading_ = std::thread([this, uid] { await_whole(uid); });
}

void Target::await_whole(std::string uid) {
  for (auto until = std::chrono::steady_clock::now() + 60s;;) {
    if (std::chrono::steady_clock::now() >= until) return log::error("migration {}: libvirt's job does not end", uid);
    auto domain = context_.domain(1s);
    if (domain.ok()) {
      auto s = domain->state();
      if (s.ok() && !s->active()) return;
      auto waited = libvirt::await_incoming_job(*domain);
      if (loaded(*domain)) break;
      if (!waited.ok()) log::debug("migration {}: {}", uid, waited.error().message);
    } else if (domain.error().code == Code::NotFound) {
      return;
    }
    std::this_thread::sleep_for(kLookAgain);
    std::lock_guard lock(mutex_);
    if (stop_ || record_.step != Step::prepared) return;
  }
  {
    std::lock_guard lock(mutex_);
    if (stop_ || record_.step != Step::prepared || loaded_) return;
    loaded_ = true;
  }
  context_.events.publish(uid, v1::MigrationEvent::LOADED);
  NV_FAILPOINT(kAtLoaded);
}

void Target::after_resume() {
  announce();
  set_time(30);
}

// What QEMU announced by itself went out when the guest could not answer yet.
void Target::announce() {
  auto announced = context_.monitor.execute("announce-self", {{"initial", 50}, {"max", 550}, {"rounds", 5}, {"step", 100}});
  if (!announced.ok()) log::warning("announce the guest's addresses: {}", announced.error().message);
}

// The guest's clock stood still while it was moved; only its agent can tell it so.
void Target::set_time(int tries) {
  v1::DomainState now;
  auto domain = context_.domain(0ms);
  if (auto xml = domain.ok() ? domain->xml() : Result<std::string>(domain.error()); xml.ok()) read_domain_xml(*xml, now);
  if (now.guest_agent() && libvirt::sync_guest_time(*domain).ok()) return log::info("the guest's clock is set");
  if (tries > 1) context_.post([this, tries] { set_time(tries - 1); }, 2s);
}

Result<void> Target::destroy() {
  auto domain = context_.domain(20s);
  if (!domain.ok() && domain.error().code != Code::NotFound) return domain.error();
  if (domain.ok()) {
    NV_TRY(libvirt::StateAndReason s, domain->state());
    if (s.active())
      if (auto gone = domain->destroy(); !gone.ok()) {
        auto again = context_.domain(5s);
        bool still = again.ok() || again.error().code != Code::NotFound;
        if (auto now = domain->state(); still && (!now.ok() || now->active())) return gone;
      }
    if (auto undefined = domain->undefine(); !undefined.ok() && undefined.error().code != Code::NotFound)
      log::warning("{}", undefined.error().message);
  }
  // libvirt forgets a domain before its process has ended.
  return end_qemu(context_.qemu_pid());
}

Result<void> Target::abandon(const std::string& uid) {
  std::lock_guard action(action_mutex_);
  NV_TRY(Record r, read_record(context_.paths.migration));
  if (r.role == Role::none) {
    // Given up before it was prepared: a preparation that comes late is refused.
    r = Record{uid, Role::target, Step::prepared, "", false, false, 0};
  }
  if (r.role != Role::target || r.uid != uid) return refuse("NotMigrating", "no migration of that uid is known here");
  if (r.step == Step::resumed) return refuse("Resumed", "the guest runs here");
  if (auto domain = context_.domain(20s); domain.ok())
    if (auto s = domain->state(); s.ok() && libvirt::state_word(s->state) == "Running") return refuse("Resumed", "the guest runs here");
  if (r.step != Step::abandoned) {
    r.step = Step::abandoned;
    NV_TRY_VOID(save(r));
  }
  NV_FAILPOINT(kAbandonRecorded);
  context_.monitor.close_line();
  NV_TRY_VOID(destroy());
  NV_FAILPOINT(kDestroyed);
  hooks_.forget();
  std::error_code ec;
  for (std::string_view left : {kMemorySocket, kDiskSocket, kTargetLibvirtSocket, kAnswerFile}) fs::remove(context_.paths.migration / left, ec);
  log::info("migration {}: abandoned", uid);
  context_.events.publish(uid, v1::MigrationEvent::ENDED, "the target was abandoned");
  return {};
}

void Target::destroy_late(int tries) {
  auto gone = destroy();
  if (gone.ok() || tries <= 1) return;
  log::warning("destroy a guest that came too late: {}", gone.error().message);
  context_.post([this, tries] { destroy_late(tries - 1); }, 1s);
}

void Target::on_event(const libvirt::DomainEvent& e) {
  if (e.kind != libvirt::DomainEvent::Kind::Lifecycle) return;
  Record r = record();
  if (r.role != Role::target) return;
  if (r.step == Step::abandoned && e.lifecycle == "Started") return context_.post([this] { destroy_late(30); }, 0ms);
  if (r.step == Step::resumed && r.fetching && e.lifecycle == "Resumed" && e.detail == "Migrated") {
    std::lock_guard lock(mutex_);
    look_now_ = true;
    return changed_.notify_all();
  }
  if (r.step != Step::prepared) return;
  if (e.lifecycle == "Started") return context_.post([this] { be_ready_for_post_copy(); }, 0ms);
  if (e.lifecycle == "Resumed") {
    Kind kind = e.detail == "Postcopy" ? v1::MigrationEvent::POST_COPY : v1::MigrationEvent::RESUMED;
    return context_.post([this, kind] { arrived(kind); }, 0ms);
  }
  if (e.lifecycle == "Suspended" && e.detail == "Paused") {
    begin_loading(r.uid);
  } else if (e.lifecycle == "Stopped") {
    std::lock_guard lock(mutex_);
    if (!std::exchange(loaded_, false)) return;  // the source tells why, and may begin again
    context_.events.publish(r.uid, v1::MigrationEvent::ENDED, "the incoming guest is gone: " + e.detail);
  }
}

void Target::reconnected() {
  std::lock_guard action(action_mutex_);
  auto r = read_record(context_.paths.migration);
  if (!r.ok()) return log::error("{}", r.error().message);
  if (r->role != Role::target || !(r->step == Step::prepared || r->fetching)) context_.monitor.close_line();
  if (r->role != Role::target) return;
  bool new_here;
  {
    std::lock_guard lock(mutex_);
    new_here = !std::exchange(told_, true);
    record_ = *r;
  }
  if (r->step == Step::resumed) {
    if (!new_here) return;
    context_.events.begin(r->uid, r->fetching ? v1::MigrationEvent::POST_COPY : v1::MigrationEvent::RESUMED);
    if (r->fetching) fetch();
    return;
  }
  if (r->step == Step::abandoned) {
    if (new_here) context_.events.begin(r->uid, v1::MigrationEvent::ENDED, "the target was abandoned");
    return destroy_late(30);
  }
  Kind kind = v1::MigrationEvent::SAMPLE;
  std::string error;
  auto domain = context_.domain(0ms);
  bool active = false;
  if (domain.ok())
    if (auto s = domain->state(); s.ok() && s->active()) {
      active = true;
      context_.post([this] { be_ready_for_post_copy(); }, 0ms);
      if (libvirt::state_word(s->state) == "Running") {
        Kind how = libvirt::reason_word(s->state, s->reason).starts_with("Postcopy") ? v1::MigrationEvent::POST_COPY : v1::MigrationEvent::RESUMED;
        return context_.post([this, how] { arrived(how); }, 0ms);
      }
      if (libvirt::reason_word(s->state, s->reason) == "User" && !loaded(*domain)) begin_loading(r->uid);  // the event was missed
      if (loaded(*domain)) kind = v1::MigrationEvent::LOADED;
    }
  // Events were missed: what stood here and is gone has ended.
  Kind before = context_.events.standing().kind();
  if (!active && before == v1::MigrationEvent::LOADED) {
    kind = v1::MigrationEvent::ENDED;
    error = "the incoming guest is gone";
  }
  {
    std::lock_guard lock(mutex_);
    loaded_ = kind == v1::MigrationEvent::LOADED;
  }
  if (new_here) context_.events.begin(r->uid, kind, error);
  else if (kind != v1::MigrationEvent::SAMPLE && before != kind) context_.events.publish(r->uid, kind, error);
}

}  // namespace nodevirt::virt_launcher::migration
