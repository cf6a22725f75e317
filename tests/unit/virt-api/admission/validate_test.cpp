// Every rule of admission: which field is named, and that the message says what is wrong.
#include <catch2/catch.hpp>

#include "pkg/k8s/json_patch.hpp"
#include "virt-api/admission/defaults.hpp"
#include "virt-api/admission/validate.hpp"
#include "virt-api/admission/webhooks.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_api;

namespace {

Json good_vm() {
  return Json::parse(R"({
    "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": "vm1", "namespace": "default"},
    "spec": {"runStrategy": "Halted", "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
      "domain": {
        "resources": {"requests": {"memory": "64M", "cpu": "500m"}},
        "devices": {
          "disks": [{"name": "root", "disk": {"bus": "virtio"}}, {"name": "seed", "cdrom": {"bus": "sata"}}],
          "interfaces": [{"name": "default", "masquerade": {}, "ports": [{"name": "ssh", "port": 22}]}],
          "rng": {}
        }
      },
      "networks": [{"name": "default", "pod": {}}],
      "volumes": [{"name": "root", "containerDisk": {"image": "demo"}},
                  {"name": "seed", "cloudInitNoCloud": {"userData": "#!/bin/sh"}}]
    }}}})");
}

Json patched(Json object, const std::string& patch) {
  auto out = k8s::apply_json_patch(std::move(object), Json::parse(patch));
  REQUIRE(out.ok());
  return *out;
}

std::string text(const Causes& causes) {
  std::string out;
  for (const auto& c : causes) out += c.field + ": " + c.message + "\n";
  return out;
}

#define T "/spec/template/spec/"

struct Case {
  std::string name, patch, field, message;
};

}  // namespace

TEST_CASE("a sound VM is let in", "[virt-api]") {
  auto causes = validate_vm(good_vm());
  INFO(text(causes));
  CHECK(causes.empty());
}

TEST_CASE("each fault of a VM names its field and its remedy", "[virt-api]") {
  const std::string t = "spec.template.spec.";
  std::vector<Case> cases = {
      {"name too long", R"([{"op":"replace","path":"/metadata/name","value":")" + std::string(64, 'a') + R"("}])", "metadata.name", "63"},
      {"name with a dot", R"([{"op":"replace","path":"/metadata/name","value":"a.b"}])", "metadata.name", "63"},
      {"both", R"([{"op":"add","path":"/spec/running","value":true}])", "spec.running", "mutually exclusive"},
      {"neither", R"([{"op":"remove","path":"/spec/runStrategy"}])", "spec.runStrategy", "RunStrategy must be specified"},
      {"unknown strategy", R"([{"op":"replace","path":"/spec/runStrategy","value":"Sometimes"}])", "spec.runStrategy", "Sometimes"},
      {"unknown strategy for volumes", R"([{"op":"add","path":"/spec/updateVolumesStrategy","value":"Magic"}])", "spec.updateVolumesStrategy", "Migration"},
      {"no template", R"([{"op":"remove","path":"/spec/template"}])", "spec.template", "missing"},
      {"instancetype", R"([{"op":"add","path":"/spec/instancetype","value":{"name":"u1.small"}}])", "spec.instancetype", "not supported by this version"},
      {"dataVolumeTemplates", R"([{"op":"add","path":"/spec/dataVolumeTemplates","value":[{"spec":{}}]}])", "spec.dataVolumeTemplates", "not supported"},
      {"two disks of one name", R"([{"op":"replace","path":")" T R"(domain/devices/disks/1/name","value":"root"}])", t + "domain.devices.disks[1].name", "already"},
      {"a disk without volume", R"([{"op":"replace","path":")" T R"(domain/devices/disks/1/name","value":"other"}])", t + "domain.devices.disks[1].name", "no volume is called \"other\""},
      {"unknown bus", R"([{"op":"replace","path":")" T R"(domain/devices/disks/0/disk/bus","value":"ide"}])", t + "domain.devices.disks[0].disk.bus", "virtio, sata, scsi, usb"},
      {"cdrom on virtio", R"([{"op":"replace","path":")" T R"(domain/devices/disks/1/cdrom/bus","value":"virtio"}])", t + "domain.devices.disks[1].cdrom.bus", "sata"},
      {"lun", R"([{"op":"replace","path":")" T R"(domain/devices/disks/0","value":{"name":"root","lun":{}}}])", "", ""},
      {"unknown cache", R"([{"op":"add","path":")" T R"(domain/devices/disks/0/cache","value":"fast"}])", t + "domain.devices.disks[0].cache", "writeback"},
      {"serial with a space", R"([{"op":"add","path":")" T R"(domain/devices/disks/0/serial","value":"a b"}])", t + "domain.devices.disks[0].serial", "letters"},
      {"boot order 0", R"([{"op":"add","path":")" T R"(domain/devices/disks/0/bootOrder","value":0}])", t + "domain.devices.disks[0].bootOrder", "1 or more"},
      {"one boot order twice", R"([{"op":"add","path":")" T R"(domain/devices/disks/0/bootOrder","value":1},{"op":"add","path":")" T R"(domain/devices/interfaces/0/bootOrder","value":1}])", t + "domain.devices.interfaces[0].bootOrder", "already"},
      {"two volumes of one name", R"([{"op":"add","path":")" T R"(volumes/-","value":{"name":"root","emptyDisk":{"capacity":"1Gi"}}}])", t + "volumes[2].name", "already"},
      {"several sources", R"([{"op":"add","path":")" T R"(volumes/0/emptyDisk","value":{"capacity":"1Gi"}}])", t + "volumes[0]", "exactly one"},
      {"no source", R"([{"op":"remove","path":")" T R"(volumes/0/containerDisk"}])", t + "volumes[0]", "no source"},
      {"dataVolume", R"([{"op":"replace","path":")" T R"(volumes/0","value":{"name":"root","dataVolume":{"name":"x"}}}])", t + "volumes[0].dataVolume", "not supported"},
      {"no image", R"([{"op":"replace","path":")" T R"(volumes/0/containerDisk/image","value":""}])", t + "volumes[0].containerDisk.image", "missing"},
      {"pull policy", R"([{"op":"add","path":")" T R"(volumes/0/containerDisk/imagePullPolicy","value":"Maybe"}])", t + "volumes[0].containerDisk.imagePullPolicy", "IfNotPresent"},
      {"a path that leaves the image", R"([{"op":"add","path":")" T R"(volumes/0/containerDisk/path","value":"/disk/../../etc"}])", t + "volumes[0].containerDisk.path", "without .."},
      {"large user data", R"([{"op":"replace","path":")" T R"(volumes/1/cloudInitNoCloud/userData","value":")" + std::string(2049, 'x') + R"("}])", t + "volumes[1].cloudInitNoCloud.userData", "2049"},
      {"bad base64", R"([{"op":"replace","path":")" T R"(volumes/1/cloudInitNoCloud","value":{"userDataBase64":"###"}}])", t + "volumes[1].cloudInitNoCloud.userDataBase64", "base64"},
      {"user data twice", R"([{"op":"add","path":")" T R"(volumes/1/cloudInitNoCloud/userDataBase64","value":"aGk="}])", t + "volumes[1].cloudInitNoCloud", "keep one"},
      {"empty cloud-init", R"([{"op":"replace","path":")" T R"(volumes/1/cloudInitNoCloud","value":{}}])", t + "volumes[1].cloudInitNoCloud", "empty"},
      {"host disk without type", R"([{"op":"replace","path":")" T R"(volumes/0","value":{"name":"root","hostDisk":{"path":"/a/b"}}}])", t + "volumes[0].hostDisk.type", "DiskOrCreate"},
      {"host disk to create without size", R"([{"op":"replace","path":")" T R"(volumes/0","value":{"name":"root","hostDisk":{"path":"/a/b","type":"DiskOrCreate"}}}])", t + "volumes[0].hostDisk.capacity", "large"},
      {"relative host disk", R"([{"op":"replace","path":")" T R"(volumes/0","value":{"name":"root","hostDisk":{"path":"a","type":"Disk"}}}])", t + "volumes[0].hostDisk.path", "absolute"},
      {"claim without name", R"([{"op":"replace","path":")" T R"(volumes/0","value":{"name":"root","persistentVolumeClaim":{"claimName":""}}}])", t + "volumes[0].persistentVolumeClaim.claimName", "name"},
      {"empty disk of 0", R"([{"op":"replace","path":")" T R"(volumes/0","value":{"name":"root","emptyDisk":{"capacity":"0"}}}])", t + "volumes[0].emptyDisk.capacity", "512"},
      {"two interfaces of one name", R"([{"op":"add","path":")" T R"(domain/devices/interfaces/-","value":{"name":"default","masquerade":{}}}])", t + "domain.devices.interfaces[1].name", "already"},
      {"interface without network", R"([{"op":"replace","path":")" T R"(domain/devices/interfaces/0/name","value":"red"}])", t + "domain.devices.interfaces[0].name", "no network is called \"red\""},
      {"network without interface", R"([{"op":"add","path":")" T R"(networks/-","value":{"name":"red","pod":{}}}])", t + "networks[1].name", "no interface uses"},
      {"bridge", R"([{"op":"replace","path":")" T R"(domain/devices/interfaces/0","value":{"name":"default","bridge":{}}}])", t + "domain.devices.interfaces[0].bridge", "not supported"},
      {"multus", R"([{"op":"replace","path":")" T R"(networks/0","value":{"name":"default","multus":{"networkName":"x"}}}])", t + "networks[0].multus", "not supported"},
      {"masquerade elsewhere", R"([{"op":"replace","path":")" T R"(networks/0","value":{"name":"default","multus":{"networkName":"x"}}}])", t + "domain.devices.interfaces[0].masquerade", "pod network only"},
      {"unknown model", R"([{"op":"add","path":")" T R"(domain/devices/interfaces/0/model","value":"ne2000"}])", t + "domain.devices.interfaces[0].model", "rtl8139"},
      {"bad MAC", R"([{"op":"add","path":")" T R"(domain/devices/interfaces/0/macAddress","value":"02:00"}])", t + "domain.devices.interfaces[0].macAddress", "six bytes"},
      {"multicast MAC", R"([{"op":"add","path":")" T R"(domain/devices/interfaces/0/macAddress","value":"01:00:00:00:00:01"}])", t + "domain.devices.interfaces[0].macAddress", "even"},
      {"port 0", R"([{"op":"replace","path":")" T R"(domain/devices/interfaces/0/ports/0/port","value":0}])", t + "domain.devices.interfaces[0].ports[0].port", "65535"},
      {"no memory", R"([{"op":"remove","path":")" T R"(domain/resources"}])", t + "domain.resources.requests.memory", "no memory is asked for"},
      {"too little memory", R"([{"op":"replace","path":")" T R"(domain/resources/requests/memory","value":"64"}])", t + "domain.resources.requests.memory", "at least 1M"},
      {"not a quantity", R"([{"op":"replace","path":")" T R"(domain/resources/requests/memory","value":"64 MB"}])", t + "domain.resources.requests.memory", ""},
      {"requests above limits", R"([{"op":"add","path":")" T R"(domain/resources/limits","value":{"memory":"32M"}}])", t + "domain.resources.requests.memory", "limits.memory"},
      {"negative cpu", R"([{"op":"replace","path":")" T R"(domain/resources/requests/cpu","value":"-1"}])", t + "domain.resources.requests.cpu", "negative"},
      {"cpu request above limit", R"([{"op":"add","path":")" T R"(domain/resources/limits","value":{"cpu":"100m"}}])", t + "domain.resources.requests.cpu", "limits.cpu"},
      {"too many processors", R"([{"op":"add","path":")" T R"(domain/cpu","value":{"cores":100,"sockets":100}}])", t + "domain.cpu", "10000"},
      {"cores of a wrong type", R"([{"op":"add","path":")" T R"(domain/cpu","value":{"cores":"two"}}])", t + "domain.cpu.cores", ""},
      {"feature policy", R"([{"op":"add","path":")" T R"(domain/cpu","value":{"features":[{"name":"vmx","policy":"maybe"}]}}])", t + "domain.cpu.features[0].policy", "require"},
      {"pinning", R"([{"op":"add","path":")" T R"(domain/cpu","value":{"dedicatedCpuPlacement":true}}])", t + "domain.cpu.dedicatedCpuPlacement", "not supported"},
      {"machine", R"([{"op":"add","path":")" T R"(domain/machine","value":{"type":"pc-i440fx-7.2"}}])", t + "domain.machine.type", "q35"},
      {"architecture", R"([{"op":"add","path":")" T R"(architecture","value":"arm64"}])", t + "architecture", "amd64"},
      {"firmware uuid", R"([{"op":"add","path":")" T R"(domain/firmware","value":{"uuid":"1"}}])", t + "domain.firmware.uuid", "UUID"},
      {"EFI", R"([{"op":"add","path":")" T R"(domain/firmware","value":{"bootloader":{"efi":{}}}}])", t + "domain.firmware.bootloader.efi.secureBoot", "set it to false"},
      {"EFI that keeps its variables", R"([{"op":"add","path":")" T R"(domain/firmware","value":{"bootloader":{"efi":{"secureBoot":false,"persistent":true}}}}])", t + "domain.firmware.bootloader.efi.persistent", "not supported"},
      {"two bootloaders", R"([{"op":"add","path":")" T R"(domain/firmware","value":{"bootloader":{"bios":{},"efi":{"secureBoot":false}}}}])", t + "domain.firmware.bootloader", "keep one"},
      {"pci address", R"([{"op":"add","path":")" T R"(domain/devices/disks/0/disk/pciAddress","value":"1:2.3"}])", t + "domain.devices.disks[0].disk.pciAddress", "0000:01:02.3"},
      {"pci address on sata", R"([{"op":"replace","path":")" T R"(domain/devices/disks/0/disk","value":{"bus":"sata","pciAddress":"0000:01:02.3"}}])", t + "domain.devices.disks[0].disk.pciAddress", "virtio bus"},
      {"one pci address twice", R"([{"op":"add","path":")" T R"(domain/devices/disks/0/disk/pciAddress","value":"0000:01:02.3"},{"op":"add","path":")" T R"(domain/devices/interfaces/0/pciAddress","value":"0000:01:02.3"}])", t + "domain.devices.interfaces[0].pciAddress", "already"},
      {"dhcp: ntp", R"([{"op":"add","path":")" T R"(domain/devices/interfaces/0/dhcpOptions","value":{"ntpServers":["pool.ntp.org"]}}])", t + "domain.devices.interfaces[0].dhcpOptions.ntpServers", "IPv4"},
      {"dhcp: private option", R"([{"op":"add","path":")" T R"(domain/devices/interfaces/0/dhcpOptions","value":{"privateOptions":[{"option":12,"value":"x"}]}}])", t + "domain.devices.interfaces[0].dhcpOptions.privateOptions[0].option", "224"},
      {"dhcp: private option twice", R"([{"op":"add","path":")" T R"(domain/devices/interfaces/0/dhcpOptions","value":{"privateOptions":[{"option":224,"value":"x"},{"option":224,"value":"y"}]}}])", t + "domain.devices.interfaces[0].dhcpOptions.privateOptions[1].option", "twice"},
      {"panic model", R"([{"op":"add","path":")" T R"(domain/devices/panicDevices","value":[{"model":"hyperv"}]}])", t + "domain.devices.panicDevices[0].model", "isa and pvpanic"},
      {"panic device twice", R"([{"op":"add","path":")" T R"(domain/devices/panicDevices","value":[{},{"model":"isa"}]}])", t + "domain.devices.panicDevices[1].model", "already"},
      {"sound without name", R"([{"op":"add","path":")" T R"(domain/devices/sound","value":{"model":"ich9"}}])", t + "domain.devices.sound.name", "needs a name"},
      {"sound model", R"([{"op":"add","path":")" T R"(domain/devices/sound","value":{"name":"s","model":"sb16"}}])", t + "domain.devices.sound.model", "ich9 or ac97"},
      {"video type", R"([{"op":"add","path":")" T R"(domain/devices/video","value":{"type":"qxl"}}])", t + "domain.devices.video.type", "cirrus"},
      {"video without graphics", R"([{"op":"add","path":")" T R"(domain/devices/video","value":{"type":"vga"}},{"op":"add","path":")" T R"(domain/devices/autoattachGraphicsDevice","value":false}])", t + "domain.devices.video.type", "no graphics"},
      {"reboot policy", R"([{"op":"add","path":")" T R"(domain/rebootPolicy","value":"Never"}])", t + "domain.rebootPolicy", "Terminate"},
      {"flush details", R"([{"op":"add","path":")" T R"(domain/features","value":{"hyperv":{"tlbflush":{"direct":{}}}}}])", t + "domain.features.hyperv.tlbflush.direct", "not supported"},
      {"two clocks", R"([{"op":"add","path":")" T R"(domain/clock","value":{"utc":{"offsetSeconds":1},"timezone":"Europe/Berlin"}}])", t + "domain.clock", "keep one"},
      {"tick policy", R"([{"op":"add","path":")" T R"(domain/clock","value":{"timer":{"rtc":{"tickPolicy":"x"}}}}])", t + "domain.clock.timer.rtc.tickPolicy", "catchup"},
      {"hostname", R"([{"op":"add","path":")" T R"(hostname","value":"Up"}])", t + "hostname", "lower-case"},
      {"subdomain", R"([{"op":"add","path":")" T R"(subdomain","value":"a..b"}])", t + "subdomain", "DNS"},
      {"eviction strategy", R"([{"op":"add","path":")" T R"(evictionStrategy","value":"Run"}])", t + "evictionStrategy", "unrecognized option: Run"},
      {"start strategy", R"([{"op":"add","path":")" T R"(startStrategy","value":"Fast"}])", t + "startStrategy", "Paused"},
      {"grace period", R"([{"op":"add","path":")" T R"(terminationGracePeriodSeconds","value":-1}])", t + "terminationGracePeriodSeconds", "0"},
      {"dns policy", R"([{"op":"add","path":")" T R"(dnsPolicy","value":"Some"}])", t + "dnsPolicy", "None"},
      {"dns None without servers", R"([{"op":"add","path":")" T R"(dnsPolicy","value":"None"}])", t + "dnsConfig.nameservers", "at least one"},
      {"probe without kind", R"([{"op":"add","path":")" T R"(readinessProbe","value":{"periodSeconds":5}}])", t + "readinessProbe", "tcpSocket"},
      {"probe port", R"([{"op":"add","path":")" T R"(readinessProbe","value":{"tcpSocket":{"port":70000}}}])", t + "readinessProbe.tcpSocket.port", "65535"},
      {"exec probe", R"([{"op":"add","path":")" T R"(readinessProbe","value":{"exec":{"command":["x"]}}}])", t + "readinessProbe.exec", "not supported"},
      {"access credentials", R"([{"op":"add","path":")" T R"(accessCredentials","value":[{"sshPublicKey":{}}]}])", t + "accessCredentials", "not supported"},
      {"host devices", R"([{"op":"add","path":")" T R"(domain/devices/hostDevices","value":[{"name":"a","deviceName":"b"}]}])", t + "domain.devices.hostDevices", "supported are:"},
      {"hugepages", R"([{"op":"add","path":")" T R"(domain/memory","value":{"hugepages":{"pageSize":"2Mi"}}}])", t + "domain.memory.hugepages", "not supported"},
      {"watchdog without model", R"([{"op":"add","path":")" T R"(domain/devices/watchdog","value":{"name":"w"}}])", t + "domain.devices.watchdog", "i6300esb"},
      {"io threads", R"([{"op":"add","path":")" T R"(domain/ioThreadsPolicy","value":"supplementalPool"}])", t + "domain.ioThreadsPolicy", "shared or auto"},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      auto causes = validate_vm(patched(good_vm(), c.patch));
      INFO(text(causes));
      REQUIRE_FALSE(causes.empty());
      if (c.field.empty()) continue;
      bool found = std::any_of(causes.begin(), causes.end(), [&](const Cause& cause) {
        return cause.field == c.field && cause.message.find(c.message) != std::string::npos;
      });
      CHECK(found);
    }
  }
}

TEST_CASE("what works is let in", "[virt-api]") {
  for (const char* patch : {
           R"({"domain/firmware": {"bootloader": {"efi": {"secureBoot": false}}}})",
           R"({"domain/devices/panicDevices": [{"model": "isa"}, {"model": "pvpanic"}]})",
           R"({"domain/devices/sound": {"name": "ears", "model": "ac97"}, "domain/devices/video": {"type": "virtio"}})",
           R"({"domain/devices/useVirtioTransitional": true, "domain/rebootPolicy": "Terminate"})",
           R"({"domain/devices/disks/0/disk/pciAddress": "0000:00:1b.0", "domain/devices/interfaces/0/pciAddress": "0000:81:01.7",
               "domain/devices/interfaces/0/acpiIndex": 7, "domain/devices/interfaces/0/model": "pcnet"})",
           R"({"domain/devices/interfaces/0/dhcpOptions": {"bootFileName": "b", "tftpServerName": "t", "ntpServers": ["10.0.0.1"],
               "privateOptions": [{"option": 240, "value": "x"}]}})",
           R"({"domain/features": {"hypervPassthrough": {}, "hyperv": {"spinlocks": {"spinlocks": 8191}, "synictimer": {"direct": {}}}}})",
       }) {
    DYNAMIC_SECTION(patch) {
      auto vm = good_vm();
      Json wanted = Json::parse(patch);
      for (auto& [path, value] : wanted.items()) vm[Json::json_pointer("/spec/template/spec/" + path)] = value;
      auto causes = validate_vm(vm);
      INFO(text(causes));
      CHECK(causes.empty());
    }
  }
}

TEST_CASE("what means nothing is not refused", "[virt-api]") {
  for (const char* patch : {
           R"([{"op":"add","path":"/spec/template/spec/domain/devices/autoattachVSOCK","value":false}])",
           R"([{"op":"add","path":"/spec/template/spec/accessCredentials","value":[]}])",
           R"([{"op":"add","path":"/spec/template/spec/domain/machine","value":{"type":""}}])",
           R"([{"op":"add","path":"/spec/template/metadata/creationTimestamp","value":null}])",
           R"([{"op":"add","path":"/spec/template/spec/domain/cpu","value":{"dedicatedCpuPlacement":false,"cores":2}}])",
       }) {
    DYNAMIC_SECTION(patch) {
      auto causes = validate_vm(patched(good_vm(), patch));
      INFO(text(causes));
      CHECK(causes.empty());
    }
  }
}

TEST_CASE("an update of an instance's spec is for our own programs", "[virt-api]") {
  AdmissionRequest r;
  r.operation = "UPDATE";
  r.old_object = Json::parse(R"({"metadata":{"labels":{"kubevirt.io/nodeName":"n1"}},"spec":{"a":1}})");
  r.object = r.old_object;
  r.user = "admin";
  CHECK(admit_vmi_update(r).allowed);
  r.object["metadata"]["labels"]["mine"] = "x";
  CHECK(admit_vmi_update(r).allowed);
  r.object["spec"]["a"] = 2;
  auto refused = admit_vmi_update(r);
  CHECK_FALSE(refused.allowed);
  CHECK(refused.code == 422);
  CHECK(refused.message.find("update of VMI object is restricted") != std::string::npos);
  r.user = "virt-api";
  CHECK(admit_vmi_update(r).allowed);
  r.user = "admin";
  r.object = r.old_object;
  r.object["metadata"]["labels"]["kubevirt.io/nodeName"] = "n2";
  CHECK_FALSE(admit_vmi_update(r).allowed);
}

TEST_CASE("a VM that is being deleted, or keeps its spec, is not held up", "[virt-api]") {
  AdmissionRequest r;
  r.operation = "UPDATE";
  r.old_object = good_vm();
  r.old_object["spec"]["runStrategy"] = "Broken";
  r.object = r.old_object;
  CHECK(admit_vm(r).allowed);
  r.object["spec"]["runStrategy"] = "AlsoBroken";
  CHECK_FALSE(admit_vm(r).allowed);
  r.object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  CHECK(admit_vm(r).allowed);
}

TEST_CASE("defaults: what is left open is filled in, what is there stays", "[virt-api]") {
  auto vm = with_vm_defaults(good_vm());
  auto uuid = string_at(vm, {"spec", "template", "spec", "domain", "firmware", "uuid"});
  CHECK(uuid.size() == 36);
  CHECK(string_at(with_vm_defaults(vm), {"spec", "template", "spec", "domain", "firmware", "uuid"}) == uuid);
  CHECK(string_at(vm, {"spec", "template", "spec", "domain", "machine", "type"}) == "q35");
  CHECK(validate_vm(vm).empty());

  Json vmi = {{"metadata", {{"name", "a"}}}, {"spec", {{"domain", {{"devices", Json::object()}, {"resources", {{"limits", {{"cpu", "3"}, {"memory", "64M"}}}}}}}}}};
  auto full = with_vmi_defaults(vmi);
  CHECK(full["spec"]["networks"] == Json::parse(R"([{"name":"default","pod":{}}])"));
  CHECK(full["spec"]["domain"]["devices"]["interfaces"] == Json::parse(R"([{"name":"default","masquerade":{}}])"));
  CHECK(full["spec"]["domain"]["cpu"] == Json::parse(R"({"cores":1,"sockets":3,"threads":1})"));
  CHECK(full["metadata"]["finalizers"].size() == 1);
  CHECK(with_vmi_defaults(full) == full);
  CHECK(validate_vmi(full).empty());

  // A volume without a disk gets one; a template keeps what was written.
  vmi["spec"]["volumes"] = Json::parse(R"([{"name":"a","emptyDisk":{"capacity":"1Mi"}},{"name":"b","emptyDisk":{"capacity":"1Mi"}}])");
  vmi["spec"]["domain"]["devices"]["disks"] = Json::parse(R"([{"name":"b","disk":{"bus":"virtio"}}])");
  CHECK(validate_vmi(vmi).empty());
  auto disks = with_vmi_defaults(vmi)["spec"]["domain"]["devices"]["disks"];
  CHECK(disks == Json::parse(R"([{"name":"b","disk":{"bus":"virtio"}},{"name":"a","disk":{}}])"));
  vm["spec"]["template"]["spec"]["volumes"].push_back({{"name", "alone"}, {"emptyDisk", {{"capacity", "1Mi"}}}});
  CHECK(with_vm_defaults(vm) == vm);
  CHECK(validate_vm(vm).empty());

  vmi["spec"]["domain"]["devices"]["autoattachPodInterface"] = false;
  CHECK_FALSE(with_vmi_defaults(vmi)["spec"].contains("networks"));
}

TEST_CASE("defaults never throw on objects of a wrong shape", "[virt-api]") {
  for (const char* text : {"{}", R"({"spec":null})", R"({"spec":[]})", R"({"spec":{"template":3}})", R"({"spec":{"domain":"x"},"metadata":[]})",
                           R"({"spec":{"domain":{"devices":{"disks":3}},"volumes":[{"name":"a"},5]}})", R"({"spec":{"domain":{"devices":5,"cpu":[],"machine":1,"firmware":"f"}},"metadata":{"finalizers":"x"}})",
                           R"({"spec":{"template":{"spec":{"domain":{"machine":[]}}}}})"}) {
    DYNAMIC_SECTION(text) {
      auto object = Json::parse(text);
      with_vm_defaults(object);
      with_vmi_defaults(object);
      validate_vm(object);
      validate_vmi(object);
    }
  }
}

TEST_CASE("an AdmissionReview is read and answered", "[virt-api]") {
  auto review = decode_review(R"({"request":{"uid":"u1","operation":"CREATE","resource":{"group":"kubevirt.io","version":"v1","resource":"virtualmachines"},
    "namespace":"default","name":"a","userInfo":{"username":"bob"},"object":{"spec":{}}}})");
  REQUIRE(review.ok());
  CHECK(review->user == "bob");
  auto answer = encode_review(*review, admit_vm(*review));
  CHECK(answer["response"]["uid"] == "u1");
  CHECK(answer["response"]["allowed"] == false);
  CHECK(answer["response"]["status"]["code"] == 422);
  CHECK(answer["response"]["status"]["details"]["causes"].size() >= 2);
  auto mutated = encode_review(*review, [] {
    auto a = allow();
    a.patch = Json::array({{{"op", "add"}, {"path", "/x"}, {"value", 1}}});
    return a;
  }());
  CHECK(mutated["response"]["patchType"] == "JSONPatch");
  CHECK(mutated["response"]["patch"] == "W3sib3AiOiJhZGQiLCJwYXRoIjoiL3giLCJ2YWx1ZSI6MX1d");
  CHECK_FALSE(decode_review("{}").ok());
  CHECK_FALSE(decode_review("nonsense").ok());
}

TEST_CASE("no webhook throws on a review without the objects it is about", "[virt-api]") {
  const std::vector<Json> shapes = {Json(), "x", Json::array(), Json::object(), {{"spec", 1}}, {{"spec", Json::object()}, {"metadata", "x"}}};
  for (std::string operation : {"CREATE", "UPDATE"})
    for (const auto& object : shapes)
      for (const auto& old : shapes)
        DYNAMIC_SECTION(operation << " " << object.dump() << " after " << old.dump()) {
          AdmissionRequest r;
          r.operation = operation;
          r.object = object;
          r.old_object = old;
          for (const auto& hook : webhooks()) {
            INFO(hook.path);
            if (hook.decide) CHECK_NOTHROW(hook.decide(r));
          }
        }
}
