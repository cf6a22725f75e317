// Removes the files of persistent volumes that are being deleted.
#pragma once
#include "pkg/client/client.hpp"
#include "standalone/podrunner/options.hpp"

namespace nodevirt::podrunner {

/// Whether this node removes the files of `volume` now: it is ours, is being deleted, only our finalizer and
/// none that protects it is left, and it is not another node's. Pure.
bool volume_to_clear(const Json& volume, const std::string& node);

/// Watches PersistentVolumes; the finalizer goes when the file is known to be gone. Until stopped.
Awaitable<void> run_volume_files(client::Client client, Clock& clock, const Options& options, StopToken stop);

}  // namespace nodevirt::podrunner
