// spec.volumes of an instance.
#pragma once
#include <optional>
#include <string>

#include "api/quantity.hpp"

namespace nodevirt::api {

enum class VolumeKind {
  none,  ///< no source, or one that is not known
  containerDisk, cloudInitNoCloud, cloudInitConfigDrive, emptyDisk, hostDisk, persistentVolumeClaim,
  ephemeral, dataVolume, configMap, secret, downwardAPI, serviceAccount, sysprep, downwardMetrics,
  memoryDump, containerPath,
};
std::string_view to_string(VolumeKind kind);

struct ContainerDisk {
  std::string image, pull_secret, pull_policy, path;  ///< path: within the image; empty: the one file under /disk
};

/// Of cloudInitNoCloud and cloudInitConfigDrive alike. Each datum has at most one of its three sources.
struct CloudInit {
  std::string user_data, user_data_base64, user_data_secret;
  std::string network_data, network_data_base64, network_data_secret;
};

struct HostDisk {
  std::string path, type;  ///< type: Disk | DiskOrCreate
  Quantity capacity;
  bool shared = false;
};

/// Of persistentVolumeClaim and ephemeral.
struct ClaimRef {
  std::string claim_name;
  bool read_only = false, hotpluggable = false;
};

/// A tagged union in the plain way: the members of other kinds are empty.
struct Volume {
  std::string name;
  VolumeKind kind = VolumeKind::none;
  int sources = 0;             ///< how many sources were given; anything but 1 is for admission to refuse
  ContainerDisk container_disk;
  CloudInit cloud_init;
  HostDisk host_disk;
  ClaimRef claim;              ///< persistentVolumeClaim, ephemeral
  Quantity empty_disk_capacity;
  std::string data_volume;
  std::string object_name;     ///< configMap, secret, serviceAccount
  std::string volume_label;
};

}  // namespace nodevirt::api
