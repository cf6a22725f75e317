// Both sides of a migration in one pod: it is a target at most once, before its guest runs, and a source after.
#pragma once
#include "virt-launcher/migration/source.hpp"
#include "virt-launcher/migration/target.hpp"

namespace nodevirt::virt_launcher::migration {

struct Sides {
  /// `parts` as in Context, whose `events` and `monitor` are made here.
  struct Parts {
    Paths paths;
    std::string domain_name;
    std::function<Result<libvirt::Domain>(std::chrono::milliseconds)> domain;
    std::function<void(std::function<void()>, std::chrono::milliseconds)> post;
    Monitor::Keep keep_line;
    Fd line;  ///< of an earlier process, if it kept one
  };
  Sides(Parts parts, TargetHooks hooks);

  void on_event(const libvirt::DomainEvent& event) {
    target.on_event(event);
    source.on_event(event);
  }
  void reconnected() {
    target.reconnected();
    source.reconnected();
  }

  Events events;
  Monitor monitor;
  Context context;
  Target target;
  Source source;
};

}  // namespace nodevirt::virt_launcher::migration
