// Instance -> libvirt domain XML. Pure: reads no files, asks nobody.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "api/vmi.hpp"
#include "pkg/base/result.hpp"

namespace nodevirt::domain {

/// What a volume of the instance has become on this node.
struct DiskSource {
  std::string volume;           ///< the volume's name
  std::string path;             ///< what QEMU opens
  std::string format = "raw";   ///< raw | qcow2
  bool block = false;           ///< a block device rather than a file
  bool readonly = false;        ///< whatever the disk says
  bool direct_io = false;       ///< O_DIRECT works there: cache=none is the default
  /// The image below an overlay. An image's own header is never asked what lies below it.
  std::string backing_path, backing_format;
  /// Only so much of the image is the disk, bytes: a copy in a larger place. 0: all of it.
  std::uint64_t slice = 0;
};

/// The host's side of an interface.
struct InterfaceSource {
  std::string name;  ///< of spec.domain.devices.interfaces
  std::string tap;   ///< exists already and belongs to the launcher's user
  std::string mac;
  unsigned mtu = 0;
};

struct Options {
  bool kvm = false;
  std::string host_cpu_model;         ///< under TCG: what host-model means; empty: QEMU's maximum
  bool vhost_net = false;
  std::string socket_dir;             ///< for virt-serial0, virt-serial0-log, virt-vnc, guest-agent, qmp
  std::vector<DiskSource> disks;
  std::vector<InterfaceSource> interfaces;
};

/// "NAMESPACE_NAME", the domain's name in libvirt.
std::string domain_name(const api::Metadata& metadata);

/// Where the domain's second QMP monitor listens, and QEMU's -chardev for it.
std::string monitor_path(const std::string& socket_dir);
std::string monitor_chardev(const std::string& socket_dir);

/// The whole definition. FailedPrecondition when a disk's volume or an interface has no source, Unimplemented
/// for what the API's schema allows and this stack cannot do (admission refuses it before): never silently less.
Result<std::string> build_domain_xml(const api::Instance& instance, const Options& options);

}  // namespace nodevirt::domain
