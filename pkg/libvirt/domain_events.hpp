// What happens to domains, delivered by callback.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "pkg/libvirt/connection.hpp"

namespace nodevirt::libvirt {

struct DomainEvent {
  enum class Kind { Lifecycle, AgentConnected, AgentDisconnected, Reboot, IoError, WatchdogFired, ControlError,
                    MigrationIteration, JobCompleted };
  Kind kind = Kind::Lifecycle;
  std::string domain;     ///< its name
  std::string lifecycle;  ///< Started, Stopped, ... of Kind::Lifecycle
  std::string detail;     ///< the lifecycle's detail; the reason of an IoError; the watchdog's action
  std::string device;     ///< IoError: the disk's alias
  int iteration = 0;      ///< MigrationIteration: counts from 1
  Parameters job = {};    ///< JobCompleted: its statistics, VIR_DOMAIN_JOB_*
};

/// Delivers events of all domains of a connection until it is destroyed. `callback` runs on the event
/// loop's thread, must not block, and is not called again once the destructor has returned.
class DomainEvents {
 public:
  static Result<std::unique_ptr<DomainEvents>> subscribe(const Connection& connection,
                                                         std::function<void(DomainEvent)> callback);
  ~DomainEvents();
  DomainEvents(const DomainEvents&) = delete;

  struct Shared;

 private:
  explicit DomainEvents(const Connection& connection);
  _virConnect* conn_;
  std::vector<int> ids_;
  std::shared_ptr<Shared> shared_;
};

}  // namespace nodevirt::libvirt
