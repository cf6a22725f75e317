// The disks of an image: the folder /disk out of its layers, and nothing else.
#pragma once
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>

#include "pkg/base/result.hpp"

namespace nodevirt::images {

struct Limits {
  std::uint64_t max_bytes = 256ull << 30;      ///< of all files under /disk together, apparent size
  std::uint64_t max_stream = 512ull << 30;     ///< of one layer, uncompressed (bombs)
  std::size_t max_entries = 200000;            ///< of all layers together
  std::size_t max_depth = 16;                  ///< of folders under /disk
};

/// Applies layers, lowest first, into `root` (an empty folder of our own). Hostile archives are harmless:
/// only regular files, folders and hard links between files under disk/ come out; symbolic links,
/// devices, set-uid bits and owners do not; names with ".." are refused; whiteouts are honoured; zero
/// blocks stay holes. Files are 0444, folders 0755. Blocking; use by one thread.
class DiskExtractor {
 public:
  DiskExtractor(std::filesystem::path root, Limits limits);
  /// `digest` ("sha256:...") is what the blob must hash to; empty: not checked (an archive read on its own).
  /// Errors: DataLoss (corrupt), InvalidArgument (hostile or too large), ResourceExhausted (disk full).
  Result<void> apply(const std::filesystem::path& blob, const std::string& digest);
  /// Number of non-empty regular files under disk/, and their apparent size.
  std::size_t files() const;
  std::uint64_t bytes() const;

 private:
  struct Layer;
  Result<void> remove_tree(const std::string& path, const std::set<std::string>& keep);
  Result<void> ensure_parents(const std::string& path, std::set<std::string>& touched);

  std::filesystem::path root_;
  Limits limits_;
  std::size_t entries_ = 0;
  std::uint64_t written_ = 0;
};

/// "./disk//a" -> "disk/a"; empty for what lies outside disk/ (with `outside` set) or is the root;
/// InvalidArgument for "..", NUL, control characters or too deep a path under disk/.
Result<std::string> disk_path(std::string_view entry, std::size_t max_depth);

}  // namespace nodevirt::images
