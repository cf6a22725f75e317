"""What an instance asks of its machine, as the guest itself sees it: a script in the seed reports to the console."""
import os
import re
import subprocess
import time

import cluster
from cluster import vm, wait

# pci CLASS: vendor:device of every PCI device of a class.
TOOLS = r"""#!/bin/sh
pci() { for d in /sys/bus/pci/devices/*; do case $(cat $d/class) in 0x$1*) echo $(cat $d/vendor $d/device);; esac; done; }
say() { echo "$1=$(echo $2)"; }
"""


def machine(name, script="", domain=None, devices=None, strategy="Manual", **kw):
    """A machine whose guest runs `script` and then says report-end; `domain` and `devices` are merged in."""
    out = vm(name, strategy=strategy, user_data=f"{TOOLS}{script}\necho report-end\n", **kw)
    spec = out["spec"]["template"]["spec"]
    for key, value in (devices or {}).items():
        spec["domain"]["devices"][key] = value
    spec["domain"].update(domain or {})
    return out


def add_disk(out, name, disk, volume):
    spec = out["spec"]["template"]["spec"]
    spec["domain"]["devices"]["disks"].append({"name": name, **disk})
    spec["volumes"].append({"name": name, **volume})
    return out


class Devices(cluster.Case):
    def start(self, manifest):
        self.cluster.apply(manifest)
        if manifest["spec"].get("runStrategy") == "Manual":
            self.cluster.virtctl("start", manifest["metadata"]["name"])
        return manifest["metadata"]["name"]

    def report(self, name, timeout=300):
        """The KEY=VALUE lines that the guest's script printed."""
        self.cluster.wait_running(name)
        self.cluster.wait_console(name, "report-end", timeout)
        text = self.cluster.console_log(name).replace("\r", "")
        return dict(re.findall(r"^(\w+)=(.*)$", text.partition("report-end")[0], re.M))

    def ask(self, *args, **kw):
        return self.report(self.start(machine(*args, **kw)))

    def status(self, name):
        return self.cluster.get("vm", name)["status"].get("printableStatus")

    def uid(self, name):
        return self.cluster.get("vmi", name)["metadata"]["uid"]

    def stop(self, *names):
        for name in names:
            self.cluster.virtctl("stop", name, "--force", "--grace-period", "0")

    def test_platform(self):
        uuid = "5d307ca9-b3ef-428c-8861-06e72d69f223"
        before = time.time()
        seen = self.ask("platform", r"""
say cpus "$(grep -c ^processor /proc/cpuinfo)"
say sockets "$(grep '^physical id' /proc/cpuinfo | sort -u | wc -l)"
say cores "$(sed -n 's/^cpu cores.*: //p' /proc/cpuinfo | head -n1)"
say siblings "$(sed -n 's/^siblings.*: //p' /proc/cpuinfo | head -n1)"
say model "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n1)"
say flags "$(sed -n 's/^flags.*: //p' /proc/cpuinfo | head -n1)"
say uuid "$(cat /sys/class/dmi/id/product_uuid)"
say serial "$(cat /sys/class/dmi/id/product_serial)"
say asset "$(cat /sys/class/dmi/id/chassis_asset_tag)"
say bios "$(cat /sys/class/dmi/id/bios_vendor)"
say memory "$(sed -n 's/^MemTotal: *\([0-9]*\) .*/\1/p' /proc/meminfo)"
say rtc "$(cat /sys/class/rtc/rtc0/since_epoch)"
say random "$(head -c 16 /dev/hwrng | wc -c)"
say generator "$(cat /sys/class/misc/hw_random/rng_current)"
say balloon "$(ls /sys/bus/virtio/drivers/virtio_balloon | grep -c ^virtio)"
""", memory="128Mi", devices={"rng": {}}, domain={
            "cpu": {"sockets": 2, "cores": 1, "threads": 2, "model": "Nehalem",
                    "features": [{"name": "sse4.2", "policy": "disable"}, {"name": "aes", "policy": "require"}]},
            "memory": {"guest": "96Mi"},
            "firmware": {"uuid": uuid, "serial": "SERIAL-7"}, "chassis": {"asset": "ASSET-9"},
            "clock": {"timezone": "Asia/Tokyo"}})
        self.assertEqual((seen["cpus"], seen["sockets"], seen["cores"], seen["siblings"]), ("4", "2", "1", "2"))
        self.assertIn("Nehalem", seen["model"])
        flags = seen["flags"].split()
        self.assertIn("aes", flags)
        self.assertIn("sse4_1", flags)
        self.assertNotIn("sse4_2", flags)
        self.assertEqual((seen["uuid"], seen["serial"], seen["asset"]), (uuid, "SERIAL-7", "ASSET-9"))
        self.assertEqual(seen["bios"], "SeaBIOS")
        self.assertTrue(64 * 1024 < int(seen["memory"]) <= 96 * 1024, seen["memory"])
        # The clock of the board shows Tokyo's time.
        ahead = int(seen["rtc"]) - before
        self.assertTrue(9 * 3600 - 60 < ahead < 9 * 3600 + 300, ahead)
        self.assertEqual((seen["random"], seen["balloon"]), ("16", "1"))
        self.assertIn("virtio_rng", seen["generator"])

    def test_left_out(self):
        before = time.time()
        seen = self.ask("bare", r"""
say rtc "$(cat /sys/class/rtc/rtc0/since_epoch)"
say balloon "$(ls /sys/bus/virtio/drivers/virtio_balloon | grep -c ^virtio)"
say video "$(pci 03)"
say hpet "$(grep -c hpet /sys/devices/system/clocksource/clocksource0/available_clocksource)"
""", devices={"autoattachMemBalloon": False, "autoattachGraphicsDevice": False},
                        domain={"clock": {"utc": {"offsetSeconds": -3600}, "timer": {"hpet": {"present": True}}}})
        behind = before - int(seen["rtc"])
        self.assertTrue(3600 - 300 < behind < 3600 + 60, behind)
        self.assertEqual((seen.get("balloon", "0"), seen["video"], seen["hpet"]), ("0", "", "1"))

    def test_buses_and_serials(self):
        out = machine("buses", r"""
for try in 1 2 3 4 5 6; do [ $(cat /sys/block/sd*/size | grep -c 16384) = 4 ] && break; sleep 1; done
say vd "$(cat /sys/block/vd*/serial)"
say scsi "$(cat /sys/block/sd*/device/vpd_pg80 2>/dev/null | tr -cd 'A-Za-z0-9\n')"
say usb "$(cat /sys/bus/usb/devices/*/serial | sort -u)"
say disks "$(cat /sys/block/sd*/size | grep -c 16384)"
say readonly "$(cat /sys/block/sd*/ro | grep -c 1)"
say cdroms "$(ls -d /sys/block/sr* | wc -l)"
say sectors "$(cat /sys/block/vdc/queue/logical_block_size /sys/block/vdc/queue/physical_block_size)"
""")
        empty = {"emptyDisk": {"capacity": "8Mi"}}
        add_disk(out, "on-virtio", {"disk": {"bus": "virtio"}, "serial": "SERvirtio", "cache": "writethrough",
                                    "errorPolicy": "report", "dedicatedIOThread": True,
                                    "blockSize": {"custom": {"logical": 4096, "physical": 4096}}}, empty)
        for bus in ("sata", "scsi", "usb"):
            add_disk(out, f"on-{bus}", {"disk": {"bus": bus}, "serial": f"SER{bus}"}, empty)
            add_disk(out, f"cd-{bus}", {"cdrom": {"bus": bus}}, {"cloudInitConfigDrive": {"userData": "#!/bin/sh\n"}}
                     if bus == "sata" else empty)
        seen = self.report(self.start(out))
        self.assertEqual(seen["vd"].split(), ["SERvirtio"])
        self.assertIn("SERsata", seen["scsi"])
        self.assertIn("SERscsi", seen["scsi"])
        self.assertIn("SERusb", seen["usb"])
        # libvirt 9 makes a read-only disk of a cdrom on usb.
        self.assertEqual((seen["disks"], seen["readonly"], seen["cdroms"], seen["sectors"]), ("4", "1", "2", "4096 4096"))

    def test_boots_from_every_bus(self):
        names = []
        for bus, order in (("usb", 1), ("usb", None), ("sata", 1), ("scsi", 1)):
            out = machine(f"boot-{bus}-{order or 'plain'}".lower(), 'say root "$(ls /sys/block | grep -c ^vd)"')
            disk = out["spec"]["template"]["spec"]["domain"]["devices"]["disks"][0]
            disk["disk"] = {"bus": bus}
            if order:
                disk["bootOrder"] = order
            names.append(self.start(out))
        for name in names:
            self.assertEqual(self.report(name)["root"], "1", name)  # the seed alone is on virtio

    def demo_disk(self, path, mark):
        """A raw copy of the demo guest's disk whose kernel is told `mark`."""
        source = subprocess.run(["find", os.path.join(self.cluster.data, "images"), "-name", "demo.qcow2"],
                                capture_output=True, text=True, check=True).stdout.split()[0]
        cluster.run(["qemu-img", "convert", "-O", "raw", source, path])
        env = dict(os.environ, MTOOLS_SKIP_CHECK="1")
        config = cluster.run(["mtype", "-i", f"{path}@@1M", "::syslinux.cfg"], env=env).stdout
        local = path + ".cfg"
        with open(local, "w") as f:
            f.write(config.replace("quiet", f"quiet {mark}"))
        cluster.run(["mcopy", "-o", "-i", f"{path}@@1M", local, "::syslinux.cfg"], env=env)

    def test_boot_order_and_host_disks(self):
        folder = os.path.join(self.cluster.data, "host-disks")
        os.mkdir(folder)
        os.chmod(folder, 0o777)
        path = os.path.join(folder, "second.img")
        self.demo_disk(path, "disk=second")
        os.chmod(path, 0o666)
        for name, order, booted in (("second-first", (2, 1), True), ("second-last", (1, 2), False)):
            out = machine(name, 'say line "$(cat /proc/cmdline)"\nsay sizes "$(cat /sys/block/vd*/size)"')
            add_disk(out, "second", {"disk": {"bus": "virtio"}}, {"hostDisk": {"path": path, "type": "Disk"}})
            add_disk(out, "made", {"disk": {"bus": "virtio"}}, {"hostDisk": {
                "path": os.path.join(folder, "made.img"), "type": "DiskOrCreate", "capacity": "16Mi"}})
            disks = out["spec"]["template"]["spec"]["domain"]["devices"]["disks"]
            disks[0]["bootOrder"], disks[2]["bootOrder"] = order
            seen = self.report(self.start(out))
            self.assertEqual("disk=second" in seen["line"], booted, order)
            self.assertIn(str(16 * 2048), seen["sizes"].split())
            self.assertEqual(os.stat(os.path.join(folder, "made.img")).st_size, 16 << 20)
            self.stop(name)
            self.cluster.wait_gone("vmi", name, 60)

    def test_missing_host_disk_is_told(self):
        out = machine("nowhere")
        add_disk(out, "gone", {"disk": {"bus": "virtio"}}, {"hostDisk": {"path": f"{self.cluster.data}/none/disk.img", "type": "Disk"}})
        self.start(out)
        wait("an event or a condition names the path", lambda: "none" in self.cluster.kubectl("describe", "vmi", "nowhere"))

    DOG = 'say boot "$(cat /proc/uptime)"\nwatchdog -T 4 -t 1 /dev/watchdog; sleep 2; killall -9 watchdog'

    def test_watchdog_resets(self):
        name = self.start(machine("dog-reset", self.DOG, devices={"watchdog": {"name": "dog", "i6300esb": {"action": "reset"}}}))
        self.cluster.wait_running(name)
        first = self.uid(name)
        wait("the guest boots again", lambda: self.cluster.console_log(name).count("report-end") >= 2, 300)
        self.assertEqual(self.uid(name), first)

    def test_watchdog_powers_off(self):
        # QEMU ends at once: to KubeVirt and to libvirt that is a crash.
        name = self.start(machine("dog-off", self.DOG, strategy="RerunOnFailure",
                                  devices={"watchdog": {"name": "dog", "i6300esb": {"action": "poweroff"}}}))
        self.cluster.wait_running(name)
        first = self.uid(name)
        wait("a new instance", lambda: self.uid(name) != first and self.cluster.phase(name) == "Running", 300)

    def test_watchdog_shuts_down(self):
        name = self.start(machine("dog-down", self.DOG, devices={"watchdog": {"name": "dog", "i6300esb": {"action": "shutdown"}}}))
        wait("Succeeded", lambda: self.cluster.phase(name) == "Succeeded", 300)

    def test_reboot_policies(self):
        script = "[ -e /dev/vdc ] && grep -q twice /dev/vdc && say second boot || { echo twice >/dev/vdc; sync; reboot; }"
        names = []
        for policy in ("Reboot", "Terminate"):
            out = machine(f"again-{policy.lower()}", script, domain={"rebootPolicy": policy})
            names.append(self.start(add_disk(out, "mark", {"disk": {"bus": "virtio"}}, {"emptyDisk": {"capacity": "1Mi"}})))
        wait("the second boot", lambda: "second=" in self.cluster.console_log(names[0]), 300)
        wait("the end", lambda: self.cluster.phase(names[1]) == "Succeeded", 300)

    def test_mac_and_address_are_stable(self):
        script = 'say mac "$(cat /sys/class/net/eth0/address)"\nsay ip "$(ip -4 -o addr show dev eth0 | sed -n \'s/.*inet \\([0-9.]*\\).*/\\1/p\')"'
        name = self.start(machine("stable", script))
        first = self.report(name)
        self.assertEqual(self.cluster.get("vmi", name)["status"]["interfaces"][0]["mac"], first["mac"])
        before = self.uid(name)
        self.cluster.virtctl("restart", name, "--force", "--grace-period", "0")
        wait("a new instance", lambda: self.uid(name) != before and self.cluster.phase(name) == "Running")
        self.assertEqual(self.report(name), first)
        self.stop(name)
        chosen = machine("chosen", script)
        chosen["spec"]["template"]["spec"]["networks"] = [{"name": "default", "pod": {}}]
        chosen["spec"]["template"]["spec"]["domain"]["devices"]["interfaces"] = [
            {"name": "default", "masquerade": {}, "macAddress": "02:11:22:33:44:55"}]
        self.assertEqual(self.report(self.start(chosen))["mac"], "02:11:22:33:44:55")

    def test_interface_models(self):
        drivers = {"virtio": "virtio_net", "e1000": "e1000", "e1000e": "e1000e", "rtl8139": "8139cp", "ne2k_pci": "ne2k-pci",
                   "pcnet": "pcnet32"}
        names = {}
        for model, driver in drivers.items():
            out = machine("nic-" + model.replace("_", "-"), r"""
say driver "$(basename $(readlink /sys/class/net/eth0/device/driver))"
say ip "$(ip -4 -o addr show dev eth0 | sed -n 's/.*inet \([0-9.]*\).*/\1/p')"
""")
            out["spec"]["template"]["spec"]["networks"] = [{"name": "default", "pod": {}}]
            out["spec"]["template"]["spec"]["domain"]["devices"]["interfaces"] = [{"name": "default", "masquerade": {}, "model": model}]
            names[self.start(out)] = driver
        for name, driver in names.items():
            seen = self.report(name)
            self.assertEqual(seen["driver"], driver)
            self.assertTrue(seen["ip"].startswith("10.0.2."), seen)

    def test_dhcp_options(self):
        out = machine("told", r"""
cat >/run/tell <<'EOF'
#!/bin/sh
[ $1 = bound ] && set >/run/told
EOF
chmod 755 /run/tell
udhcpc -q -n -i eth0 -O tftp -O bootfile -O ntpsrv -O 240 -s /run/tell
say tftp "$(sed -n "s/^tftp='\(.*\)'/\1/p" /run/told)"
say bootfile "$(sed -n "s/^bootfile='\(.*\)'/\1/p" /run/told)"
say ntp "$(sed -n "s/^ntpsrv='\(.*\)'/\1/p" /run/told)"
say private "$(sed -n "s/^opt240='\(.*\)'/\1/p" /run/told)"
""")
        spec = out["spec"]["template"]["spec"]
        spec["networks"] = [{"name": "default", "pod": {}}]
        spec["domain"]["devices"]["interfaces"] = [{"name": "default", "masquerade": {}, "dhcpOptions": {
            "tftpServerName": "boot.example", "bootFileName": "pxe.0", "ntpServers": ["10.1.2.3", "10.1.2.4"],
            "privateOptions": [{"option": 240, "value": "hi"}]}}]
        seen = self.report(self.start(out))
        self.assertEqual((seen["tftp"], seen["bootfile"], seen["ntp"], seen["private"]),
                         ("boot.example", "pxe.0", "10.1.2.3 10.1.2.4", "6869"))

    def test_where_and_how_virtio_devices_appear(self):
        old = machine("old-virtio", 'say ids "$(for d in /sys/bus/pci/devices/*; do [ $(cat $d/vendor) = 0x1af4 ] && cat $d/device; done)"',
                      devices={"useVirtioTransitional": True, "rng": {}})
        placed = machine("placed", 'say at "$(readlink /sys/block/vda)"')
        disks = placed["spec"]["template"]["spec"]["domain"]["devices"]["disks"]
        disks[0]["disk"]["pciAddress"] = "0000:00:1b.0"
        self.start(old)
        self.start(placed)
        ids = [int(i, 16) for i in self.report("old-virtio")["ids"].split()]
        for wanted in (0x1000, 0x1001, 0x1002, 0x1003, 0x1005):  # net, block, balloon, console, rng
            self.assertIn(wanted, ids)
        self.assertFalse([i for i in ids if i >= 0x1040], ids)
        self.assertIn("0000:00:1b.0/virtio", self.report("placed")["at"])

    def test_sound_and_video(self):
        wanted = {"vga": "0x1234 0x1111", "bochs": "0x1234 0x1111", "virtio": "0x1af4 0x1050", "cirrus": "0x1013 0x00b8"}
        sounds = {"vga": ("ich9", "0x8086 0x293e"), "cirrus": ("ac97", "0x8086 0x2415")}
        names = {}
        for video in wanted:
            devices = {"video": {"type": video}}
            if video in sounds:
                devices["sound"] = {"name": "ears", "model": sounds[video][0]}
            names[self.start(machine("see-" + video, 'say video "$(pci 03)"\nsay sound "$(pci 04)"', devices=devices))] = video
        for name, video in names.items():
            seen = self.report(name)
            self.assertEqual(seen["video"], wanted[video])
            self.assertEqual(seen["sound"], sounds.get(video, ("", ""))[1])

    def test_inputs(self):
        seen = self.ask("typed", 'say inputs "$(cat /sys/bus/usb/devices/*/product | sort -u)"\nsay virtio "$(pci 09)"', devices={
            "inputs": [{"name": "pen", "type": "tablet", "bus": "usb"}, {"name": "keys", "type": "keyboard", "bus": "virtio"}]})
        self.assertIn("QEMU USB Tablet", seen["inputs"])
        self.assertIn("0x1af4 0x1052", seen["virtio"])

    def test_efi(self):
        seen = self.ask("efi", 'say bios "$(cat /sys/class/dmi/id/bios_vendor)"\nsay efi "$(dmesg | grep -c \'efi: EFI\')"', memory="256Mi",
                        domain={"firmware": {"bootloader": {"efi": {"secureBoot": False}}}})
        self.assertNotIn("SeaBIOS", seen["bios"])
        self.assertEqual(seen["efi"], "1")


if __name__ == "__main__":
    cluster.main()
