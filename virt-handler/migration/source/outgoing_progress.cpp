// What the job's samples lead to: the policy's actions, and what people are told.
#include "api/names.hpp"
#include "pkg/base/log.hpp"
#include "virt-handler/migration/source/outgoing_impl.hpp"

namespace nodevirt::virt_handler::migration {

constexpr Clock::Duration kProgressPause = 1s, kResumed = 1s;

void Outgoing::Impl::sampled(const launcher::v1::MigrationSample& sample) {
  if (!policy || job_ended || final_sample) return;
  Sample now = sample_of(sample);
  decided(now, policy->step(now, deps.clock.now()));
}

void Outgoing::Impl::decided(const Sample& sample, Decision decision) {
  progress = progress_of(id, sample, decision, memory_bytes, deps.clock.wall());
  for (Action& action : decision.actions) actions.push_back(std::move(action));
  std::string mode(to_string(decision.mode));
  if (mode != state.mode && !state.mode.empty() && (mode != "PostCopy" || post_copy)) spawn(deps.executor, write_mode(mode), "migration: mode");
  if (progress->total_bytes == 0) return;  // QEMU does not count yet
  bool due = deps.clock.now() - progress_at >= kProgressPause;
  bool worth = !progress_written || api::worth_writing(*progress_written, *progress);
  if (due && worth && !std::exchange(writing_progress, true))
    spawn(deps.executor, write_progress(), "migration: progress");
}

/// The last word of the progress, also of migrations that end before the first was due. A release comes before the job's own
/// end, which may know more, or nothing any more.
void Outgoing::Impl::ended_well(const launcher::v1::MigrationSample& sample) {
  Sample end = sample_of(sample);
  if (final_sample && (final_sample->completed || !end.completed)) return;
  final_sample = end;
  // The pause ends when the guest runs at the target, which says so at once.
  if (!post_copy && !resumed_at && link) end_due = deps.clock.now() + kResumed;
  else tell_the_end();
}

void Outgoing::Impl::tell_the_end() {
  end_due.reset();
  if (!progress) {
    auto written = api::parse_migration_progress(string_at(stored, {"metadata", "annotations", api::kMigrationProgressAnnotation}));
    if (written.ok() && written->uid == id) progress = std::move(*written);
  }
  Took took;
  // In post-copy the end of the pause is the launcher's to tell.
  if (switched_at && resumed_at && !post_copy) took.pause = *resumed_at - *switched_at;
  if (asked_at) took.all = (post_copy ? deps.clock.now() : resumed_at.value_or(deps.clock.now())) - *asked_at;
  if (sockets) took.sent_bytes = sockets->sent();
  progress = final_progress(id, progress, *final_sample, took, deps.clock.wall());
  write_again = true;
  if (!std::exchange(writing_progress, true)) spawn(deps.executor, write_progress(), "migration: progress");
}

Awaitable<void> Outgoing::Impl::steer() {
  auto self = shared_from_this();
  while (!actions.empty() && !job_ended && handover.decision() == SourceHandover::Decision::Open) {
    Action action = std::move(actions.front());
    actions.pop_front();
    auto ask = steer_request(action, id, domain());
    if (!ask) {
      give_up(action.reason.empty() ? "it does not converge" : action.reason);
      handover.cancel();
      continue;
    }
    log::info("{}/{}: migration {}: {}: {}", ns, name, id, to_string(action.kind), action.reason);
    MigrationRpc rpc = rpc_of(find_launcher()());
    Result<void> done = Error{Code::Unavailable, "the launcher does not answer"};
    if (rpc) done = co_await rpc->steer(*ask);
    if (!done.ok() && !job_ended && policy) {
      log::warning("{}/{}: migration {}: {}", ns, name, id, done.error().message);
      policy->failed(action, deps.clock.now());
    }
  }
  steering = false;
  poke();
}

Awaitable<void> Outgoing::Impl::write_progress() {
  auto self = shared_from_this();
  StopToken token = stop.get_token();
  progress_at = deps.clock.now();
  write_again = false;
  api::MigrationProgress now = *progress;
  std::string text = api::format_migration_progress(now), migration = id;
  MakePatch make = [text, migration](const Json& vmi) { return progress_patch(vmi, migration, text); };
  auto written = co_await write_instance(deps.client, deps.clock, ns, name, instance, make, token);
  if (written.ok()) progress_written = now;
  else if (now.done && co_await deps.clock.sleep(500ms, token)) write_again = true;
  writing_progress = false;
  if (write_again && !std::exchange(writing_progress, true)) spawn(deps.executor, write_progress(), "migration: progress");
}

Awaitable<void> Outgoing::Impl::write_mode(std::string mode) {
  auto self = shared_from_this();
  StopToken token = stop.get_token();
  std::string migration = id;
  state.mode = mode;
  MakePatch make = [mode, migration](const Json& vmi) { return mode_patch(vmi, migration, mode); };
  auto written = co_await write_instance(deps.client, deps.clock, ns, name, instance, make, token);
  if (!written.ok()) log::debug("{}/{}: {}", ns, name, written.error().message);
}

}  // namespace nodevirt::virt_handler::migration
