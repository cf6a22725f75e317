#include "pkg/libvirt/migration.hpp"

#include <cstdlib>

#include <libvirt/libvirt.h>

#include "pkg/libvirt/error.hpp"
#include "pkg/libvirt/parameters.hpp"

namespace nodevirt::libvirt {

namespace {

constexpr unsigned long long kUnlimitedMiB = 8796093022207ull;  // libvirt's own limit: 2^63 bytes

// Builds libvirt's typed parameters; a failed addition shows at the end.
class Params {
 public:
  ~Params() { virTypedParamsFree(list_, count_); }
  void text(const char* key, const std::string& value) {
    if (!value.empty()) ok_ = ok_ && virTypedParamsAddString(&list_, &count_, &max_, key, value.c_str()) == 0;
  }
  void number(const char* key, int value) { ok_ = ok_ && virTypedParamsAddInt(&list_, &count_, &max_, key, value) == 0; }
  void big(const char* key, unsigned long long value) { ok_ = ok_ && virTypedParamsAddULLong(&list_, &count_, &max_, key, value) == 0; }
  bool ok() const { return ok_; }
  virTypedParameterPtr list() const { return list_; }
  unsigned count() const { return static_cast<unsigned>(count_); }

 private:
  virTypedParameterPtr list_ = nullptr;
  int count_ = 0, max_ = 0;
  bool ok_ = true;
};

// The same domain over another connection to the same daemon.
class OwnConnection {
 public:
  explicit OwnConnection(const Domain& shared) {
    char* uri = virConnectGetURI(virDomainGetConnect(shared.get()));
    connection_ = uri ? virConnectOpen(uri) : nullptr;
    std::free(uri);
    if (connection_) domain_ = virDomainLookupByName(connection_, shared.name().c_str());
  }
  OwnConnection(const OwnConnection&) = delete;
  OwnConnection& operator=(const OwnConnection&) = delete;
  ~OwnConnection() {
    if (domain_) virDomainFree(domain_);
    if (connection_) virConnectClose(connection_);
  }
  virDomainPtr domain() const { return domain_; }
  bool lost() const { return connection_ && virConnectIsAlive(connection_) == 0; }

 private:
  virConnectPtr connection_ = nullptr;
  virDomainPtr domain_ = nullptr;
};

Result<void> check_job(int rc, const Domain& d, std::string_view doing) {
  if (rc < 0) return last_error(fmt::format("{} domain {}", doing, d.name()));
  return {};
}

}  // namespace

Result<void> migrate(const Domain& domain, const MigrationPlan& plan) {
  // UNSAFE: libvirt cannot see what lies behind a pod's volumes; whether an instance can migrate was decided before.
  auto flags = static_cast<unsigned>(VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_ABORT_ON_ERROR |
                   VIR_MIGRATE_UNSAFE | (plan.post_copy ? VIR_MIGRATE_POSTCOPY : VIR_MIGRATE_PAUSED));
  Params p;
  p.text(VIR_MIGRATE_PARAM_URI, "unix://" + plan.memory_socket);
  p.text(VIR_MIGRATE_PARAM_DEST_XML, plan.xml);
  p.text(VIR_MIGRATE_PARAM_PERSIST_XML, plan.xml);
  if (plan.bandwidth_mib_per_second) {
    p.big(VIR_MIGRATE_PARAM_BANDWIDTH, plan.bandwidth_mib_per_second);
    if (plan.post_copy) p.big(VIR_MIGRATE_PARAM_BANDWIDTH_POSTCOPY, plan.bandwidth_mib_per_second);
  }
  if (plan.parallel_connections) {
    flags |= VIR_MIGRATE_PARALLEL;
    p.number(VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS, static_cast<int>(plan.parallel_connections));
  }
  if (plan.auto_converge) {
    flags |= VIR_MIGRATE_AUTO_CONVERGE;
    if (plan.throttle_initial) p.number(VIR_MIGRATE_PARAM_AUTO_CONVERGE_INITIAL, static_cast<int>(plan.throttle_initial));
    if (plan.throttle_increment) p.number(VIR_MIGRATE_PARAM_AUTO_CONVERGE_INCREMENT, static_cast<int>(plan.throttle_increment));
  }
  if (plan.xbzrle) {
    flags |= VIR_MIGRATE_COMPRESSED;
    p.text(VIR_MIGRATE_PARAM_COMPRESSION, "xbzrle");
  }
  if (!plan.copied_disks.empty()) {
    flags |= plan.copy_whole_chain ? VIR_MIGRATE_NON_SHARED_DISK : VIR_MIGRATE_NON_SHARED_INC;
    p.text(VIR_MIGRATE_PARAM_DISKS_URI, "unix://" + plan.disk_socket);
    for (auto& disk : plan.copied_disks) p.text(VIR_MIGRATE_PARAM_MIGRATE_DISKS, disk);
  }
  if (!p.ok()) return last_error("migrate domain " + domain.name());
  std::string uri = "qemu+unix:///session?socket=" + plan.destination_socket;
  // On a connection of its own: beside a call that lasts, another one of the same connection may go out only when libvirtd has
  // something to say (seen with libvirt 9.0: no statistics for as long as a pass took).
  OwnConnection own(domain);
  virDomainPtr d = own.domain() ? own.domain() : domain.get();
  auto done = check_job(virDomainMigrateToURI3(d, uri.c_str(), p.list(), p.count(), flags), domain, "migrate");
  // In words it says the same of its own daemon's end as that daemon says of the other's.
  if (!done.ok() && own.lost())
    return Error(Code::Unavailable, "DaemonLost", fmt::format("migrate domain {}: the source's libvirtd has ended", domain.name()));
  return done;
}

Result<std::string> migratable_xml(const Domain& domain) {
  char* text = virDomainGetXMLDesc(domain.get(), VIR_DOMAIN_XML_MIGRATABLE | VIR_DOMAIN_XML_SECURE);
  if (!text) return last_error("read the definition of domain " + domain.name());
  std::string out(text);
  std::free(text);
  return out;
}

Result<JobStats> job_stats(const Domain& domain, bool completed) {
  virTypedParameterPtr params = nullptr;
  int count = 0, type = 0;
  unsigned flags = completed ? VIR_DOMAIN_JOB_STATS_COMPLETED | VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED : 0u;
  if (virDomainGetJobStats(domain.get(), &type, &params, &count, flags) < 0)
    return last_error("read the job's statistics of domain " + domain.name());
  JobStats out;
  static constexpr JobType types[] = {JobType::None, JobType::Bounded, JobType::Unbounded,
                                      JobType::Completed, JobType::Failed, JobType::Cancelled};
  if (type >= 0 && type < 6) out.type = types[type];
  out.values = to_parameters(params, count);
  virTypedParamsFree(params, count);
  return out;
}

Result<void> abort_job(const Domain& d) { return check_job(virDomainAbortJob(d.get()), d, "abort the migration of"); }

Result<void> await_incoming_job(const Domain& d) {
  virTypedParameterPtr events = nullptr;
  int count = 0;
  auto answered = check_job(virDomainGetPerfEvents(d.get(), &events, &count, VIR_DOMAIN_AFFECT_LIVE), d, "wait for the incoming migration of");
  virTypedParamsFree(events, count);
  return answered;
}

Result<void> start_post_copy(const Domain& d) {
  return check_job(virDomainMigrateStartPostCopy(d.get(), 0), d, "begin post-copy of");
}

Result<void> set_max_downtime(const Domain& d, std::uint64_t ms) {
  return check_job(virDomainMigrateSetMaxDowntime(d.get(), ms, 0), d, "set the downtime limit of");
}

Result<void> set_migration_bandwidth(const Domain& d, std::uint64_t mib) {
  return check_job(virDomainMigrateSetMaxSpeed(d.get(), mib ? mib : kUnlimitedMiB, 0), d, "set the migration's bandwidth of");
}

Result<void> sync_guest_time(const Domain& d) {
  virDomainAgentSetResponseTimeout(d.get(), 5, 0);
  return check_job(virDomainSetTime(d.get(), 0, 0, VIR_DOMAIN_TIME_SYNC), d, "set the clock of");
}

}  // namespace nodevirt::libvirt
