#include "standalone/images/layer.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "pkg/base/file.hpp"

namespace nodevirt::images {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kBlock = 1 << 16;

/// The blob's bytes for libarchive, hashed on the way.
struct BlobReader {
  Fd fd;
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash{EVP_MD_CTX_new(), EVP_MD_CTX_free};
  std::array<char, kBlock> buffer;
  int error = 0;

  ssize_t next() {
    ssize_t n;
    do n = ::read(fd.get(), buffer.data(), buffer.size()); while (n < 0 && errno == EINTR);
    if (n > 0) EVP_DigestUpdate(hash.get(), buffer.data(), static_cast<std::size_t>(n));
    if (n < 0) error = errno;
    return n;
  }
  static la_ssize_t read(archive* a, void* self, const void** out) {
    auto* blob = static_cast<BlobReader*>(self);
    *out = blob->buffer.data();
    const auto n = blob->next();
    if (n < 0) archive_set_error(a, blob->error, "read: %s", std::strerror(blob->error));
    return n;
  }
  /// The digest of the whole blob, also of what the archive reader left unread.
  std::string digest() {
    while (next() > 0) {}
    std::array<unsigned char, 32> raw{};
    unsigned size = 0;
    EVP_DigestFinal_ex(hash.get(), raw.data(), &size);
    std::string out = "sha256:";
    for (auto b : raw) out += fmt::format("{:02x}", b);
    return out;
  }
};

struct ArchiveCloser {
  void operator()(archive* a) const { archive_read_free(a); }
};
using Archive = std::unique_ptr<archive, ArchiveCloser>;

/// The layer uncompressed, for the tar reader. Some writers (umoci for one) leave out the zeros that fill up the last
/// file's last block and the two empty blocks at the end; the former are made up here, apart from the real bytes.
struct TarStream {
  Archive raw;
  BlobReader& blob;
  std::uint64_t limit, total = 0;
  bool ended = false;      ///< the last bytes given were made up
  bool too_large = false;
  std::array<char, 512> zeros{};

  TarStream(BlobReader& b, std::uint64_t most) : raw(archive_read_new()), blob(b), limit(most) {
    archive_read_support_filter_gzip(raw.get());
    archive_read_support_filter_zstd(raw.get());
    archive_read_support_format_raw(raw.get());
    archive_read_support_format_empty(raw.get());
  }
  /// Positions at the uncompressed bytes; an empty layer has none.
  bool open() {
    if (archive_read_open(raw.get(), &blob, nullptr, &BlobReader::read, nullptr) != ARCHIVE_OK) return false;
    archive_entry* entry = nullptr;
    const int rc = archive_read_next_header(raw.get(), &entry);
    ended = rc == ARCHIVE_EOF;
    return rc == ARCHIVE_OK || rc == ARCHIVE_EOF;
  }
  static la_ssize_t read(archive* a, void* self, const void** out) {
    auto& s = *static_cast<TarStream*>(self);
    std::size_t n = 0;
    la_int64_t offset = 0;
    if (s.ended) return 0;
    int rc = ARCHIVE_OK;
    do rc = archive_read_data_block(s.raw.get(), out, &n, &offset);
    while (rc == ARCHIVE_OK && n == 0);
    if (rc == ARCHIVE_OK || (rc == ARCHIVE_WARN && n > 0)) {
      s.total += n;
      s.too_large = s.total > s.limit;
      if (!s.too_large) return static_cast<la_ssize_t>(n);
      archive_set_error(a, EFBIG, "too large");
      return -1;
    }
    if (rc == ARCHIVE_EOF) {
      s.ended = true;
      *out = s.zeros.data();
      return static_cast<la_ssize_t>((512 - s.total % 512) % 512);
    }
    const char* why = archive_error_string(s.raw.get());
    archive_set_error(a, EIO, "%s", why ? why : "unreadable layer");
    return -1;
  }
};

Error corrupt(std::string_view what) {
  return Error(Code::DataLoss, "ErrImagePull", "the image is corrupt: " + std::string(what));
}
Error hostile(std::string_view what) {
  return Error(Code::InvalidArgument, "ErrImagePull", "the image is refused: " + std::string(what));
}
Error write_error(int e, const std::string& path) {
  Error error = errno_error(e, "write " + path + " of the image");
  if (e == ENOSPC || e == EDQUOT) error = Error(Code::ResourceExhausted, "ErrImagePull",
                                                "no space left on the disk that holds the image cache");
  return error;
}

bool all_zero(const char* data, std::size_t n) {
  return n == 0 || (data[0] == 0 && std::memcmp(data, data + 1, n - 1) == 0);
}

Result<void> write_all(int fd, const char* data, std::size_t n, off_t at, const std::string& path) {
  while (n > 0) {
    const ssize_t w = ::pwrite(fd, data, n, at);
    if (w < 0 && errno == EINTR) continue;
    if (w < 0) return write_error(errno, path);
    data += w, n -= static_cast<std::size_t>(w), at += w;
  }
  return {};
}

}  // namespace

Result<std::string> disk_path(std::string_view entry, std::size_t max_depth) {
  std::vector<std::string_view> parts;
  bool up = false;
  while (!entry.empty()) {
    const auto slash = entry.find('/');
    const auto part = entry.substr(0, slash);
    entry = slash == std::string_view::npos ? std::string_view() : entry.substr(slash + 1);
    if (part.empty() || part == ".") continue;
    if (part == "..") up = true;
    parts.push_back(part);
    if (parts.size() > max_depth + 64) return hostile("a path in it is too deep");
  }
  const bool ours = !parts.empty() && (parts[0] == "disk" || parts[0] == ".wh.disk" || (parts[0] == ".wh..wh..opq" && parts.size() == 1));
  if (!ours && !up) return std::string();
  if (up) return hostile("a path in it holds \"..\"");
  if (parts.size() > max_depth + 1) return hostile("its folders under /disk are nested too deep");
  std::string out;
  for (const auto part : parts) {
    if (part.size() > 255) return hostile("a name under /disk is too long");
    for (const char c : part)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return hostile("a name under /disk holds control characters");
    if (!out.empty()) out += '/';
    out += part;
  }
  return out;
}

DiskExtractor::DiskExtractor(fs::path root, Limits limits) : root_(std::move(root)), limits_(limits) {}

Result<void> DiskExtractor::remove_tree(const std::string& path, const std::set<std::string>& keep) {
  std::error_code ec;
  const auto full = root_ / path;
  const auto status = fs::symlink_status(full, ec);
  if (ec || !fs::exists(status)) return {};
  if (keep.empty() || !fs::is_directory(status)) {
    if (!keep.contains(path)) fs::remove_all(full, ec);
    return {};
  }
  std::vector<fs::path> all{full};
  for (auto it = fs::recursive_directory_iterator(full, ec); !ec && it != fs::recursive_directory_iterator(); it.increment(ec))
    all.push_back(it->path());
  // Deepest first; a folder that still holds something of this layer stays, because remove() fails on it.
  std::sort(all.begin(), all.end(), [](const fs::path& a, const fs::path& b) { return a.native().size() > b.native().size(); });
  for (const auto& p : all)
    if (!keep.contains(p.lexically_relative(root_).string())) fs::remove(p, ec);
  return {};
}

Result<void> DiskExtractor::ensure_parents(const std::string& path, std::set<std::string>& touched) {
  for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string parent = path.substr(0, slash);
    const auto full = root_ / parent;
    struct stat st {};
    if (::lstat(full.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) continue;
    NV_TRY_VOID(remove_tree(parent, {}));
    if (::mkdir(full.c_str(), 0755) != 0 && errno != EEXIST) return write_error(errno, parent);
    ::chmod(full.c_str(), 0755);
    touched.insert(parent);
  }
  return {};
}

Result<void> DiskExtractor::apply(const fs::path& path, const std::string& digest) {
  BlobReader blob;
  blob.fd.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!blob.fd) return errno_error(errno, "open layer " + path.string());
  EVP_DigestInit_ex(blob.hash.get(), EVP_sha256(), nullptr);

  TarStream stream(blob, limits_.max_stream);
  if (!stream.open()) return corrupt(archive_error_string(stream.raw.get()) ? archive_error_string(stream.raw.get()) : "unreadable layer");
  Archive a(archive_read_new());
  archive_read_support_format_tar(a.get());
  archive_read_support_format_empty(a.get());
  const auto failure = [&](const char* otherwise) {
    if (stream.too_large) return hostile("a layer of it is too large");
    const char* why = archive_error_string(a.get());
    return corrupt(why ? why : otherwise);
  };
  if (archive_read_open(a.get(), &stream, nullptr, &TarStream::read, nullptr) != ARCHIVE_OK) return failure("unreadable layer");

  std::set<std::string> touched;  // paths that this layer made: its own whiteouts do not reach them
  while (true) {
    archive_entry* entry = nullptr;
    const int rc = archive_read_next_header(a.get(), &entry);
    if (rc == ARCHIVE_EOF) break;
    if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN) return failure("unreadable layer");
    if (++entries_ > limits_.max_entries) return hostile("it holds too many files");
    const char* name = archive_entry_pathname(entry);
    if (!name) continue;
    NV_TRY(std::string rel, disk_path(name, limits_.max_depth));
    if (rel.empty()) continue;

    const auto slash = rel.rfind('/');
    const std::string base = slash == std::string::npos ? rel : rel.substr(slash + 1);
    const std::string parent = slash == std::string::npos ? "" : rel.substr(0, slash);
    if (base == ".wh..wh..opq") {
      NV_TRY_VOID(remove_tree(parent.empty() ? "disk" : parent, touched));
      continue;
    }
    if (base.rfind(".wh.", 0) == 0) {
      const std::string victim = base.substr(4);
      if (victim.empty() || victim == "." || victim == "..") return hostile("a whiteout in it names no file");
      NV_TRY_VOID(remove_tree(parent.empty() ? victim : parent + "/" + victim, touched));
      continue;
    }

    const auto full = root_ / rel;
    const auto type = archive_entry_filetype(entry);
    const char* link = archive_entry_hardlink(entry);
    if (!link && type == AE_IFDIR) {
      struct stat st {};
      NV_TRY_VOID(ensure_parents(rel, touched));
      if (::lstat(full.c_str(), &st) == 0 && !S_ISDIR(st.st_mode)) NV_TRY_VOID(remove_tree(rel, {}));
      if (::mkdir(full.c_str(), 0755) != 0 && errno != EEXIST) return write_error(errno, rel);
      ::chmod(full.c_str(), 0755);
      touched.insert(rel);
      continue;
    }
    // Whatever stands here now is covered by this entry, also when the entry itself is not taken over.
    NV_TRY_VOID(remove_tree(rel, {}));
    if (rel == "disk") continue;
    if (link) {
      NV_TRY(std::string target, disk_path(link, limits_.max_depth));
      struct stat st {};
      if (target.empty() || ::lstat((root_ / target).c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
      NV_TRY_VOID(ensure_parents(rel, touched));
      if (::link((root_ / target).c_str(), full.c_str()) != 0) return write_error(errno, rel);
      touched.insert(rel);
      continue;
    }
    if (type != AE_IFREG) continue;
    NV_TRY_VOID(ensure_parents(rel, touched));
    Fd out(::open(full.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444));
    if (!out) return write_error(errno, rel);
    ::fchmod(out.get(), 0444);
    touched.insert(rel);
    std::uint64_t size = 0;
    while (true) {
      const void* data = nullptr;
      std::size_t n = 0;
      la_int64_t offset = 0;
      const int r = archive_read_data_block(a.get(), &data, &n, &offset);
      if (r == ARCHIVE_EOF) {
        size = std::max<std::uint64_t>(size, static_cast<std::uint64_t>(std::max<la_int64_t>(offset, 0)));
        break;
      }
      if (r != ARCHIVE_OK && r != ARCHIVE_WARN) return failure("a layer ends early");
      if (n > 0 && stream.ended) return corrupt("a layer ends in the middle of a file");
      if (offset < 0 || static_cast<std::uint64_t>(offset) + n + written_ > limits_.max_bytes)
        return hostile("its disks are larger than the limit");
      const auto* bytes = static_cast<const char*>(data);
      for (std::size_t i = 0; i < n; i += kBlock) {
        const std::size_t piece = std::min(kBlock, n - i);
        if (!all_zero(bytes + i, piece)) NV_TRY_VOID(write_all(out.get(), bytes + i, piece, offset + static_cast<off_t>(i), rel));
      }
      size = std::max<std::uint64_t>(size, static_cast<std::uint64_t>(offset) + n);
    }
    if (archive_entry_size_is_set(entry)) size = std::max<std::uint64_t>(size, static_cast<std::uint64_t>(std::max<la_int64_t>(archive_entry_size(entry), 0)));
    if (size + written_ > limits_.max_bytes) return hostile("its disks are larger than the limit");
    if (::ftruncate(out.get(), static_cast<off_t>(size)) != 0) return write_error(errno, rel);
    written_ += size;
  }
  a.reset();
  if (!digest.empty()) {
    const std::string got = blob.digest();
    if (got != digest) return corrupt("layer " + digest + " hashes to " + got);
  }
  return {};
}

std::size_t DiskExtractor::files() const {
  std::size_t n = 0;
  std::error_code ec;
  for (auto it = fs::recursive_directory_iterator(root_ / "disk", ec); !ec && it != fs::recursive_directory_iterator(); it.increment(ec)) {
    std::error_code e2;
    if (fs::is_regular_file(it->symlink_status(e2)) && it->file_size(e2) > 0 && !e2) ++n;
  }
  return n;
}

std::uint64_t DiskExtractor::bytes() const {
  std::uint64_t n = 0;
  std::error_code ec;
  for (auto it = fs::recursive_directory_iterator(root_ / "disk", ec); !ec && it != fs::recursive_directory_iterator(); it.increment(ec)) {
    std::error_code e2;
    if (fs::is_regular_file(it->symlink_status(e2))) n += it->file_size(e2);
  }
  return n;
}

}  // namespace nodevirt::images
