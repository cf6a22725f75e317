#include "virt-launcher/storage/volumes.hpp"

#include <functional>
#include <sys/stat.h>

#include "pkg/base/file.hpp"
#include "virt-launcher/storage/cloud_init.hpp"
#include "virt-launcher/storage/qemu_img.hpp"
#include "virt-launcher/storage/image.hpp"

namespace nodevirt::virt_launcher::storage {

namespace fs = std::filesystem;
using api::VolumeKind;
using domain::DiskSource;

namespace {

// Names come from the API, where they are DNS labels; here they become file names.
bool plain_name(const std::string& n) {
  return !n.empty() && n.size() <= 253 && n.find('/') == std::string::npos && n[0] != '.';
}

bool is_block(const fs::path& p) {
  struct stat st {};
  return ::stat(p.c_str(), &st) == 0 && S_ISBLK(st.st_mode);
}

/// Where a volume's image is, and what makes it, if it has to be made.
struct Image {
  DiskSource source;
  std::function<Result<void>()> make;
};

Result<Image> overlay_over(const std::string& name, const fs::path& base, const Paths& paths) {
  NV_TRY(ImageInfo info, inspect_image(base));
  fs::path overlay = paths.ephemeral / "disks" / (name + ".qcow2");
  DiskSource s{name, overlay.string(), "qcow2"};
  s.backing_path = base.string();
  s.backing_format = info.format;
  return Image{std::move(s), [=] { return create_overlay(overlay, base, info.format, info.virtual_size); }};
}

Result<Image> existing(const std::string& name, const fs::path& path, bool readonly) {
  NV_TRY(ImageInfo info, inspect_image(path));
  return Image{DiskSource{name, path.string(), info.format, is_block(path), readonly, direct_io_works(path)}, {}};
}

// The claim's size as virt-controller or virt-handler noted it in the instance's status.
std::uint64_t claim_size(const Json& raw, const std::string& volume) {
  auto size_in = [&](const Json* list, std::string_view name, std::string_view info) -> std::uint64_t {
    if (!list || !list->is_array()) return 0;
    for (auto& v : *list) {
      if (string_at(v, {name}) != volume) continue;
      auto q = api::Quantity::parse(string_at(v, {info, "capacity", "storage"}, "0"));
      return q.ok() && q->value() > 0 ? static_cast<std::uint64_t>(q->value()) : 0;
    }
    return 0;
  };
  // A claim that the disk moves to is not the one that the volume had.
  if (auto size = size_in(find(raw, {"status", "migratedVolumes"}), "volumeName", "destinationPVCInfo")) return size;
  return size_in(find(raw, {"status", "volumeStatus"}), "name", "persistentVolumeClaimInfo");
}

Result<fs::path> claim_image(const std::string& name, const Json& raw, const Paths& paths) {
  fs::path device = fs::path("/dev") / name;
  if (is_block(device)) return device;
  fs::path image = paths.disks / name / "disk.img";
  std::error_code ec;
  if (fs::exists(image, ec)) return image;
  if (!fs::is_directory(image.parent_path(), ec))
    return Error(Code::FailedPrecondition, "the claim is not mounted in the pod");
  std::uint64_t size = claim_size(raw, name);
  if (!size) return Error(Code::NotFound, "the claim holds no disk.img, and its size is not known");
  // What a file system needs for itself.
  NV_TRY_VOID(create_raw(image, size - size / 20));
  return image;
}

Result<Image> host_disk(const api::Volume& v, const Paths& paths) {
  fs::path image = paths.disks / v.name / fs::path(v.host_disk.path).filename();
  std::error_code ec;
  if (!fs::exists(image, ec)) {
    if (v.host_disk.type != "DiskOrCreate")
      return Error(Code::NotFound, fmt::format("there is no disk at {} on this node", v.host_disk.path));
    if (v.host_disk.capacity.value() <= 0)
      return Error(Code::InvalidArgument, "hostDisk.capacity is needed to create the disk");
    NV_TRY_VOID(create_raw(image, static_cast<std::uint64_t>(v.host_disk.capacity.value())));
  }
  return existing(v.name, image, false);
}

Result<Image> cloud_init(const api::Instance& vmi, const api::Volume& v, const Paths& paths) {
  NV_TRY(SeedData data, collect_seed(vmi, v, paths.secrets));
  fs::path iso = paths.ephemeral / "cloud-init" / (v.name + ".iso");
  NV_TRY_VOID(make_dirs(iso.parent_path(), 0700));
  std::string label = v.kind == VolumeKind::cloudInitNoCloud ? "cidata" : "config-2";
  auto files = seed_files(vmi, v, data);
  return Image{DiskSource{v.name, iso.string(), "raw", false, true, false}, [=] { return make_iso(iso, label, files); }};
}

Result<Image> prepare(const api::Instance& vmi, const api::Volume& v, const Json& raw, const Paths& paths) {
  if (!plain_name(v.name)) return Error(Code::InvalidArgument, "the name cannot be a file's name");
  switch (v.kind) {
    case VolumeKind::containerDisk: {
      NV_TRY(fs::path base, find_container_disk(paths.container_disks / v.name, v.container_disk.path));
      return overlay_over(v.name, base, paths);
    }
    case VolumeKind::ephemeral: {
      NV_TRY(fs::path base, claim_image(v.name, raw, paths));
      return overlay_over(v.name, base, paths);
    }
    case VolumeKind::dataVolume:
    case VolumeKind::persistentVolumeClaim: {
      NV_TRY(fs::path image, claim_image(v.name, raw, paths));
      return existing(v.name, image, v.claim.read_only);
    }
    case VolumeKind::hostDisk: return host_disk(v, paths);
    case VolumeKind::cloudInitNoCloud:
    case VolumeKind::cloudInitConfigDrive: return cloud_init(vmi, v, paths);
    case VolumeKind::emptyDisk: {
      if (v.empty_disk_capacity.value() <= 0) return Error(Code::InvalidArgument, "emptyDisk.capacity must be more than nothing");
      fs::path image = paths.ephemeral / "empty" / (v.name + ".qcow2");
      auto size = static_cast<std::uint64_t>(v.empty_disk_capacity.value());
      return Image{DiskSource{v.name, image.string(), "qcow2"}, [=] { return create_qcow2(image, size); }};
    }
    default: return Error(Code::Unimplemented, fmt::format("volumes of kind {} are not supported", to_string(v.kind)));
  }
}

}  // namespace

Result<fs::path> find_container_disk(const fs::path& root, const std::string& path) {
  std::error_code ec;
  if (!path.empty()) {
    fs::path found = fs::weakly_canonical(root / fs::path(path).relative_path(), ec);
    fs::path top = fs::weakly_canonical(root, ec);
    if (ec || !found.string().starts_with(top.string() + "/"))
      return Error(Code::InvalidArgument, fmt::format("the path {} leads out of the image", path));
    if (!fs::is_regular_file(found, ec)) return Error(Code::NotFound, fmt::format("the image has no file {}", path));
    return found;
  }
  fs::path folder = root / "disk", found;
  if (!fs::is_directory(folder, ec)) return Error(Code::NotFound, "the image has no folder /disk; it is no container disk");
  int files = 0, seen = 0;
  for (fs::directory_iterator it(folder, ec), end; !ec && it != end && seen < 1000; it.increment(ec), ++seen) {
    if (!fs::is_regular_file(it->symlink_status(ec))) continue;
    ++files;
    found = it->path();
  }
  if (files == 1) return found;
  return Error(Code::InvalidArgument, files == 0 ? "the image's folder /disk holds no file"
                                                 : "the image's folder /disk holds several files: name one in containerDisk.path");
}

bool moves_to(const Json& instance, const api::Volume& volume) {
  const Json* list = find(instance, {"status", "migratedVolumes"});
  if (!list || !list->is_array() || volume.kind != VolumeKind::persistentVolumeClaim) return false;
  for (const Json& m : *list)
    if (string_at(m, {"volumeName"}) == volume.name) return string_at(m, {"destinationPVCInfo", "claimName"}) == volume.claim.claim_name;
  return false;
}

Result<void> PreparedVolumes::finish() {
  Result<void> first;
  for (auto& [volume, made] : making) {
    auto result = made.get();
    if (!result.ok() && first.ok()) first = result.error().with_context("volume " + volume);
  }
  making.clear();
  return first;
}

Result<PreparedVolumes> prepare_volumes(const api::Instance& vmi, const Json& raw, const Paths& paths) {
  NV_TRY_VOID(make_dirs(paths.ephemeral / "disks"));
  PreparedVolumes out;
  for (auto& disk : vmi.spec.domain.devices.disks) {
    const api::Volume* volume = vmi.volume(disk.name);
    if (!volume) return Error(Code::InvalidArgument, "Invalid", fmt::format("disk {}: no volume has that name", disk.name));
    auto image = prepare(vmi, *volume, raw, paths);
    if (!image.ok()) return image.error().with_context("volume " + volume->name);
    if (image->make) out.making.emplace_back(volume->name, std::async(std::launch::async, std::move(image->make)));
    out.disks.push_back(std::move(image->source));
  }
  return out;
}

}  // namespace nodevirt::virt_launcher::storage
