#include "virt-launcher/storage/qemu_img.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "pkg/base/file.hpp"
#include "pkg/base/process.hpp"

namespace nodevirt::virt_launcher::storage {

namespace fs = std::filesystem;

namespace {

// Under another name first: a half-made image is never taken for a whole one.
Result<void> create(const fs::path& path, std::vector<std::string> args, std::uint64_t size) {
  std::error_code ec;
  if (fs::exists(path, ec)) return {};
  NV_TRY_VOID(make_dirs(path.parent_path()));
  fs::path half = path.string() + ".new";
  std::vector<std::string> argv = {"qemu-img", "create", "-q", "-f", "qcow2"};
  argv.insert(argv.end(), args.begin(), args.end());
  argv.push_back(half.string());
  argv.push_back(std::to_string(size));
  Command command{.argv = std::move(argv), .timeout = std::chrono::seconds(30)};
  auto done = check_output(command);
  if (!done.ok()) return done.error().with_context("make the image " + path.filename().string());
  fs::rename(half, path, ec);
  if (ec) return errno_error(ec.value(), "make the image " + path.string());
  return {};
}

}  // namespace

Result<void> create_overlay(const fs::path& overlay, const fs::path& base, const std::string& base_format,
                            std::uint64_t virtual_size) {
  return create(overlay, {"-u", "-b", base.string(), "-F", base_format}, virtual_size);
}

Result<void> create_qcow2(const fs::path& path, std::uint64_t size) { return create(path, {}, size); }

Result<void> create_raw(const fs::path& path, std::uint64_t size) {
  std::error_code ec;
  if (fs::exists(path, ec)) return {};
  struct statvfs v {};
  if (::statvfs(path.parent_path().c_str(), &v) != 0) return errno_error(errno, "look at " + path.parent_path().string());
  std::uint64_t available = static_cast<std::uint64_t>(v.f_bavail) * v.f_frsize;
  if (size > available)
    return Error(Code::ResourceExhausted, "NoSpace",
                 fmt::format("make {}: {} bytes are asked for and {} are free", path.string(), size, available));
  fs::path half = path.string() + ".new";
  Fd fd(::open(half.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0660));
  if (!fd) return errno_error(errno, "make " + path.string());
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return errno_error(errno, "make " + path.string());
  if (::rename(half.c_str(), path.c_str()) != 0) return errno_error(errno, "make " + path.string());
  return {};
}

}  // namespace nodevirt::virt_launcher::storage
