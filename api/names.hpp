// Names on the wire: labels, annotations, finalizers, paths inside a launcher pod.
// Sources: KubeVirt's api/core/v1 (label and finalizer names), docs/reference in this repository.
#pragma once
#include <string_view>

namespace nodevirt::api {

inline constexpr std::string_view kGroup = "kubevirt.io";
inline constexpr std::string_view kSystemNamespace = "kubevirt";       ///< our own Services, Leases

// Finalizers
inline constexpr std::string_view kVmFinalizer = "kubevirt.io/virtualMachineControllerFinalize";
inline constexpr std::string_view kMigrationFinalizer = "kubevirt.io/migrationJobFinalize";
inline constexpr std::string_view kVmiFinalizer = "kubevirt.io/foregroundDeleteVirtualMachine"; ///< held by virt-handler's side until the domain is gone

// Labels
inline constexpr std::string_view kAppLabel = "kubevirt.io";                 ///< virt-launcher | virt-handler | ...
inline constexpr std::string_view kCreatedByLabel = "kubevirt.io/created-by";  ///< VMI uid, on launcher pods
inline constexpr std::string_view kDomainAnnotation = "kubevirt.io/domain";     ///< VMI name, on launcher pods
inline constexpr std::string_view kNodeNameLabel = "kubevirt.io/nodeName";
inline constexpr std::string_view kSchedulableLabel = "kubevirt.io/schedulable";
inline constexpr std::string_view kVmNameLabel = "vm.kubevirt.io/name";
inline constexpr std::string_view kAcceleratorLabel = "nodevirt.io/accelerator";  ///< kvm | tcg, on nodes
inline constexpr std::string_view kMigrationJobLabel = "kubevirt.io/migrationJobUID";   ///< uid of the VMIM, on target pods (and stays there)
inline constexpr std::string_view kMigrationTargetNodeLabel = "kubevirt.io/migrationTargetNodeName";  ///< on a VMI while it is migrated: what the target's virt-handler watches by
inline constexpr std::string_view kMigrationSelectorLabel = "kubevirt.io/vmi-name";     ///< on VMIMs: the VMI's name

// Annotations
inline constexpr std::string_view kHeartbeatAnnotation = "kubevirt.io/heartbeat";
inline constexpr std::string_view kVmGenerationAnnotation = "kubevirt.io/vm-generation";
/// On nodes, by virt-handler: "IP:PORT" of its console server (mTLS).
inline constexpr std::string_view kHandlerAddressAnnotation = "nodevirt.io/virt-handler-address";
/// On a VMI, by the source's virt-handler: JSON, the last sample of the migration; on the VMIM a copy with
/// "source" and "target".
inline constexpr std::string_view kMigrationProgressAnnotation = "nodevirt.io/migration-progress";
/// On a VMI, by the source's virt-handler alone: {"uid","owner":"source"|"target"}.
inline constexpr std::string_view kMigrationHandoverAnnotation = "nodevirt.io/migration-handover";
/// On a VMIM, by virt-controller: one line for people, from the progress.
inline constexpr std::string_view kMigrationSummaryAnnotation = "nodevirt.io/migration-summary";
/// On a VMIM: the node that is evacuated by it.
inline constexpr std::string_view kEvacuationAnnotation = "kubevirt.io/evacuationMigration";

// Conditions
inline constexpr std::string_view kUnpausedGate = "kubevirt.io/virtual-machine-unpaused";  ///< readiness gate of launcher pods

// Devices on nodes
inline constexpr std::string_view kKvmDevice = "devices.kubevirt.io/kvm";
inline constexpr std::string_view kTunDevice = "devices.kubevirt.io/tun";
inline constexpr std::string_view kVhostNetDevice = "devices.kubevirt.io/vhost-net";

// Inside the launcher pod
inline constexpr std::string_view kSocketsDir = "/var/run/kubevirt/sockets";          ///< emptyDir "sockets"
inline constexpr std::string_view kLauncherSocket = "launcher-sock";                  ///< in kSocketsDir; gRPC
/// In kSocketsDir; its listener is the pod's monitor, there before the launcher. Nobody answers on it: its peer
/// credentials name a process of the pod.
inline constexpr std::string_view kMonitorSocket = "monitor-sock";
inline constexpr std::string_view kPrivateDir = "/var/run/kubevirt-private";          ///< emptyDir "private": <uid>/virt-serial0, virt-vnc
inline constexpr std::string_view kMigrationDir = "/var/run/kubevirt/migrationproxy"; ///< emptyDir "migration": sockets of migration streams
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
