// The image cache of one machine, shared by its nodes and by the command line: processes are kept apart by
// file locks, and a crash at any point leaves either the whole image or nothing that counts.
//
//   images/names.json                 the name map
//   images/rootfs/sha256-HEX/disk/... the disks of an image, read-only
//   images/holders/sha256-HEX/ID      who uses it now
//   images/tmp/...                    fetches under way; cleaned by the next fetch
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "standalone/images/fetch.hpp"
#include "standalone/images/layer.hpp"
#include "standalone/images/name_map.hpp"

namespace nodevirt::images {

enum class PullPolicy { Always, IfNotPresent, Never };
/// "" and unknown words: Always for the tag latest, else IfNotPresent, as Kubernetes has it.
PullPolicy pull_policy(std::string_view text, std::string_view reference);

struct Image {
  std::string name;              ///< as normalised
  std::string digest;            ///< "sha256:..."
  std::filesystem::path path;    ///< holds disk/
  std::string id() const;        ///< "docker.io/library/x@sha256:...", a containerStatus' imageID
};

struct Listed {
  std::string name, digest, source, time;
  bool local = false;
  std::uint64_t bytes = 0;                 ///< apparent size of its disks
  std::vector<std::string> holders;
};

/// All calls block (skopeo may take minutes) and are safe from any thread and process.
class Store {
 public:
  struct Options {
    std::filesystem::path dir;             ///< DATA_DIR/images
    FetchOptions fetch;
    Limits limits;
  };
  explicit Store(Options options) : options_(std::move(options)) {}

  /// Takes the image `source` in and maps `name` (empty: the source's own name) to it. Replaces an older mapping.
  Result<Image> import(std::string source, std::string name);
  /// Maps one more name to an image of the cache (a name that it has, or a digest).
  Result<Image> tag(std::string existing, std::string name);

  /// The image for a pod. A name that a person mapped wins over the registry. `holder` (not empty, [a-z0-9.-])
  /// keeps the image from being removed until release().
  /// `auth`: see FetchOptions. Error reasons: InvalidImageName, ErrImageNeverPull, ErrImagePull.
  Result<Image> resolve(std::string reference, PullPolicy policy, std::string holder = "", std::string auth = "");
  /// The same without any fetching: NotFound when that would need one.
  Result<Image> find(std::string reference, PullPolicy policy, std::string holder = "");
  /// The holder uses no image any more.
  void release(const std::string& holder);
  /// Drops what these holders' kind left behind: every holder with this prefix that is not in `alive`.
  void release_all_but(const std::string& prefix, const std::vector<std::string>& alive);

  Result<std::vector<Listed>> list();
  /// FailedPrecondition while a pod uses it and no other name keeps it.
  Result<void> remove(std::string name);

 private:
  Result<Image> take_in(const Reference& reference, const std::string& name, bool local, const std::string& source, const std::string& auth = "");
  Result<std::string> known_digest(const Reference& reference, const std::string& name, const std::filesystem::path& work, const FetchOptions& how);
  Result<Image> hold(const std::string& name, const std::string& digest, const std::string& holder);
  void sweep_tmp();
  void drop_if_unnamed(const NameMap& map, const std::string& digest);
  std::vector<std::string> holders(const std::string& digest) const;
  std::filesystem::path rootfs(const std::string& digest) const;

  Options options_;
};

}  // namespace nodevirt::images
