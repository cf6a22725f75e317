// spec.volumes.
#include <array>

#include "api/vmi/decode.hpp"

namespace nodevirt::api {

namespace {

constexpr std::array<std::string_view, 17> kNames = {
    "none", "containerDisk", "cloudInitNoCloud", "cloudInitConfigDrive", "emptyDisk", "hostDisk",
    "persistentVolumeClaim", "ephemeral", "dataVolume", "configMap", "secret", "downwardAPI", "serviceAccount",
    "sysprep", "downwardMetrics", "memoryDump", "containerPath"};

CloudInit decode_cloud_init(const FieldReader& r) {
  return {r.text("userData"), r.text("userDataBase64"), r.at("secretRef").text("name"),
          r.text("networkData"), r.text("networkDataBase64"), r.at("networkDataSecretRef").text("name")};
}

ClaimRef decode_claim(const FieldReader& r) {
  return {r.text("claimName"), r.flag("readOnly"), r.flag("hotpluggable")};
}

}  // namespace

std::string_view to_string(VolumeKind kind) { return kNames.at(static_cast<std::size_t>(kind)); }

Volume decode_volume(const FieldReader& r) {
  Volume v;
  v.name = r.text("name");
  for (std::size_t i = 1; i < kNames.size(); ++i) {
    FieldReader s = r.at(kNames[i]);
    if (!s.present()) continue;
    ++v.sources;
    v.kind = static_cast<VolumeKind>(i);
    v.volume_label = s.text("volumeLabel");
    switch (v.kind) {
      case VolumeKind::containerDisk:
        v.container_disk = {s.text("image"), s.text("imagePullSecret"), s.text("imagePullPolicy"), s.text("path")};
        break;
      case VolumeKind::cloudInitNoCloud:
      case VolumeKind::cloudInitConfigDrive: v.cloud_init = decode_cloud_init(s); break;
      case VolumeKind::emptyDisk: v.empty_disk_capacity = s.quantity("capacity").value_or(Quantity()); break;
      case VolumeKind::hostDisk:
        v.host_disk = {s.text("path"), s.text("type"), s.quantity("capacity").value_or(Quantity()), s.flag("shared")};
        break;
      case VolumeKind::persistentVolumeClaim: v.claim = decode_claim(s); break;
      case VolumeKind::ephemeral: v.claim = decode_claim(s.at("persistentVolumeClaim")); break;
      case VolumeKind::dataVolume: v.data_volume = s.text("name"); break;
      case VolumeKind::configMap: v.object_name = s.text("name"); break;
      case VolumeKind::secret: v.object_name = s.text("secretName"); break;
      case VolumeKind::serviceAccount: v.object_name = s.text("serviceAccountName"); break;
      default: break;
    }
  }
  return v;
}

}  // namespace nodevirt::api
