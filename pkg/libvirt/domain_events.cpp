#include "pkg/libvirt/domain_events.hpp"

#include <mutex>

#include <libvirt/libvirt.h>

#include "pkg/libvirt/domain_state.hpp"
#include "pkg/libvirt/error.hpp"
#include "pkg/libvirt/parameters.hpp"

namespace nodevirt::libvirt {

struct DomainEvents::Shared {
  std::mutex mutex;  // held while the callback runs: the destructor waits for a call in flight
  std::function<void(DomainEvent)> callback;
};

namespace {

using Holder = std::shared_ptr<DomainEvents::Shared>;
using Kind = DomainEvent::Kind;

void deliver(void* opaque, DomainEvent event) {
  auto shared = *static_cast<Holder*>(opaque);
  std::lock_guard lock(shared->mutex);
  if (shared->callback) shared->callback(std::move(event));
}

std::string name_of(virDomainPtr d) {
  const char* n = virDomainGetName(d);
  return n ? n : "";
}

int on_lifecycle(virConnectPtr, virDomainPtr d, int event, int detail, void* opaque) {
  deliver(opaque, {Kind::Lifecycle, name_of(d), std::string(lifecycle_word(event)),
                   std::string(lifecycle_detail_word(event, detail)), ""});
  return 0;
}

void on_agent(virConnectPtr, virDomainPtr d, int state, int, void* opaque) {
  bool connected = state == VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED;
  deliver(opaque, {connected ? Kind::AgentConnected : Kind::AgentDisconnected, name_of(d), "", "", ""});
}

void on_reboot(virConnectPtr, virDomainPtr d, void* opaque) { deliver(opaque, {Kind::Reboot, name_of(d), "", "", ""}); }

void on_control_error(virConnectPtr, virDomainPtr d, void* opaque) {
  deliver(opaque, {Kind::ControlError, name_of(d), "", "", ""});
}

void on_io_error(virConnectPtr, virDomainPtr d, const char*, const char* alias, int, const char* reason, void* opaque) {
  deliver(opaque, {Kind::IoError, name_of(d), "", reason ? reason : "", alias ? alias : ""});
}

void on_watchdog(virConnectPtr, virDomainPtr d, int action, void* opaque) {
  static constexpr const char* words[] = {"none", "pause", "reset", "poweroff", "shutdown", "debug", "inject-nmi"};
  deliver(opaque, {Kind::WatchdogFired, name_of(d), "", action >= 0 && action < 7 ? words[action] : "", ""});
}

void on_iteration(virConnectPtr, virDomainPtr d, int iteration, void* opaque) {
  DomainEvent e{Kind::MigrationIteration, name_of(d), "", "", ""};
  e.iteration = iteration;
  deliver(opaque, std::move(e));
}

void on_job_completed(virConnectPtr, virDomainPtr d, virTypedParameterPtr params, int count, void* opaque) {
  DomainEvent e{Kind::JobCompleted, name_of(d), "", "", ""};
  e.job = to_parameters(params, count);
  deliver(opaque, std::move(e));
}

}  // namespace

DomainEvents::DomainEvents(const Connection& connection) : conn_(connection.get()) { virConnectRef(conn_); }

Result<std::unique_ptr<DomainEvents>> DomainEvents::subscribe(const Connection& connection,
                                                              std::function<void(DomainEvent)> callback) {
  std::unique_ptr<DomainEvents> self(new DomainEvents(connection));
  self->shared_ = std::make_shared<Shared>();
  self->shared_->callback = std::move(callback);
  auto add = [&](int id, virConnectDomainEventGenericCallback f) {
    auto* holder = new Holder(self->shared_);
    int rc = virConnectDomainEventRegisterAny(self->conn_, nullptr, id, f, holder,
                                              [](void* p) { delete static_cast<Holder*>(p); });
    if (rc < 0) delete holder;
    else self->ids_.push_back(rc);
    return rc >= 0;
  };
  if (!add(VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle)))
    return last_error("subscribe to domain events");
  // The rest is welcome, but not every driver has it.
  add(VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_agent));
  add(VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_reboot));
  add(VIR_DOMAIN_EVENT_ID_CONTROL_ERROR, VIR_DOMAIN_EVENT_CALLBACK(on_control_error));
  add(VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, VIR_DOMAIN_EVENT_CALLBACK(on_io_error));
  add(VIR_DOMAIN_EVENT_ID_WATCHDOG, VIR_DOMAIN_EVENT_CALLBACK(on_watchdog));
  add(VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, VIR_DOMAIN_EVENT_CALLBACK(on_iteration));
  add(VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, VIR_DOMAIN_EVENT_CALLBACK(on_job_completed));
  return self;
}

DomainEvents::~DomainEvents() {
  for (int id : ids_) virConnectDomainEventDeregisterAny(conn_, id);
  if (shared_) {
    std::lock_guard lock(shared_->mutex);
    shared_->callback = nullptr;
  }
  virConnectClose(conn_);
}

}  // namespace nodevirt::libvirt
