// Applies a folder of manifests at start, through the same door as any client.
#pragma once
#include <filesystem>
#include <memory>

#include "pkg/client/transport.hpp"
#include "pkg/base/json.hpp"

namespace nodevirt::apiserver {

/// Every *.yaml, *.yml and *.json of the folder, in the order of their names, definitions and namespaces
/// first; of a folder that has a folder `crds`: those in crds/, rbac/ and one-machine/. Files that were
/// loaded before and are unchanged (ConfigMap kube-system/nodevirt-manifests) are not even parsed. What fails is logged and
/// the rest is loaded; the error names the first failure.
Awaitable<Result<void>> load_manifests(std::shared_ptr<client::Transport> transport, std::filesystem::path folder);
/// Whether anything of `folder` was loaded at some time before.
Awaitable<bool> manifests_were_loaded(std::shared_ptr<client::Transport> transport, std::filesystem::path folder);
/// Creates the object, or updates it by merge patch of what the manifest says. True when it was written.
Awaitable<Result<bool>> ensure(std::shared_ptr<client::Transport> transport, Json object, bool update);

}  // namespace nodevirt::apiserver
