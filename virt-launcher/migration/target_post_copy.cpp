// A guest that runs here while a part of its memory is still at the source.
#include "pkg/base/log.hpp"
#include "virt-launcher/migration/migration.hpp"
#include "virt-launcher/migration/target.hpp"

namespace nodevirt::virt_launcher::migration {

using namespace std::chrono_literals;

namespace {

constexpr std::chrono::milliseconds kLook = 500ms;  // at a guest whose memory is still coming

}  // namespace

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

// libvirt would ask QEMU's main thread for it, which may wait for a page, as may the first listener, which is that thread's. The new
// one is not, and stands as long as post-copy does: listening once more would take it from a source that comes just then, and
// waits for ever. QEMU refuses while nothing is interrupted.
void Target::listen_again(const std::string& uid) {
  if (listens_again_) return;
  const std::string uri = "unix:" + (context_.paths.migration / kMemorySocket).string();
  if (!context_.monitor.execute_out_of_band("migrate-recover", {{"uri", uri}}, 1s).ok()) return;
  listens_again_ = true;
  log::warning("migration {}: the memory's stream is interrupted; QEMU listens for it again", uid);
  context_.events.publish(uid, v1::MigrationEvent::POST_COPY, "the memory's stream was interrupted");
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

}  // namespace nodevirt::virt_launcher::migration
