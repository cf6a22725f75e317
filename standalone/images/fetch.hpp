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
};

/// Copies the image into `dir` (empty, ours). Errors as in explain_fetch_error.
Result<Fetched> fetch(const Reference& reference, const std::filesystem::path& dir, const FetchOptions& options);

/// What skopeo printed, as an error that tells a person what to do. Pure. Codes: NotFound (no such image),
/// PermissionDenied, Unavailable (no registry reachable), ResourceExhausted (disk full), DataLoss
/// (corrupt), Unknown. Reason is ErrImagePull.
Error explain_fetch_error(const Reference& reference, std::string_view stderr_text);

/// The layers of a manifest (OCI, or Docker version 2 schema 2); paths are under `dir`. Pure but for the paths.
Result<std::vector<Blob>> manifest_layers(std::string_view manifest, const std::filesystem::path& dir);

}  // namespace nodevirt::images
