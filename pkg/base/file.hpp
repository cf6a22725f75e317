// Files and descriptors: RAII, whole-file reads with a bound, writes that survive a crash.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>

#include "pkg/base/result.hpp"

namespace nodevirt {

/// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  Fd& operator=(Fd&& o) noexcept { reset(std::exchange(o.fd_, -1)); return *this; }
  ~Fd() { reset(); }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// Removes its folder, with everything in it, when it goes.
class TempDir {
 public:
  explicit TempDir(std::string_view prefix = "nodevirt");
  TempDir(TempDir&&) noexcept;
  ~TempDir();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// NotFound, or InvalidArgument when the file is larger than `max_bytes`.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t max_bytes = 64u << 20);
/// Replaces the file whole: temporary file in the same folder, fsync, rename, fsync of the folder.
/// After a crash the file is the old one or the new one, never a mixture.
Result<void> write_file_atomic(const std::filesystem::path& path, std::string_view content, mode_t mode = 0644);
/// The same without waiting for the disk (milliseconds, on a busy one seconds): it survives this program's end, not the machine's.
Result<void> replace_file(const std::filesystem::path& path, std::string_view content, mode_t mode = 0644);
/// As std::filesystem::create_directories, then chmod of the last one.
Result<void> make_dirs(const std::filesystem::path& path, mode_t mode = 0755);

}  // namespace nodevirt
