// Images made with qemu-img.
#pragma once
#include <cstdint>
#include <filesystem>

#include "pkg/base/result.hpp"

namespace nodevirt::virt_launcher::storage {

/// A qcow2 overlay over `base`; an overlay that exists already is kept (the guest's data is in it).
Result<void> create_overlay(const std::filesystem::path& overlay, const std::filesystem::path& base,
                            const std::string& base_format, std::uint64_t virtual_size);
/// An empty qcow2 image of `size` bytes, unless it exists.
Result<void> create_qcow2(const std::filesystem::path& path, std::uint64_t size);
/// A sparse raw image of `size` bytes, unless it exists. ResourceExhausted when the file system can never hold it.
Result<void> create_raw(const std::filesystem::path& path, std::uint64_t size);

}  // namespace nodevirt::virt_launcher::storage
