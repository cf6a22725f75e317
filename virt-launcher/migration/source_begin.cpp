// How a migration begins on the source: its plan, its parameters, its record.
#include <algorithm>

#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/domain/destination.hpp"
#include "virt-launcher/migration/base_identity.hpp"
#include "virt-launcher/migration/copied_disks.hpp"
#include "virt-launcher/migration/leftovers.hpp"
#include "virt-launcher/migration/migration.hpp"
#include "virt-launcher/migration/source.hpp"

namespace nodevirt::virt_launcher::migration {

using namespace std::chrono_literals;

NV_DECLARE_FAILPOINT(kBeforeRecord, "launcher-migrate-before-record");
NV_DECLARE_FAILPOINT(kBeforeJob, "launcher-migrate-before-job");

namespace {

constexpr std::uint64_t kSmallLimit = 64;  // MiB/s

}  // namespace

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
  auto execute = [&](std::string_view command, const Json& arguments) { return context_.monitor.execute(command, arguments); };
  NV_TRY_VOID(drop_leftovers(execute));
  NV_TRY(libvirt::MigrationPlan p, plan(q, domain));
  if (!p.copied_disks.empty()) NV_TRY_VOID(can_copy(execute));
  NV_TRY_VOID(set_parameters(q));
  if (q.max_downtime_ms()) NV_TRY_VOID(libvirt::set_max_downtime(domain, q.max_downtime_ms()));
  stop_threads();  // of the migration before
  NV_FAILPOINT(kBeforeRecord);
  Record fresh{uid, Role::source, Step::begun, "", paused(s), false, std::clamp(q.sample_interval_ms() ? q.sample_interval_ms() : 250u, 50u, 10000u), p.memory_socket};
  NV_TRY_VOID(update([&](Record& r) { return r = fresh, true; }));
  {
    std::lock_guard lock(mutex_);
    phase_ = Phase::running;
    cancel_ = cancelled_ = false;
    shared_among_ = p.copied_disks.size() > 1 && p.bandwidth_mib_per_second ? p.copied_disks.size() : 0;
    bandwidth_ = p.bandwidth_mib_per_second;
    copies_disks_ = !p.copied_disks.empty();
    may_post_copy_ = q.allow_post_copy() && q.target().post_copy_possible();
    post_copy_ = PostCopy::no;
    gone_.reset();
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
  // QEMU counts parallel streams in batches of half a MiB every tenth of a second: what is left over would exceed a small
  // limit by more than a tenth, and one stream fills it. Compressed, it exceeds nothing, and needs these streams.
  if (p.bandwidth_mib_per_second && p.bandwidth_mib_per_second < kSmallLimit && q.compression() != "zlib" && q.compression() != "zstd")
    p.parallel_connections = 0;
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
  NV_TRY_VOID(fit_copies(domain, live, t, d));
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

}  // namespace nodevirt::virt_launcher::migration
