#include "virt-api/admission/supported_fields.hpp"

#include <map>
#include <memory>

#include <fmt/format.h>

namespace nodevirt::virt_api {

namespace {

// "x[]" is each item of a list; "/*" stands for everything below.
constexpr std::string_view kInstanceFields[] = {
    "affinity/*",
    "architecture",
    "dnsConfig/*",
    "dnsPolicy",
    "evictionStrategy",
    "hostname",
    "nodeSelector/*",
    "priorityClassName",
    "schedulerName",
    "startStrategy",
    "subdomain",
    "terminationGracePeriodSeconds",
    "tolerations/*",
    "topologySpreadConstraints/*",
    "livenessProbe/failureThreshold", "livenessProbe/initialDelaySeconds", "livenessProbe/periodSeconds",
    "livenessProbe/successThreshold", "livenessProbe/timeoutSeconds", "livenessProbe/tcpSocket/*", "livenessProbe/httpGet/*",
    "readinessProbe/failureThreshold", "readinessProbe/initialDelaySeconds", "readinessProbe/periodSeconds",
    "readinessProbe/successThreshold", "readinessProbe/timeoutSeconds", "readinessProbe/tcpSocket/*", "readinessProbe/httpGet/*",
    "networks[]/name",
    "networks[]/pod/vmNetworkCIDR",
    "volumes[]/name",
    "volumes[]/containerDisk/image", "volumes[]/containerDisk/imagePullPolicy", "volumes[]/containerDisk/imagePullSecret",
    "volumes[]/containerDisk/path",
    "volumes[]/cloudInitNoCloud/userData", "volumes[]/cloudInitNoCloud/userDataBase64", "volumes[]/cloudInitNoCloud/secretRef/*",
    "volumes[]/cloudInitNoCloud/networkData", "volumes[]/cloudInitNoCloud/networkDataBase64",
    "volumes[]/cloudInitNoCloud/networkDataSecretRef/*",
    "volumes[]/cloudInitConfigDrive/userData", "volumes[]/cloudInitConfigDrive/userDataBase64",
    "volumes[]/cloudInitConfigDrive/secretRef/*", "volumes[]/cloudInitConfigDrive/networkData",
    "volumes[]/cloudInitConfigDrive/networkDataBase64", "volumes[]/cloudInitConfigDrive/networkDataSecretRef/*",
    "volumes[]/emptyDisk/capacity",
    "volumes[]/hostDisk/path", "volumes[]/hostDisk/type", "volumes[]/hostDisk/capacity", "volumes[]/hostDisk/shared",
    "volumes[]/persistentVolumeClaim/claimName", "volumes[]/persistentVolumeClaim/readOnly",
    "domain/chassis/*",
    "domain/clock/timezone",
    "domain/clock/utc/offsetSeconds",
    "domain/clock/timer/hpet/*", "domain/clock/timer/hyperv/*", "domain/clock/timer/kvm/*", "domain/clock/timer/pit/*",
    "domain/clock/timer/rtc/*",
    "domain/cpu/cores", "domain/cpu/sockets", "domain/cpu/threads", "domain/cpu/model",
    "domain/cpu/features[]/name", "domain/cpu/features[]/policy",
    "domain/features/acpi/enabled", "domain/features/apic/enabled", "domain/features/apic/endOfInterrupt",
    "domain/features/hyperv/evmcs/enabled", "domain/features/hyperv/frequencies/enabled", "domain/features/hyperv/ipi/enabled",
    "domain/features/hyperv/reenlightenment/enabled", "domain/features/hyperv/relaxed/enabled", "domain/features/hyperv/reset/enabled",
    "domain/features/hyperv/runtime/enabled", "domain/features/hyperv/spinlocks/*", "domain/features/hyperv/synic/enabled",
    "domain/features/hyperv/synictimer/*", "domain/features/hyperv/tlbflush/enabled", "domain/features/hyperv/vapic/enabled",
    "domain/features/hyperv/vendorid/*", "domain/features/hyperv/vpindex/enabled", "domain/features/hypervPassthrough/enabled",
    "domain/features/kvm/hidden", "domain/features/pvspinlock/enabled", "domain/features/smm/enabled",
    "domain/firmware/bootloader/bios/useSerial", "domain/firmware/bootloader/efi/secureBoot",
    "domain/firmware/serial", "domain/firmware/uuid",
    "domain/ioThreadsPolicy",
    "domain/machine/type",
    "domain/memory/guest",
    "domain/rebootPolicy",
    "domain/resources/limits/*", "domain/resources/requests/*",
    "domain/devices/autoattachGraphicsDevice", "domain/devices/autoattachInputDevice", "domain/devices/autoattachMemBalloon",
    "domain/devices/autoattachPodInterface", "domain/devices/autoattachSerialConsole",
    "domain/devices/blockMultiQueue",
    "domain/devices/disableHotplug",
    "domain/devices/logSerialConsole",
    "domain/devices/panicDevices[]/model",
    "domain/devices/rng",
    "domain/devices/inputs[]/name", "domain/devices/inputs[]/type", "domain/devices/inputs[]/bus",
    "domain/devices/sound/name", "domain/devices/sound/model",
    "domain/devices/useVirtioTransitional",
    "domain/devices/video/type",
    "domain/devices/watchdog/name", "domain/devices/watchdog/i6300esb/action",
    "domain/devices/disks[]/name", "domain/devices/disks[]/bootOrder", "domain/devices/disks[]/serial",
    "domain/devices/disks[]/cache", "domain/devices/disks[]/io", "domain/devices/disks[]/errorPolicy",
    "domain/devices/disks[]/shareable", "domain/devices/disks[]/dedicatedIOThread",
    "domain/devices/disks[]/blockSize/custom/logical", "domain/devices/disks[]/blockSize/custom/physical",
    "domain/devices/disks[]/disk/bus", "domain/devices/disks[]/disk/readonly", "domain/devices/disks[]/disk/pciAddress",
    "domain/devices/disks[]/cdrom/bus", "domain/devices/disks[]/cdrom/readonly", "domain/devices/disks[]/cdrom/tray",
    "domain/devices/interfaces[]/name", "domain/devices/interfaces[]/model", "domain/devices/interfaces[]/macAddress",
    "domain/devices/interfaces[]/acpiIndex", "domain/devices/interfaces[]/pciAddress",
    "domain/devices/interfaces[]/dhcpOptions/bootFileName", "domain/devices/interfaces[]/dhcpOptions/tftpServerName",
    "domain/devices/interfaces[]/dhcpOptions/ntpServers", "domain/devices/interfaces[]/dhcpOptions/privateOptions[]/option",
    "domain/devices/interfaces[]/dhcpOptions/privateOptions[]/value",
    "domain/devices/interfaces[]/bootOrder", "domain/devices/interfaces[]/state", "domain/devices/interfaces[]/masquerade",
    "domain/devices/interfaces[]/ports[]/name", "domain/devices/interfaces[]/ports[]/port",
    "domain/devices/interfaces[]/ports[]/protocol",
};

constexpr std::string_view kVmFields[] = {
    "runStrategy",
    "running",
    "updateVolumesStrategy",
    "template/metadata/*",
    "template/spec/*",
};

struct Node {
  bool everything = false;   ///< "/*"
  std::map<std::string, std::unique_ptr<Node>, std::less<>> children;
};

Node build(std::span<const std::string_view> fields) {
  Node root;
  for (auto field : fields) {
    Node* at = &root;
    while (!field.empty()) {
      auto slash = field.find('/');
      auto name = field.substr(0, slash);
      field = slash == std::string_view::npos ? std::string_view{} : field.substr(slash + 1);
      if (name == "*") {
        at->everything = true;
        break;
      }
      if (name.ends_with("[]")) name.remove_suffix(2);
      auto& child = at->children[std::string(name)];
      if (!child) child = std::make_unique<Node>();
      at = child.get();
    }
  }
  return root;
}

bool means_nothing(const Json& value) {
  if (value.is_null() || (value.is_boolean() && !value.get<bool>())) return true;
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  if (value.is_array()) return value.empty();
  return false;
}

void walk(const Json& value, const Node& node, const std::string& path, Causes& out) {
  if (node.everything || node.children.empty()) return;
  if (value.is_array()) {
    for (std::size_t i = 0; i < value.size() && i < 1000; ++i) walk(value[i], node, fmt::format("{}[{}]", path, i), out);
    return;
  }
  if (!value.is_object()) return;
  for (auto it = value.begin(); it != value.end(); ++it) {
    auto known = node.children.find(it.key());
    auto field = path + "." + it.key();
    if (known != node.children.end()) {
      walk(it.value(), *known->second, field, out);
    } else if (!means_nothing(it.value())) {
      std::string names;
      for (const auto& [name, child] : node.children) names += (names.empty() ? "" : ", ") + name;
      out.push_back({field, "not supported by this version of Nodevirt; supported are: " + names, Cause::Type::NotSupported});
    }
  }
}

}  // namespace

void check_supported_instance_fields(const Json& spec, const std::string& path, Causes& out) {
  static const Node root = build(kInstanceFields);
  walk(spec, root, path, out);
}

void check_supported_vm_fields(const Json& spec, const std::string& path, Causes& out) {
  static const Node root = build(kVmFields);
  walk(spec, root, path, out);
}

}  // namespace nodevirt::virt_api
