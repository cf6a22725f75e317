#include "virt-launcher/storage/empty_image.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "pkg/base/file.hpp"

namespace nodevirt::virt_launcher::storage {

namespace fs = std::filesystem;

namespace {

// QEMU's docs/interop/qcow2.txt; all numbers are big-endian.
constexpr std::uint64_t kCluster = 65536;
constexpr std::uint64_t kPerTable = kCluster * (kCluster / 8);  // bytes of the disk behind one L1 entry
constexpr std::uint64_t kMaxSize = kPerTable << 22;             // QEMU's longest L1 table has 32 MiB
constexpr std::size_t kMaxBackingName = 1023;

template <class T>
void put(std::string& out, T value) {
  for (int shift = sizeof(T) * 8 - 8; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}

struct Backing {
  std::string path, format;
};

struct Layout {
  std::uint64_t l1_entries, clusters;  // clusters: all that are in use, the L1 table's last
};

Layout layout_of(std::uint64_t size) {
  std::uint64_t entries = (size + kPerTable - 1) / kPerTable;
  return {entries, 3 + (entries * 8 + kCluster - 1) / kCluster};
}

// Clusters: header, refcount table, refcount block, L1 table.
std::string first_clusters(std::uint64_t size, const Backing& backing) {
  auto [l1_entries, clusters] = layout_of(size);
  std::string extensions;
  if (!backing.path.empty()) {
    put<std::uint32_t>(extensions, 0xe2792aca);  // the backing file's format
    put<std::uint32_t>(extensions, static_cast<std::uint32_t>(backing.format.size()));
    extensions += backing.format;
    extensions.resize((extensions.size() + 7) / 8 * 8);
  }
  put<std::uint64_t>(extensions, 0);  // no more of them

  constexpr std::uint32_t kHeader = 104;
  std::string out = "QFI\xfb";
  put<std::uint32_t>(out, 3);
  put<std::uint64_t>(out, backing.path.empty() ? 0 : kHeader + extensions.size());
  put<std::uint32_t>(out, static_cast<std::uint32_t>(backing.path.size()));
  put<std::uint32_t>(out, 16);  // cluster_bits
  put<std::uint64_t>(out, size);
  put<std::uint32_t>(out, 0);  // not encrypted
  put<std::uint32_t>(out, static_cast<std::uint32_t>(l1_entries));
  put<std::uint64_t>(out, l1_entries ? 3 * kCluster : 0);
  put<std::uint64_t>(out, kCluster);  // the refcount table, one cluster
  put<std::uint32_t>(out, 1);
  put<std::uint32_t>(out, 0);  // no snapshots
  put<std::uint64_t>(out, 0);
  for (int i = 0; i < 3; ++i) put<std::uint64_t>(out, 0);  // no features
  put<std::uint32_t>(out, 4);                              // refcounts of 16 bits
  put<std::uint32_t>(out, kHeader);
  out += extensions + backing.path;
  out.resize(kCluster);
  put<std::uint64_t>(out, 2 * kCluster);
  out.resize(2 * kCluster);
  for (std::uint64_t i = 0; i < clusters; ++i) put<std::uint16_t>(out, 1);
  out.resize(3 * kCluster);
  return out;
}

// Under another name first: a half-made image is never taken for a whole one.
Result<void> create_file(const fs::path& path, std::string_view content, std::uint64_t length) {
  fs::path half = path.string() + ".new";
  Fd fd(::open(half.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0660));
  std::string doing = "make the image " + path.string();
  if (!fd) return errno_error(errno, doing);
  while (!content.empty()) {
    ssize_t n = ::write(fd.get(), content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return errno_error(errno, doing);
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  if (::ftruncate(fd.get(), static_cast<off_t>(length)) != 0 || ::rename(half.c_str(), path.c_str()) != 0) return errno_error(errno, doing);
  return {};
}

Result<void> create(const fs::path& path, std::uint64_t size, const Backing& backing) {
  std::error_code ec;
  if (fs::exists(path, ec)) return {};
  size = (size + 511) / 512 * 512;
  if (size > kMaxSize) return Error(Code::InvalidArgument, fmt::format("make the image {}: {} bytes are more than a qcow2 image can have", path.string(), size));
  if (backing.path.size() > kMaxBackingName) return Error(Code::InvalidArgument, "the path of the image is too long: " + backing.path);
  NV_TRY_VOID(make_dirs(path.parent_path()));
  return create_file(path, first_clusters(size, backing), layout_of(size).clusters * kCluster);
}

}  // namespace

Result<void> create_overlay(const fs::path& overlay, const fs::path& base, const std::string& base_format,
                            std::uint64_t virtual_size) {
  return create(overlay, virtual_size, {base.string(), base_format});
}

Result<void> create_qcow2(const fs::path& path, std::uint64_t size) { return create(path, size, {}); }

Result<void> create_raw(const fs::path& path, std::uint64_t size) {
  std::error_code ec;
  if (fs::exists(path, ec)) return {};
  struct statvfs v {};
  if (::statvfs(path.parent_path().c_str(), &v) != 0) return errno_error(errno, "look at " + path.parent_path().string());
  std::uint64_t available = static_cast<std::uint64_t>(v.f_bavail) * v.f_frsize;
  if (size > available)
    return Error(Code::ResourceExhausted, "NoSpace",
                 fmt::format("make {}: {} bytes are asked for and {} are free", path.string(), size, available));
  return create_file(path, {}, size);
}

}  // namespace nodevirt::virt_launcher::storage
