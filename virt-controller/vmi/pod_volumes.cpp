#include "virt-controller/vmi/pod_volumes.hpp"

#include <filesystem>

#include "api/names.hpp"

namespace nodevirt::virt_controller::vmi {

namespace {

using api::Volume;
using api::VolumeKind;

constexpr std::string_view kSockets = "sockets", kPrivate = "private", kEphemeral = "ephemeral", kLibvirt = "libvirt", kMigration = "migration",
                           kCapabilities = "qemu-capabilities";

class Builder {
 public:
  Builder(const api::Instance& vmi, const PodOptions& options) : vmi_(vmi), options_(options) {}

  Result<PodVolumes> build() {
    empty_dir(kSockets, api::kSocketsDir);
    empty_dir(kPrivate, api::kPrivateDir);
    empty_dir(kEphemeral, api::kEphemeralDir);
    empty_dir(kLibvirt, api::kLibvirtDir);
    empty_dir(kMigration, api::kMigrationDir);
    add(std::string(kCapabilities), {{"hostPath", {{"path", options_.capability_cache_dir}, {"type", "DirectoryOrCreate"}}}},
        std::string(api::kCapabilityCacheDir), true);
    for (const auto& v : vmi_.spec.volumes) NV_TRY_VOID(volume(v));
    for (const auto& c : vmi_.spec.access_credentials) credential(c);
    return std::move(out_);
  }

 private:
  void empty_dir(std::string_view name, std::string_view path) {
    add(std::string(name), {{"emptyDir", Json::object()}}, std::string(path), false);
  }

  void add(std::string name, Json source, std::string path, bool read_only) {
    declare(name, std::move(source));
    Json mount = {{"name", name}, {"mountPath", std::move(path)}};
    if (read_only) mount["readOnly"] = true;
    out_.mounts.push_back(std::move(mount));
  }

  void declare(const std::string& name, Json source) {
    source["name"] = name;
    out_.volumes.push_back(std::move(source));
  }

  // A volume of the instance keeps its name, unless it is one of ours.
  static std::string name_of(const Volume& v) {
    for (auto reserved : {kSockets, kPrivate, kEphemeral, kLibvirt, kMigration, kCapabilities})
      if (v.name == reserved) return "vmi-" + v.name;
    return v.name;
  }

  static std::string under(std::string_view folder, const std::string& name) { return std::string(folder) + "/" + name; }

  Result<void> volume(const Volume& v) {
    switch (v.kind) {
      case VolumeKind::containerDisk: container_disk(v); break;
      case VolumeKind::persistentVolumeClaim: claim(v, v.claim.claim_name, v.claim.read_only); break;
      case VolumeKind::dataVolume: claim(v, v.data_volume, false); break;
      case VolumeKind::ephemeral: claim(v, v.claim.claim_name, true); break;
      case VolumeKind::hostDisk: host_disk(v); break;
      case VolumeKind::cloudInitNoCloud: case VolumeKind::cloudInitConfigDrive: cloud_init(v); break;
      case VolumeKind::emptyDisk: break;  // made in the pod
      default:
        return Error(Code::InvalidArgument, "FailedCreate",
                     fmt::format("volume \"{}\" ({}) cannot be offered to a guest", v.name, to_string(v.kind)));
    }
    return {};
  }

  void container_disk(const Volume& v) {
    Json image = {{"reference", v.container_disk.image}};
    if (!v.container_disk.pull_policy.empty()) image["pullPolicy"] = v.container_disk.pull_policy;
    add(name_of(v), {{"image", std::move(image)}}, under(api::kContainerDisksDir, v.name), true);
    if (!v.container_disk.pull_secret.empty()) out_.pull_secrets.insert(v.container_disk.pull_secret);
  }

  void claim(const Volume& v, const std::string& name, bool read_only) {
    Json source = {{"claimName", name}};
    if (read_only) source["readOnly"] = true;
    if (options_.block_claims.contains(name)) {
      declare(name_of(v), {{"persistentVolumeClaim", std::move(source)}});
      out_.devices.push_back(Json{{"name", name_of(v)}, {"devicePath", "/dev/" + v.name}});
      return;
    }
    add(name_of(v), {{"persistentVolumeClaim", std::move(source)}}, under(api::kDisksDir, v.name), read_only);
  }

  void host_disk(const Volume& v) {
    std::string folder = std::filesystem::path(v.host_disk.path).parent_path().string();
    const char* type = v.host_disk.type == "DiskOrCreate" ? "DirectoryOrCreate" : "Directory";
    add(name_of(v), {{"hostPath", {{"path", folder.empty() ? "/" : folder}, {"type", type}}}}, under(api::kDisksDir, v.name), false);
  }

  void cloud_init(const Volume& v) {
    const std::string& user = v.cloud_init.user_data_secret;
    const std::string& network = v.cloud_init.network_data_secret;
    if (user.empty() && network.empty()) return;
    Json source;
    if (user.empty() || network.empty() || user == network) {
      source = {{"secret", {{"secretName", user.empty() ? network : user}}}};
    } else {
      Json sources = Json::array();
      for (const auto* secret : {&user, &network}) {
        Json item = Json::object();
        item["secret"]["name"] = *secret;
        sources.push_back(std::move(item));
      }
      source = {{"projected", {{"sources", std::move(sources)}}}};
    }
    add(name_of(v), std::move(source), under(api::kSecretsDir, v.name), true);
  }

  void credential(const api::AccessCredential& c) {
    if (c.secret_name.empty()) return;
    std::string name = c.secret_name + "-access-cred";
    if (name.size() > 63) return;
    for (const auto& v : out_.volumes)
      if (string_at(v, {"name"}) == name) return;
    add(name, {{"secret", {{"secretName", c.secret_name}}}}, under(api::kSecretsDir, name), true);
  }

  const api::Instance& vmi_;
  const PodOptions& options_;
  PodVolumes out_;
};

}  // namespace

Result<PodVolumes> pod_volumes(const api::Instance& vmi, const PodOptions& options) { return Builder(vmi, options).build(); }

}  // namespace nodevirt::virt_controller::vmi
