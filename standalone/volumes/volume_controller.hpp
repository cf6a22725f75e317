// Storage on one machine: two StorageClasses, binding, provisioning, reclaiming, protection of what is in use.
#pragma once
#include <memory>
#include <string>

#include "pkg/base/clock.hpp"
#include "pkg/client/client.hpp"

namespace nodevirt::volumes {

struct Options {
  std::string data_dir = "/var/lib/nodevirt";   ///< named in the volumes; this controller touches no file
  std::uint64_t min_free = 0;                   ///< provisioning is refused when the disk has less left (bytes)
};

/// Needs no privileges: the files are made when a pod mounts them, and removed, by the pod runner.
/// - class `local` (the default): ReadWriteOnce, bound to the node that the scheduler chooses for the first pod;
/// - class `shared`: also ReadWriteMany, usable on every node of the machine, bound at once.
class VolumeController {
 public:
  VolumeController(client::Client client, Clock& clock, Options options);
  ~VolumeController();
  /// Until stopped.
  Awaitable<void> run(StopToken stop);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::volumes
