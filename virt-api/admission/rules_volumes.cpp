#include <set>

#include <fmt/format.h>

#include "pkg/client/base64.hpp"
#include "virt-api/admission/rules.hpp"

namespace nodevirt::virt_api {

namespace {

constexpr std::size_t kMaxCloudInit = 2048;

/// One datum of a cloud-init volume: at most one source, valid base64, not larger than a pod can carry.
int check_datum(const std::string& field, std::string_view what, const std::string& inline_text, const std::string& base64,
                const std::string& secret, Causes& out) {
  int sources = !inline_text.empty() + !base64.empty() + !secret.empty();
  if (sources > 1)
    out.push_back({field, fmt::format("{0} is given {1} times; keep one of {0}, {0}Base64 and its secret reference", what, sources)});
  std::size_t size = inline_text.size();
  if (!base64.empty()) {
    auto decoded = client::decode_base64(base64);
    if (!decoded.ok()) out.push_back({fmt::format("{}.{}Base64", field, what), "is not valid base64"});
    else size = decoded->size();
  }
  if (size > kMaxCloudInit)
    out.push_back({fmt::format("{}.{}{}", field, what, base64.empty() ? "" : "Base64"),
                   fmt::format("has {} bytes, and at most {} may stand here; put it into a Secret and name that", size, kMaxCloudInit)});
  return sources;
}

}  // namespace

void volume_names(const RuleInput& in, Causes& out) {
  std::set<std::string> seen;
  if (in.spec.volumes.size() > 256) out.push_back({in.path + ".volumes", "at most 256 volumes are supported"});
  for (std::size_t i = 0; i < in.spec.volumes.size(); ++i) {
    const auto& name = in.spec.volumes[i].name;
    auto field = item(in, "volumes", i, "name");
    if (name.empty()) out.push_back({field, "a volume needs a name", Cause::Type::Required});
    else if (!is_dns_label(name)) out.push_back({field, fmt::format("\"{}\" must be at most 63 lower-case letters, digits and -", name)});
    else if (!seen.insert(name).second)
      out.push_back({field, fmt::format("another volume is called \"{}\" already; give each volume a name of its own", name), Cause::Type::Duplicate});
  }
}

void volume_sources(const RuleInput& in, Causes& out) {
  for (std::size_t i = 0; i < in.spec.volumes.size(); ++i) {
    const auto& v = in.spec.volumes[i];
    auto field = item(in, "volumes", i);
    if (v.sources > 1) out.push_back({field, fmt::format("has {} sources; a volume has exactly one", v.sources)});
    else if (v.sources == 0)
      out.push_back({field, "has no source; give one of containerDisk, cloudInitNoCloud, cloudInitConfigDrive, emptyDisk, hostDisk, persistentVolumeClaim",
                     Cause::Type::Required});
  }
}

void container_disks(const RuleInput& in, Causes& out) {
  for (std::size_t i = 0; i < in.spec.volumes.size(); ++i) {
    const auto& v = in.spec.volumes[i];
    if (v.kind != api::VolumeKind::containerDisk) continue;
    const auto& d = v.container_disk;
    auto field = item(in, "volumes", i, "containerDisk");
    if (d.image.empty()) out.push_back({field + ".image", "the image's name is missing", Cause::Type::Required});
    else if (d.image.size() > 1024 || d.image.find_first_of(" \t\r\n") != std::string::npos)
      out.push_back({field + ".image", "is no name of an image"});
    if (!one_of(d.pull_policy, {"", "Always", "IfNotPresent", "Never"}))
      out.push_back({field + ".imagePullPolicy", "must be Always, IfNotPresent or Never", Cause::Type::NotSupported});
    bool leaves = d.path.find("..") != std::string::npos;
    if (!d.path.empty() && (d.path.front() != '/' || leaves))
      out.push_back({field + ".path", "must be an absolute path inside the image, without .."});
  }
}

void cloud_init(const RuleInput& in, Causes& out) {
  for (std::size_t i = 0; i < in.spec.volumes.size(); ++i) {
    const auto& v = in.spec.volumes[i];
    bool no_cloud = v.kind == api::VolumeKind::cloudInitNoCloud;
    if (!no_cloud && v.kind != api::VolumeKind::cloudInitConfigDrive) continue;
    auto field = item(in, "volumes", i, no_cloud ? "cloudInitNoCloud" : "cloudInitConfigDrive");
    const auto& c = v.cloud_init;
    int sources = check_datum(field, "userData", c.user_data, c.user_data_base64, c.user_data_secret, out) +
                  check_datum(field, "networkData", c.network_data, c.network_data_base64, c.network_data_secret, out);
    if (sources == 0)
      out.push_back({field, "is empty; give userData, userDataBase64, secretRef or networkData", Cause::Type::Required});
  }
}

void host_disks(const RuleInput& in, Causes& out) {
  for (std::size_t i = 0; i < in.spec.volumes.size(); ++i) {
    const auto& v = in.spec.volumes[i];
    if (v.kind != api::VolumeKind::hostDisk) continue;
    auto field = item(in, "volumes", i, "hostDisk");
    const auto& d = v.host_disk;
    if (d.path.empty()) out.push_back({field + ".path", "the path on the node is missing", Cause::Type::Required});
    else if (d.path.front() != '/' || d.path.back() == '/' || d.path.find("/../") != std::string::npos || d.path.ends_with("/.."))
      out.push_back({field + ".path", "must be the absolute path of a file, without .."});
    if (!one_of(d.type, {"Disk", "DiskOrCreate"})) out.push_back({field + ".type", "must be Disk or DiskOrCreate", Cause::Type::NotSupported});
    if (d.type == "Disk" && !d.capacity.zero()) out.push_back({field + ".capacity", "goes with type DiskOrCreate only; remove it"});
    if (d.type == "DiskOrCreate" && (d.capacity.zero() || d.capacity.negative()))
      out.push_back({field + ".capacity", "says how large the new disk is to be, and must be more than 0", Cause::Type::Required});
  }
}

void claims(const RuleInput& in, Causes& out) {
  for (std::size_t i = 0; i < in.spec.volumes.size(); ++i) {
    const auto& v = in.spec.volumes[i];
    if (v.kind != api::VolumeKind::persistentVolumeClaim) continue;
    if (v.claim.claim_name.empty() || !is_dns_subdomain(v.claim.claim_name))
      out.push_back({item(in, "volumes", i, "persistentVolumeClaim.claimName"), "must be the name of a PersistentVolumeClaim in the same namespace",
                     Cause::Type::Required});
  }
}

void empty_disks(const RuleInput& in, Causes& out) {
  for (std::size_t i = 0; i < in.spec.volumes.size(); ++i) {
    const auto& v = in.spec.volumes[i];
    if (v.kind == api::VolumeKind::emptyDisk && v.empty_disk_capacity.value() < 512)
      out.push_back({item(in, "volumes", i, "emptyDisk.capacity"), "must be at least 512 bytes, for example 1Gi", Cause::Type::Required});
  }
}

}  // namespace nodevirt::virt_api
