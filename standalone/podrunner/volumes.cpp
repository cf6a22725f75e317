#include "standalone/podrunner/volumes.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "pkg/base/file.hpp"
#include "standalone/volumes/names.hpp"

namespace nodevirt::podrunner {
namespace fs = std::filesystem;
namespace {

Error mount_error(std::string message) { return Error(Code::FailedPrecondition, "FailedMount", std::move(message)); }
Error mount_errno(int e, const std::string& what) {
  auto error = errno_error(e, what);
  error.reason = "FailedMount";
  return error;
}

bool is_tmpfs(const fs::path& path) {
  struct statfs st {};
  return ::statfs(path.c_str(), &st) == 0 && st.f_type == 0x01021994;
}

Result<void> mount_tmpfs(const fs::path& path, const std::string& options) {
  if (is_tmpfs(path)) {
    struct stat here {}, up {};
    if (::stat(path.c_str(), &here) == 0 && ::stat(path.parent_path().c_str(), &up) == 0 && here.st_dev != up.st_dev) return {};
  }
  if (::mount("tmpfs", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0)
    return mount_errno(errno, "mount a memory volume at " + path.string());
  return {};
}

Result<Mounted> empty_dir(const VolumeContext& c, const std::string& name, const Json& source) {
  const auto path = c.paths.volume("empty-dir", name);
  NV_TRY_VOID(make_dirs(path.parent_path(), 0711));
  NV_TRY_VOID(make_dirs(path, 0777));
  if (string_at(source, {"medium"}) == "Memory") {
    std::string options = "mode=0777";
    if (auto q = api::Quantity::parse(string_at(source, {"sizeLimit"}, "0")); q.ok() && q->value() > 0) options += ",size=" + std::to_string(q->value());
    NV_TRY_VOID(mount_tmpfs(path, options));
  }
  if (c.pod.fs_group) (void)!::chown(path.c_str(), static_cast<uid_t>(-1), static_cast<gid_t>(*c.pod.fs_group));
  return Mounted{path.string(), false};
}

Result<Mounted> host_path(const std::string& name, const Json& source) {
  const std::string path = string_at(source, {"path"}), type = string_at(source, {"type"});
  if (path.empty() || path[0] != '/' || path.find("..") != std::string::npos) return mount_error("volume " + name + ": hostPath " + path + " is not an absolute path");
  struct stat st {};
  bool there = ::stat(path.c_str(), &st) == 0;
  if (!there && type == "DirectoryOrCreate") {
    NV_TRY_VOID(make_dirs(path, 0755));
    there = ::stat(path.c_str(), &st) == 0;
  } else if (!there && type == "FileOrCreate") {
    Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    there = fd && ::stat(path.c_str(), &st) == 0;
  }
  if (!there) return mount_error("volume " + name + ": hostPath " + path + " does not exist on the node");
  struct Check {
    std::string_view type;
    bool ok;
  };
  for (const auto& check : {Check{"Directory", S_ISDIR(st.st_mode)}, {"DirectoryOrCreate", S_ISDIR(st.st_mode)}, {"File", S_ISREG(st.st_mode)},
                            {"FileOrCreate", S_ISREG(st.st_mode)}, {"Socket", S_ISSOCK(st.st_mode)}, {"CharDevice", S_ISCHR(st.st_mode)},
                            {"BlockDevice", S_ISBLK(st.st_mode)}})
    if (check.type == type && !check.ok) return mount_error("volume " + name + ": hostPath " + path + " is no " + type);
  return Mounted{path, false};
}

/// "a/b" below the volume; no way out of it.
Result<std::string> item_path(const std::string& path) {
  const fs::path p(path);
  if (path.empty() || path.size() > 4096 || p.is_absolute()) return mount_error("item path \"" + path + "\" must be relative");
  for (const auto& part : p)
    if (part == "..") return mount_error("item path \"" + path + "\" holds \"..\"");
  return p.lexically_normal().string();
}

struct FileSet {
  struct File {
    std::string content;
    int mode;
  };
  std::map<std::string, File> files;
};

Result<void> add_items(FileSet& set, const Json& source, const std::map<std::string, std::string>& values, int default_mode, const std::string& what) {
  const Json* items = find(source, {"items"});
  if (!items || !items->is_array() || items->empty()) {
    for (const auto& [key, value] : values) {
      NV_TRY(const std::string path, item_path(key));
      set.files[path] = {value, default_mode};
    }
    return {};
  }
  for (const auto& item : *items) {
    const std::string key = string_at(item, {"key"});
    const auto it = values.find(key);
    if (it == values.end()) {
      if (bool_at(source, {"optional"})) continue;
      return mount_error(what + ": it has no key " + key);
    }
    NV_TRY(const std::string path, item_path(string_at(item, {"path"}, key)));
    set.files[path] = {it->second, static_cast<int>(int_at(item, {"mode"}, default_mode))};
  }
  return {};
}

Result<void> add_object(FileSet& set, const VolumeContext& c, const char* kind, const Json& source, std::string_view name_field, int mode) {
  const std::string name = string_at(source, {name_field});
  auto values = object_values(c.objects, {kind, name});
  if (!values.ok()) {
    if (values.error().code == Code::NotFound && bool_at(source, {"optional"})) return {};
    return mount_error(values.error().message);
  }
  return add_items(set, source, *values, mode, std::string(kind) + " " + name);
}

Result<void> add_downward(FileSet& set, const VolumeContext& c, const Json& source, int mode) {
  const Json* items = find(source, {"items"});
  if (!items || !items->is_array()) return {};
  for (const auto& item : *items) {
    NV_TRY(const std::string path, item_path(string_at(item, {"path"})));
    std::string value;
    if (const Json* field = find(item, {"fieldRef"})) {
      NV_TRY(value, field_value(c.pod, c.place, string_at(*field, {"fieldPath"})));
    } else if (const Json* resource = find(item, {"resourceFieldRef"})) {
      NV_TRY(value, resource_value(c.pod.containers[0], string_at(*resource, {"resource"}), string_at(*resource, {"divisor"})));
    }
    set.files[path] = {std::move(value), static_cast<int>(int_at(item, {"mode"}, mode))};
  }
  return {};
}

Result<Mounted> write_files(const VolumeContext& c, const std::string& plugin, const std::string& name, const FileSet& set, bool memory) {
  const auto root = c.paths.volume(plugin, name);
  NV_TRY_VOID(make_dirs(root.parent_path(), 0711));
  NV_TRY_VOID(make_dirs(root, 0755));
  if (memory) NV_TRY_VOID(mount_tmpfs(root, "mode=0755"));
  const gid_t gid = c.pod.fs_group ? static_cast<gid_t>(*c.pod.fs_group) : c.gid;
  for (const auto& [path, file] : set.files) {
    const auto full = root / path;
    if (full.parent_path() != root) NV_TRY_VOID(make_dirs(full.parent_path(), 0755));
    ::unlink(full.c_str());
    Fd fd(::open(full.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return mount_errno(errno, "write " + full.string());
    std::string_view left = file.content;
    while (!left.empty()) {
      const auto n = ::write(fd.get(), left.data(), left.size());
      if (n < 0) return mount_errno(errno, "write " + full.string());
      left.remove_prefix(static_cast<std::size_t>(n));
    }
    // The group of the pod reads what the owner may read: the files belong to root.
    const auto mode = static_cast<mode_t>(file.mode & 0777) | ((file.mode & 0400) >> 3);
    if (::fchown(fd.get(), 0, gid) != 0 || ::fchmod(fd.get(), mode) != 0) return mount_errno(errno, "give " + full.string() + " to the pod");
  }
  return Mounted{root.string(), true};
}

Result<Mounted> projected(const VolumeContext& c, const std::string& name, const Json& source) {
  FileSet set;
  const int mode = static_cast<int>(int_at(source, {"defaultMode"}, 0644));
  if (const Json* sources = find(source, {"sources"}); sources && sources->is_array())
    for (const auto& s : *sources) {
      if (const Json* secret = find(s, {"secret"})) NV_TRY_VOID(add_object(set, c, "Secret", *secret, "name", mode));
      else if (const Json* map = find(s, {"configMap"})) NV_TRY_VOID(add_object(set, c, "ConfigMap", *map, "name", mode));
      else if (const Json* down = find(s, {"downwardAPI"})) NV_TRY_VOID(add_downward(set, c, *down, mode));
      else return mount_error("volume " + name + ": of projected sources this node offers secret, configMap and downwardAPI");
    }
  return write_files(c, "projected", name, set, true);
}

/// A node of the pod's own for a block device of the machine, so that the device itself keeps its owner and mode.
Result<Mounted> block_device(const VolumeContext& c, const std::string& name, const std::string& path, bool read_only) {
  struct stat st {};
  if (path.empty() || ::stat(path.c_str(), &st) != 0 || !S_ISBLK(st.st_mode)) return mount_error("volume " + name + ": " + path + " is no block device on the node");
  NV_TRY_VOID(make_dirs(c.paths.devices(), 0711));
  const auto node = c.paths.devices() / ("volume-" + name);
  ::unlink(node.c_str());
  if (::mknod(node.c_str(), S_IFBLK | (read_only ? 0400 : 0600), st.st_rdev) != 0) return mount_errno(errno, "make the device " + node.string());
  if (::chown(node.c_str(), c.uid, c.gid) != 0) return mount_errno(errno, "give the device " + node.string() + " to the pod");
  return Mounted{node.string(), read_only, true};
}

Result<Mounted> claim(const VolumeContext& c, const std::string& name, const Json& source) {
  const std::string claim_name = string_at(source, {"claimName"});
  const auto it = c.claims.find(claim_name);
  if (it == c.claims.end()) return mount_error("volume " + name + ": claim " + claim_name + " is not bound");
  const Json& volume = it->second;
  const bool read_only = bool_at(source, {"readOnly"});
  std::string path = string_at(volume, {"spec", "local", "path"});
  if (string_at(volume, {"spec", "volumeMode"}, "Filesystem") == "Block") {
    if (path.empty()) path = string_at(volume, {"spec", "hostPath", "path"});
    return block_device(c, name, path, read_only);
  }
  if (volumes::is_ours(volume)) {
    NV_TRY_VOID(materialise_volume(volume, c.options.volumes_dir(), c.uid, c.gid));
  } else if (path.empty()) {
    if (const Json* host = find(volume, {"spec", "hostPath"})) {
      NV_TRY(auto mounted, host_path(name, *host));
      mounted.read_only = read_only;
      return mounted;
    }
    return mount_error("volume " + name + ": of persistent volumes this node offers local and hostPath ones");
  }
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) return mount_error("volume " + name + ": " + path + " of the persistent volume " + string_at(volume, {"metadata", "name"}) + " does not exist on the node");
  return Mounted{path, read_only};
}

Result<Mounted> set_up(const VolumeContext& c, const Json& v) {
  const std::string name = string_at(v, {"name"});
  if (name.empty() || name.size() > 63 || name.find('/') != std::string::npos || name[0] == '.') return mount_error("a volume with the unusable name " + name);
  if (const Json* s = find(v, {"emptyDir"})) return empty_dir(c, name, *s);
  if (const Json* s = find(v, {"hostPath"})) return host_path(name, *s);
  if (const Json* s = find(v, {"persistentVolumeClaim"})) return claim(c, name, *s);
  if (const Json* s = find(v, {"projected"})) return projected(c, name, *s);
  if (v.contains("image")) {
    const auto it = c.images.find(name);
    if (it == c.images.end()) return mount_error("volume " + name + ": its image is not there");
    return Mounted{it->second.path.string(), true};
  }
  const int mode = static_cast<int>(int_at(v, {v.contains("secret") ? "secret" : v.contains("configMap") ? "configMap" : "downwardAPI", "defaultMode"}, 0644));
  FileSet set;
  if (const Json* s = find(v, {"secret"})) {
    NV_TRY_VOID(add_object(set, c, "Secret", *s, "secretName", mode));
    return write_files(c, "secret", name, set, true);
  }
  if (const Json* s = find(v, {"configMap"})) {
    NV_TRY_VOID(add_object(set, c, "ConfigMap", *s, "name", mode));
    return write_files(c, "configmap", name, set, false);
  }
  if (const Json* s = find(v, {"downwardAPI"})) {
    NV_TRY_VOID(add_downward(set, c, *s, mode));
    return write_files(c, "downward-api", name, set, false);
  }
  return mount_error("volume " + name + " is of a kind that this node does not offer; emptyDir, image, persistentVolumeClaim, hostPath, secret, configMap, downwardAPI and projected are");
}

}  // namespace

Result<MountedVolumes> set_up_volumes(const VolumeContext& context) {
  MountedVolumes out;
  for (const auto& c : context.pod.containers) {
    auto used = c.mounts;
    used.insert(used.end(), c.devices.begin(), c.devices.end());
    for (const auto& m : used) {
      if (out.contains(m.name)) continue;
      const Json* volume = context.pod.volume(m.name);
      if (!volume) return mount_error("volumeMount " + m.name + " names no volume");
      auto made = set_up(context, *volume);
      if (!made.ok()) {
        auto error = made.error();
        if (error.reason.empty()) error.reason = "FailedMount";
        return error;
      }
      out.emplace(m.name, std::move(*made));
    }
    for (const auto& m : c.mounts)
      if (out.at(m.name).device) return mount_error("volume " + m.name + " is a block device: it cannot be mounted at " + m.path);
    for (const auto& d : c.devices)
      if (!out.at(d.name).device) return mount_error("volume " + d.name + " is no block device, as " + d.path + " would need");
  }
  return out;
}

Result<void> unmount_below(const fs::path& root) {
  auto table = read_file("/proc/self/mountinfo", 64u << 20);
  if (!table.ok()) return std::move(table).error();
  std::vector<std::string> points;
  std::istringstream lines(*table);
  const std::string prefix = root.string() + "/";
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string field;
    for (int i = 0; i < 5; ++i) fields >> field;
    std::string point;
    for (std::size_t i = 0; i < field.size(); ++i) {  // \040 and the like
      if (field[i] == '\\' && i + 3 < field.size()) {
        point += static_cast<char>(std::strtol(field.substr(i + 1, 3).c_str(), nullptr, 8));
        i += 3;
      } else {
        point += field[i];
      }
    }
    if (point.starts_with(prefix)) points.push_back(point);
  }
  for (auto it = points.rbegin(); it != points.rend(); ++it)
    if (::umount2(it->c_str(), UMOUNT_NOFOLLOW) != 0 && ::umount2(it->c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL)
      return errno_error(errno, "unmount " + *it);
  return {};
}

Result<void> materialise_volume(const Json& volume, const fs::path& volumes_dir, unsigned uid, unsigned gid) {
  const std::string name = string_at(volume, {"metadata", "name"});
  const fs::path dir = string_at(volume, {"spec", "local", "path"});
  if (name.empty() || name[0] == '.' || name.find('/') != std::string::npos || dir != volumes_dir / name)
    return mount_error("persistent volume " + name + " names the folder " + dir.string() + ", expected " + (volumes_dir / name).string());
  auto size = api::Quantity::parse(string_at(volume, {"spec", "capacity", "storage"}));
  if (!size.ok() || size->value() <= 0) return mount_error("persistent volume " + name + " has no usable capacity");
  NV_TRY_VOID(make_dirs(volumes_dir, 0711));
  NV_TRY_VOID(make_dirs(dir, 0755));
  Fd folder(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) return mount_errno(errno, "open " + dir.string());
  // Made under another name and renamed: a file called disk.img is always whole.
  Fd file(::openat(folder.get(), "disk.img", O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  const bool fresh = !file;
  if (fresh) {
    if (errno != ENOENT) return mount_errno(errno, "open " + (dir / "disk.img").string());
    ::unlinkat(folder.get(), "disk.img.new", 0);
    file.reset(::openat(folder.get(), "disk.img.new", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0660));
    if (!file) return mount_errno(errno, "create " + (dir / "disk.img").string());
  }
  struct stat st {};
  if (::fstat(file.get(), &st) != 0 || !S_ISREG(st.st_mode)) return mount_error((dir / "disk.img").string() + " is not a regular file");
  if (st.st_size < size->value() && ::ftruncate(file.get(), size->value()) != 0) return mount_errno(errno, "make a disk of " + std::to_string(size->value()) + " bytes for " + name);
  if ((st.st_uid != uid || st.st_gid != gid) && ::fchown(file.get(), uid, gid) != 0) return mount_errno(errno, "give the disk of " + name + " to the launcher's user");
  if (fresh) {
    if (::fsync(file.get()) != 0 || ::renameat(folder.get(), "disk.img.new", folder.get(), "disk.img") != 0 || ::fsync(folder.get()) != 0)
      return mount_errno(errno, "create " + (dir / "disk.img").string());
  }
  return {};
}

std::vector<Overuse> overused_empty_dirs(const PodPaths& paths, const PodView& pod) {
  std::vector<Overuse> out;
  for (const auto& v : pod.volumes) {
    const Json* source = find(v, {"emptyDir"});
    if (!source || string_at(*source, {"medium"}) == "Memory") continue;
    auto limit = api::Quantity::parse(string_at(*source, {"sizeLimit"}, "0"));
    if (!limit.ok() || limit->value() <= 0) continue;
    Overuse use{string_at(v, {"name"}), 0, static_cast<std::uint64_t>(limit->value())};
    std::error_code ec;
    const auto options = fs::directory_options::skip_permission_denied;
    for (auto it = fs::recursive_directory_iterator(paths.volume("empty-dir", use.volume), options, ec);
         !ec && it != fs::recursive_directory_iterator(); it.increment(ec)) {
      struct stat st {};
      if (::lstat(it->path().c_str(), &st) == 0) use.used += static_cast<std::uint64_t>(st.st_blocks) * 512;
    }
    if (use.used > use.limit) out.push_back(std::move(use));
  }
  return out;
}

}  // namespace nodevirt::podrunner
