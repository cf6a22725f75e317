// skopeo, and what its failures mean.
#pragma once
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "standalone/images/reference.hpp"

namespace nodevirt::images {

struct Blob {
  std::string digest;            ///< "sha256:..."
  std::filesystem::path path;
};
struct Fetched {
  std::string digest;            ///< of the manifest, computed here
  std::vector<Blob> layers;      ///< lowest first
};

struct FetchOptions {
  std::string skopeo = "skopeo";
  int netns_fd = -1;                          ///< where the registries are reached from
  std::chrono::milliseconds timeout{std::chrono::minutes(30)};
  std::string auth;                           ///< logins for registries, as in ~/.docker/config.json; empty: the machine's own
  std::filesystem::path registries;           ///< configuration of this instance's own: see registry_access.hpp
};

/// Copies the image into `dir` (empty, ours). Errors as in explain_fetch_error.
Result<Fetched> fetch(const Reference& reference, const std::filesystem::path& dir, const FetchOptions& options);

/// The digest that fetch() would compute, without fetching anything but the manifest. `work` as the parent of fetch's
/// folder. Errors as fetch; Unknown also for a manifest that is not understood.
Result<std::string> remote_digest(const Reference& reference, const std::filesystem::path& work, const FetchOptions& options);

/// The digest of the image for this machine, out of a manifest or an index of several. Pure.
Result<std::string> digest_for(std::string_view manifest, std::string_view architecture);

/// What skopeo printed, as an error that tells a person what to do. Pure. Codes: NotFound (no such image),
/// PermissionDenied, Unavailable (no registry reachable), ResourceExhausted (disk full), DataLoss
/// (corrupt), Unknown. Reason is ErrImagePull.
Error explain_fetch_error(const Reference& reference, std::string_view stderr_text);

/// The layers of a manifest (OCI, or Docker version 2 schema 2); paths are under `dir`. Pure but for the paths.
Result<std::vector<Blob>> manifest_layers(std::string_view manifest, const std::filesystem::path& dir);

}  // namespace nodevirt::images
