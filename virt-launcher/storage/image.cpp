#include "virt-launcher/storage/image.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "pkg/base/file.hpp"

namespace nodevirt::virt_launcher::storage {

namespace {

std::uint64_t big_endian(std::span<const unsigned char> b, std::size_t at, int bytes) {
  std::uint64_t v = 0;
  for (int i = 0; i < bytes; ++i) v = v << 8 | b[at + static_cast<std::size_t>(i)];
  return v;
}

bool begins(std::span<const unsigned char> head, std::string_view magic, std::size_t at = 0) {
  return head.size() >= at + magic.size() && std::memcmp(head.data() + at, magic.data(), magic.size()) == 0;
}

Error refuse(std::string what) { return {Code::InvalidArgument, "InvalidImage", std::move(what)}; }

Result<ImageInfo> inspect_qcow2(std::span<const unsigned char> h) {
  if (h.size() < 104) return refuse("the qcow2 header is cut off");
  std::uint64_t version = big_endian(h, 4, 4), backing = big_endian(h, 8, 8), cluster_bits = big_endian(h, 20, 4);
  std::uint64_t size = big_endian(h, 24, 8), crypt = big_endian(h, 32, 4);
  if (version != 2 && version != 3) return refuse(fmt::format("qcow2 version {} is not supported", version));
  if (backing != 0) return refuse("the qcow2 image refers to a backing file; flatten it (qemu-img convert) first");
  if (crypt != 0) return refuse("the qcow2 image is encrypted");
  if (cluster_bits < 9 || cluster_bits > 21) return refuse("the qcow2 header is corrupt (cluster size)");
  if (size > (1ull << 56)) return refuse("the qcow2 header is corrupt (size)");
  if (version == 3) {
    std::uint64_t incompatible = big_endian(h, 72, 8);
    if (incompatible & 4) return refuse("the qcow2 image keeps its data in another file");
    if (incompatible & 2) return refuse("the qcow2 image is marked corrupt; repair it (qemu-img check -r all) first");
  }
  return ImageInfo{"qcow2", size};
}

}  // namespace

Result<ImageInfo> inspect_head(std::span<const unsigned char> head, std::uint64_t file_size) {
  if (begins(head, "QFI\xfb")) return inspect_qcow2(head);
  struct Foreign { std::string_view magic; std::size_t at; const char* name; };
  static constexpr Foreign foreign[] = {
      {"KDMV", 0, "VMDK"}, {"# Disk DescriptorFile", 0, "VMDK"}, {"conectix", 0, "VHD"}, {"vhdxfile", 0, "VHDX"},
      {"\x7f\x10\xda\xbe", 0x40, "VDI"}, {"QED", 0, "QED"}, {"LUKS\xba\xbe", 0, "LUKS"},
      {"\x1f\x8b", 0, "gzip-compressed"}, {"\xfd" "7zXZ", 0, "xz-compressed"}, {"BZh", 0, "bzip2-compressed"},
      {"\x28\xb5\x2f\xfd", 0, "zstd-compressed"}};
  for (auto& f : foreign)
    if (begins(head, f.magic, f.at))
      return refuse(fmt::format("the image is {}; only raw and qcow2 images work (qemu-img convert makes them)", f.name));
  if (file_size == 0) return refuse("the image is empty");
  return ImageInfo{"raw", file_size};
}

Result<ImageInfo> inspect_image(const std::filesystem::path& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return errno_error(errno, "open the image " + path.string());
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return errno_error(errno, "look at the image " + path.string());
  std::uint64_t size = static_cast<std::uint64_t>(st.st_size);
  if (S_ISBLK(st.st_mode)) {
    if (::ioctl(fd.get(), BLKGETSIZE64, &size) != 0) return errno_error(errno, "read the size of " + path.string());
  } else if (!S_ISREG(st.st_mode)) {
    return refuse(path.string() + " is neither a file nor a block device");
  }
  std::vector<unsigned char> head(kHeadSize);
  ssize_t n = ::pread(fd.get(), head.data(), head.size(), 0);
  if (n < 0) return errno_error(errno, "read the image " + path.string());
  auto info = inspect_head({head.data(), static_cast<std::size_t>(n)}, size);
  if (!info.ok()) return info.error().with_context(path.filename().string());
  return info;
}

bool direct_io_works(const std::filesystem::path& path) {
  return static_cast<bool>(Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT)));
}

}  // namespace nodevirt::virt_launcher::storage
