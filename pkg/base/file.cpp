#include "pkg/base/file.hpp"

#include <cerrno>
#include <fcntl.h>
#include <stdexcept>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "pkg/base/id.hpp"

namespace nodevirt {

namespace fs = std::filesystem;

void Fd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

TempDir::TempDir(std::string_view prefix) {
  std::string pattern = (fs::temp_directory_path() / fmt::format("{}-XXXXXX", prefix)).string();
  if (!::mkdtemp(pattern.data())) throw std::runtime_error("cannot make a temporary folder: " + pattern);
  path_ = pattern;
}
TempDir::TempDir(TempDir&& o) noexcept : path_(std::exchange(o.path_, {})) {}
TempDir::~TempDir() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

Result<std::string> read_file(const fs::path& path, std::size_t max_bytes) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error(errno, "read " + path.string());
  std::string out;
  char buffer[16384];
  for (;;) {
    ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "read " + path.string());
    if (n == 0) return out;
    out.append(buffer, static_cast<std::size_t>(n));
    if (out.size() > max_bytes)
      return Error(Code::InvalidArgument, fmt::format("{} is larger than {} bytes", path.string(), max_bytes));
  }
}

namespace {

Result<void> write_all(int fd, std::string_view content, const std::string& what) {
  while (!content.empty()) {
    ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, what);
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> write_whole(const fs::path& path, std::string_view content, mode_t mode, bool to_disk) {
  fs::path folder = path.parent_path().empty() ? fs::path(".") : path.parent_path();
  fs::path temporary = folder / fmt::format(".{}.{}", path.filename().string(), random_suffix(8));
  std::string what = "write " + path.string();
  Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd) return errno_error(errno, what);
  Result<void> written = write_all(fd.get(), content, what);
  if (written.ok() && (::fchmod(fd.get(), mode) != 0 || (to_disk && ::fsync(fd.get()) != 0) ||
                       ::rename(temporary.c_str(), path.c_str()) != 0))
    written = errno_error(errno, what);
  if (!written.ok()) {
    ::unlink(temporary.c_str());
    return written;
  }
  if (!to_disk) return {};
  Fd dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir || ::fsync(dir.get()) != 0) return errno_error(errno, what);
  return {};
}

}  // namespace

Result<void> write_file_atomic(const fs::path& path, std::string_view content, mode_t mode) { return write_whole(path, content, mode, true); }

Result<void> replace_file(const fs::path& path, std::string_view content, mode_t mode) { return write_whole(path, content, mode, false); }

Result<void> make_dirs(const fs::path& path, mode_t mode) {
  std::error_code ec;
  const bool made = fs::create_directories(path, ec);
  if (ec) return errno_error(ec.value(), "create folder " + path.string());
  // A folder that was there and is somebody else's (a volume) keeps its mode.
  if (::chmod(path.c_str(), mode) != 0 && (made || errno != EPERM)) return errno_error(errno, "chmod " + path.string());
  return {};
}

}  // namespace nodevirt
