// Names on the wire: labels, annotations, finalizers, paths inside a launcher pod.
// Sources: KubeVirt's api/core/v1 (label and finalizer names), docs/reference in this repository.
#pragma once
#include <string_view>

namespace nodevirt::api {

inline constexpr std::string_view kGroup = "kubevirt.io";
inline constexpr std::string_view kSystemNamespace = "kubevirt";       ///< our own Services, Leases

// Finalizers
inline constexpr std::string_view kVmFinalizer = "kubevirt.io/virtualMachineControllerFinalize";
inline constexpr std::string_view kVmiFinalizer = "kubevirt.io/foregroundDeleteVirtualMachine"; ///< held by virt-handler's side until the domain is gone

// Labels
inline constexpr std::string_view kAppLabel = "kubevirt.io";                 ///< virt-launcher | virt-handler | ...
inline constexpr std::string_view kCreatedByLabel = "kubevirt.io/created-by";  ///< VMI uid, on launcher pods
inline constexpr std::string_view kDomainAnnotation = "kubevirt.io/domain";     ///< VMI name, on launcher pods
inline constexpr std::string_view kNodeNameLabel = "kubevirt.io/nodeName";
inline constexpr std::string_view kSchedulableLabel = "kubevirt.io/schedulable";
inline constexpr std::string_view kVmNameLabel = "vm.kubevirt.io/name";
inline constexpr std::string_view kAcceleratorLabel = "nodevirt.io/accelerator";  ///< kvm | tcg, on nodes

// Annotations
inline constexpr std::string_view kHeartbeatAnnotation = "kubevirt.io/heartbeat";
inline constexpr std::string_view kVmGenerationAnnotation = "kubevirt.io/vm-generation";
/// On nodes, by virt-handler: "IP:PORT" of its console server (mTLS).
inline constexpr std::string_view kHandlerAddressAnnotation = "nodevirt.io/virt-handler-address";

// Conditions
inline constexpr std::string_view kUnpausedGate = "kubevirt.io/virtual-machine-unpaused";  ///< readiness gate of launcher pods

// Devices on nodes
inline constexpr std::string_view kKvmDevice = "devices.kubevirt.io/kvm";
inline constexpr std::string_view kTunDevice = "devices.kubevirt.io/tun";
inline constexpr std::string_view kVhostNetDevice = "devices.kubevirt.io/vhost-net";

// Inside the launcher pod
inline constexpr std::string_view kSocketsDir = "/var/run/kubevirt/sockets";          ///< emptyDir "sockets"
inline constexpr std::string_view kLauncherSocket = "launcher-sock";                  ///< in kSocketsDir; gRPC
inline constexpr std::string_view kPrivateDir = "/var/run/kubevirt-private";          ///< emptyDir "private": <uid>/virt-serial0, virt-vnc
inline constexpr std::string_view kDisksDir = "/var/run/kubevirt-private/vmi-disks";  ///< <volume>/disk.img: claims and host disks
inline constexpr std::string_view kSecretsDir = "/var/run/kubevirt-private/secret";   ///< <volume>/userdata ...: secret volumes
inline constexpr std::string_view kEphemeralDir = "/var/run/kubevirt-ephemeral-disks"; ///< emptyDir "ephemeral": overlays, emptyDisks, cloud-init ISOs
inline constexpr std::string_view kContainerDisksDir = "/var/run/kubevirt/container-disks"; ///< <volume>/disk/*: image volumes, read-only
inline constexpr std::string_view kLibvirtDir = "/var/run/libvirt";                   ///< emptyDir "libvirt": XDG directories of the session daemon
inline constexpr std::string_view kCapabilityCacheDir = "/var/lib/kubevirt/qemu-capabilities"; ///< the node's, read-only hostPath
inline constexpr std::string_view kProgramDir = "/opt/nodevirt/bin";                  ///< virt-launcher, virt-launcher-monitor
inline constexpr std::string_view kComputeContainer = "compute";
inline constexpr unsigned kLauncherUid = 107;                                         ///< inside our container images

}  // namespace nodevirt::api
