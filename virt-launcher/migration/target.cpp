#include "virt-launcher/migration/target.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/vmi.hpp"
#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/domain/destination.hpp"
#include "pkg/libvirt/migration.hpp"
#include "virt-launcher/migration/base_identity.hpp"
#include "virt-launcher/migration/migration.hpp"
#include "virt-launcher/migration/release.hpp"
#include "virt-launcher/storage/image.hpp"
#include "virt-launcher/storage/volumes.hpp"

namespace nodevirt::virt_launcher::migration {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

NV_DECLARE_FAILPOINT(kBeforePrepare, "launcher-target-before-prepare");
NV_DECLARE_FAILPOINT(kPrepared, "launcher-target-prepared");
NV_DECLARE_FAILPOINT(kAtLoaded, "launcher-target-at-loaded");
NV_DECLARE_FAILPOINT(kResumeRecorded, "launcher-target-resume-recorded");
NV_DECLARE_FAILPOINT(kResumed, "launcher-target-resumed");
NV_DECLARE_FAILPOINT(kAbandonRecorded, "launcher-target-abandon-recorded");
NV_DECLARE_FAILPOINT(kDestroyed, "launcher-target-destroyed");

namespace {

// QEMU runs as the same user with the same rights: what this process may do, it may.
bool userfaultfd_works() { return static_cast<bool>(Fd(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)))); }

// What only the source's pod has; of claims, those that move to another one.
bool is_copied(const api::Volume& volume, const Json& instance) {
  using K = api::VolumeKind;
  return volume.kind == K::containerDisk || volume.kind == K::ephemeral || volume.kind == K::emptyDisk || storage::moves_to(instance, volume);
}

constexpr std::string_view kAnswerFile = "target-answer";
constexpr std::chrono::milliseconds kLook = 500ms;  // at a guest whose memory is still coming
constexpr auto kListens = 10s;  // for the source of an interrupted one

}  // namespace

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

Result<v1::PrepareTargetResponse> Target::prepare(const v1::PrepareTargetRequest& q) {
  if (q.migration_uid().empty()) return Error(Code::InvalidArgument, "a migration needs a uid");
  if (q.vmi_json().size() > (4u << 20)) return Error(Code::InvalidArgument, "the instance is larger than 4 MiB");
  NV_TRY(Json raw, parse_json(q.vmi_json()));
  NV_TRY(api::Instance instance, api::decode_instance(raw));
  NV_TRY_VOID(hooks_.check(instance.metadata.uid));
  std::lock_guard action(action_mutex_);
  NV_TRY(Record r, read_record(context_.paths.migration));
  if (r.role != Role::none && (r.role != Role::target || r.uid != q.migration_uid()))
    return refuse("MigrationUnderWay", fmt::format("this pod belongs to the migration {}", r.uid));
  if (r.step == Step::abandoned) return refuse("Abandoned", "this target was given up");
  v1::PrepareTargetResponse answer;
  if (r.step == Step::prepared || r.step == Step::resumed)
    if (auto saved = read_file(context_.paths.migration / kAnswerFile, 4u << 20); saved.ok() && answer.ParseFromString(*saved)) return answer;
  if (auto domain = context_.domain(20s); domain.ok()) {
    NV_TRY(libvirt::StateAndReason s, domain->state());
    if (s.active()) return refuse("GuestRuns", "a guest runs in this pod already");
  } else if (domain.error().code != Code::NotFound) {
    return domain.error();
  }
  NV_FAILPOINT(kBeforePrepare);
  // From here on no Sync may start a guest in this pod.
  NV_TRY_VOID(save({q.migration_uid(), Role::target, Step::prepared, "", false, false, 0}));
  {
    std::lock_guard lock(mutex_);
    told_ = true;
  }
  context_.events.begin(q.migration_uid(), v1::MigrationEvent::SAMPLE);

  NV_TRY(domain::Options options, hooks_.prepare(q));
  NV_TRY(std::string xml, hooks_.definition(q, options));
  NV_TRY(auto targets, domain::disk_targets(xml));
  for (auto& d : options.disks) {
    v1::TargetDisk* out = answer.add_disks();
    out->set_volume(d.volume);
    out->set_path(d.path);
    out->set_format(d.format);
    out->set_block(d.block);
    out->set_backing_path(d.backing_path);
    out->set_backing_format(d.backing_format);
    out->set_base_identity(base_identity(d.backing_path));
    if (auto image = storage::inspect_image(d.path); image.ok()) out->set_virtual_size(image->virtual_size);
    const api::Volume* volume = instance.volume(d.volume);
    out->set_copied(volume && is_copied(*volume, raw));
    if (out->copied()) answer.add_copied_disks(targets[d.volume]);
  }
  std::error_code ec;
  fs::path link = context_.paths.migration / kTargetLibvirtSocket;
  fs::remove(link, ec);
  fs::create_symlink(context_.paths.libvirt / "run/libvirt/libvirt-sock", link, ec);
  if (ec) return errno_error(ec.value(), "link " + link.string());
  answer.set_memory_socket((context_.paths.migration / kMemorySocket).string());
  answer.set_disk_socket((context_.paths.migration / kDiskSocket).string());
  answer.set_socket_dir(context_.paths.instance.string());
  *answer.mutable_interfaces() = q.node().interfaces();
  answer.set_post_copy_possible(q.allow_post_copy() && userfaultfd_works());
  NV_TRY_VOID(write_file_atomic(context_.paths.migration / kAnswerFile, answer.SerializeAsString()));
  NV_FAILPOINT(kPrepared);
  log::info("migration {}: ready for the guest", q.migration_uid());
  return answer;
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
      if (loaded(*domain)) break;
    } else if (domain.error().code == Code::NotFound) {
      return;
    }
    std::this_thread::sleep_for(500us);
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

// A guest that began to run here by itself, in post-copy or after a job that was meant for it.
void Target::arrived(Kind kind) {
  std::lock_guard action(action_mutex_);
  Record r = record();
  if (r.role != Role::target || r.step != Step::prepared) return;
  r.step = Step::resumed;
  r.fetching = kind == v1::MigrationEvent::POST_COPY;
  if (auto saved = save(r); !saved.ok()) log::error("{}", saved.error().message);
  hooks_.taken_over();
  context_.events.publish(r.uid, kind);
  if (r.fetching) return fetch();
  context_.monitor.close_line();
  after_resume();
}

// QEMU's process is here, and its memory has not begun to come.
void Target::be_ready_for_post_copy() {
  std::lock_guard action(action_mutex_);
  if (record().step != Step::prepared) return;
  auto saved = read_file(context_.paths.migration / kAnswerFile, 4u << 20);
  v1::PrepareTargetResponse answer;
  if (!saved.ok() || !answer.ParseFromString(*saved) || !answer.post_copy_possible()) return;
  if (auto open = context_.monitor.open_line(2s); !open.ok()) log::warning("{}", open.error().message);
}

void Target::fetch() {
  if (fetching_.joinable()) return;
  fetching_ = std::thread([this] {
    announce();
    while (look_whether_whole()) {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, kLook, [this] { return stop_ || std::exchange(look_now_, false); });
      if (stop_) return;
    }
  });
}

bool Target::qemu_has_all() {
  if (auto line = context_.monitor.open_line(kLook); !line.ok()) return false;
  auto job = context_.monitor.execute("query-migrate", Json::object(), kLook);
  return job.ok() && string_at(*job, {"status"}) == "completed";
}

// libvirt asks QEMU's main thread for it, which may stand still; and its own call for the source may not have ended.
// QEMU refuses while nothing is interrupted. What it listens at is not taken from it at once: the source may be about to come.
void Target::listen_again(const std::string& uid) {
  auto now = std::chrono::steady_clock::now();
  if (interrupted_ && now - listens_since_ < kListens) return;
  auto listening = context_.monitor.execute_out_of_band("migrate-recover", {{"uri", "unix:" + (context_.paths.migration / kMemorySocket).string()}}, 1s);
  if (!listening.ok() && listening.error().code == Code::Unavailable) return;
  if (listening.ok()) listens_since_ = now;
  if (std::exchange(interrupted_, listening.ok()) == interrupted_) return;
  log::warning("migration {}: the memory's stream is {}", uid, interrupted_ ? "interrupted; the guest waits" : "there again");
  context_.events.publish(uid, v1::MigrationEvent::POST_COPY, interrupted_ ? "the memory's stream is interrupted" : "");
}

// False: there is nothing more to wait for. libvirt's event of it may be lost with its daemon, or not come at all when a part
// of the job went on without libvirt: QEMU is asked too.
bool Target::look_whether_whole() {
  std::lock_guard action(action_mutex_);
  Record r = record();
  if (!r.fetching) return false;
  auto domain = context_.domain(0ms);
  auto s = domain.ok() ? domain->state() : Result<libvirt::StateAndReason>(domain.error());
  bool whole = s.ok() && libvirt::state_word(s->state) == "Running" && !libvirt::reason_word(s->state, s->reason).starts_with("Postcopy");
  whole = whole || qemu_has_all();
  if (!whole) {
    listen_again(r.uid);
    return true;
  }
  context_.monitor.close_line();
  r.fetching = false;
  if (auto saved = save(r); !saved.ok()) log::error("{}", saved.error().message);
  log::info("migration {}: all of the guest's memory is here", r.uid);
  context_.events.publish(r.uid, v1::MigrationEvent::RESUMED);
  context_.post([this] { set_time(30); }, 0ms);
  return false;
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
  auto domain = context_.domain(0ms);
  if (domain.ok() && libvirt::sync_guest_time(*domain).ok()) return log::info("the guest's clock is set");
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
