// What kind of image a file is, told by its first bytes. The bytes are a user's or a guest's: hostile. An image
// that refers to other files (a backing file, an external data file) or is encrypted is refused, because QEMU
// would open what it names.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "pkg/base/result.hpp"

namespace nodevirt::virt_launcher::storage {

struct ImageInfo {
  std::string format;              ///< raw | qcow2
  std::uint64_t virtual_size = 0;  ///< bytes; of the guest's disk
};

/// `head`: the file's first bytes (kHeadSize are enough); `file_size` in bytes.
inline constexpr std::size_t kHeadSize = 4096;
Result<ImageInfo> inspect_head(std::span<const unsigned char> head, std::uint64_t file_size);

/// Reads a regular file or a block device. Symbolic links at the path's end are refused.
Result<ImageInfo> inspect_image(const std::filesystem::path& path);

/// Whether the file can be opened with O_DIRECT.
bool direct_io_works(const std::filesystem::path& path);

}  // namespace nodevirt::virt_launcher::storage
