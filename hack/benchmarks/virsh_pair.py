"""Plain libvirt beside a cluster: a session libvirtd in the network namespace of each of its two nodes, and a guest that
goes from one to the other by `virsh migrate`, over the same link, with the definition of one of the cluster's instances.

The daemons of launcher pods cannot be taken for it: a guest that left its pod behind virt-handler's back would be
restarted, or ended. In its favour: its control connection is a local socket, nothing but QEMU stands between the ends of
the stream, and both daemons are warm. Its groups weigh as much as the instance's pods."""
import contextlib, os, pwd, re, shutil, signal, subprocess, tempfile, time, uuid
import xml.etree.ElementTree as ET

import cluster as C

USER = "nodevirt-launcher"
QEMU_ARG = "{http://libvirt.org/schemas/domain/qemu/1.0}commandline/{http://libvirt.org/schemas/domain/qemu/1.0}arg"
NAME = "bench-pair"


class Side:
    def __init__(self, base, node, netns, address, capabilities):
        self.node, self.netns, self.address = node, netns, address
        self.group = None
        self.dir = f"{base}/{node}"
        self.env = dict(os.environ, HOME=self.dir, XDG_RUNTIME_DIR=self.dir + "/r", XDG_CONFIG_HOME=self.dir + "/c",
                        XDG_CACHE_HOME=self.dir + "/k")
        os.makedirs(self.dir + "/c/libvirt"); os.makedirs(self.dir + "/r")
        if os.path.isdir(capabilities):
            shutil.copytree(capabilities, self.dir + "/k/libvirt/qemu/capabilities", dirs_exist_ok=True)
        with open(self.dir + "/c/libvirt/qemu.conf", "w") as f:
            f.write('stdio_handler = "file"\nsecurity_driver = "none"\n')
        with open(self.dir + "/c/libvirt/libvirtd.conf", "w") as f:
            f.write(f'host_uuid = "{uuid.uuid4()}"\n')
        C.run(["chown", "-R", USER + ":", self.dir])
        self.uri = f"qemu+unix:///session?socket={self.dir}/r/libvirt/libvirt-sock"
        self.log = open(self.dir + "/libvirtd.log", "wb")
        # Guests have the address that they have in pods, and one gateway with one MAC on either node.
        self.ip("ip", "tuntap", "add", "dev", "bench0", "mode", "tap", "user", USER)
        self.ip("ip", "link", "set", "bench0", "address", "02:00:00:00:00:01", "up")
        self.ip("ip", "addr", "add", "10.0.2.1/24", "dev", "bench0")
        self.ip("nft", "-f", "-", input="table ip bench {\n chain post {\n type nat hook postrouting priority srcnat;\n"
                                        "ip saddr 10.0.2.0/24 masquerade\n }\n}\n")
        user = pwd.getpwnam(USER)
        start = (f"mknod -m 666 {self.dir}/tun c 10 200 && mount --bind {self.dir}/tun /dev/net/tun && "
                 f"exec setpriv --reuid {user.pw_uid} --regid {user.pw_gid} --clear-groups libvirtd -t 0")
        self.daemon = subprocess.Popen(["ip", "netns", "exec", netns, "unshare", "-m", "sh", "-c", start], env=self.env,
                                       stdout=self.log, stderr=self.log)
        C.wait("libvirtd of " + node, lambda: self.virsh("list", check=False).returncode == 0)

    def ip(self, *argv, **kw):
        return C.run(["ip", "netns", "exec", self.netns, *argv], **kw)

    def virsh(self, *argv, **kw):
        return C.run(["virsh", "-q", "-c", self.uri, *argv], env=self.env, **kw)

    def close(self):
        self.virsh("destroy", NAME, check=False)
        self.daemon.terminate(); self.daemon.wait(30)
        C.run(["ip", "netns", "exec", self.netns, "nft", "delete", "table", "ip", "bench"], check=False)
        C.run(["ip", "netns", "exec", self.netns, "ip", "link", "del", "bench0"], check=False)
        self.log.close()
        if self.group:
            C.wait("the group is empty", lambda: not self._end_left(), 30)
            os.rmdir(self.group)

    def _end_left(self):
        """A guest that libvirt did not end, because it was being migrated, is in nobody's hands when its daemon is gone."""
        with open(self.group + "/cgroup.procs") as f:
            left = [int(pid) for pid in f]
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return left

    def weigh(self, qemu):
        """As much processor time as the pod of that QEMU, when others want some too."""
        groups = dict(line.strip().split(":", 2)[1:] for line in open(f"/proc/{qemu}/cgroup"))
        for controllers, path in groups.items():
            root = "/sys/fs/cgroup" + ("/cpu" if "cpu" in controllers.split(",") else "")
            file = "cpu.shares" if root.endswith("/cpu") else "cpu.weight"
            if "/nodevirt/" not in path or not os.path.exists(f"{root}{path}/{file}"):
                continue
            self.group = f"{root}{path.rsplit('/', 2)[0]}/{self.node}/bench"
            os.makedirs(self.group, exist_ok=True)
            for name, text in ((file, open(f"{root}{path}/{file}").read()), ("cgroup.procs", str(self.daemon.pid))):
                with open(f"{self.group}/{name}", "w") as f:
                    f.write(text)


class Pair:
    """`nodes`: {name: (netns, address)}, two of them; `xml`: an instance's inactive definition; `qemu`: its process, whose
    disks are copied."""

    def __init__(self, nodes, xml, qemu, capabilities):
        self.base = tempfile.mkdtemp(prefix="nvp-", dir="/tmp")
        os.chmod(self.base, 0o755)
        self.sides = []
        try:
            for node, (netns, address) in nodes.items():
                self.sides.append(Side(self.base, node, netns, address, capabilities))
                self.sides[-1].weigh(qemu)
            self.copied, self.seeds = {}, {}
            path = self._definition(xml, qemu)
            self.at = self.sides[0]
            self._fresh_disks(self.at)
            self.at.virsh("create", path)
        except BaseException:
            self.close()
            raise

    def _definition(self, xml, qemu):
        root = ET.fromstring(xml)
        root.find("name").text = NAME
        root.find("uuid").text = str(uuid.uuid4())
        for e in root.findall("sysinfo/system/entry"):
            if e.get("name") == "uuid":
                e.text = root.find("uuid").text
        side, devices = self.sides[0].dir, root.find("devices")
        for n, source in enumerate(e for e in devices.iter("source") if e.get("path") and e.get("mode") == "bind"):
            source.set("path", f"{side}/chr{n}")
        for e in devices.findall("graphics"):
            e.attrib.pop("socket", None)
            for listen in e.findall("listen"):
                listen.set("socket", f"{side}/vnc")
        for e in devices.iter("log"):
            e.set("file", f"{side}/console.log")
        for e in devices.findall("interface"):
            e.find("target").set("dev", "bench0")
        for e in root.findall(QEMU_ARG):
            if "path=" in e.get("value"):
                e.set("value", re.sub(r"path=[^,]*", f"path={side}/qmp", e.get("value")))
        for disk in devices.findall("disk"):
            name, source = disk.find("target").get("dev"), disk.find("source").get("file")
            inside = f"/proc/{qemu}/root{source}"
            backing = disk.find("backingStore/source")
            for e in disk.findall("backingStore"):
                disk.remove(e)
            if backing is not None:
                base = f"{self.base}/{name}.base"
                shutil.copyfile(f"/proc/{qemu}/root{backing.get('file')}", base)
                kind = C.run(["qemu-img", "info", "--output", "json", base]).stdout
                self.copied[name] = (base, re.search(r'"format": "(\w+)"', kind).group(1), self._size(inside))
            else:
                self.seeds[name] = f"{self.base}/{name}.seed"
                shutil.copyfile(inside, self.seeds[name])
            disk.find("source").set("file", f"{side}/{name}.img")
        path = f"{self.base}/domain.xml"
        with open(path, "w") as f:
            f.write(ET.tostring(root, encoding="unicode"))
        C.run(["chown", "-R", USER + ":", self.base])
        return path

    @staticmethod
    def _size(path):
        return int(re.search(r'"virtual-size": (\d+)', C.run(["qemu-img", "info", "-U", "--output", "json", path]).stdout).group(1))

    def _fresh_disks(self, side):
        for name, (base, kind, size) in self.copied.items():
            path = f"{side.dir}/{name}.img"
            if os.path.exists(path):
                os.remove(path)
            C.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", kind, path, str(size)])
            shutil.chown(path, USER)
        for name, seed in self.seeds.items():
            shutil.copyfile(seed, f"{side.dir}/{name}.img")
            shutil.chown(f"{side.dir}/{name}.img", USER)

    def other(self):
        return next(s for s in self.sides if s is not self.at)

    def prepare(self):
        """What is made before the job in a cluster, too. Returns the command that migrates the guest to the other side."""
        source, target = self.at, self.other()
        xml = source.virsh("dumpxml", "--migratable", NAME).stdout.replace(source.dir + "/", target.dir + "/")
        path = f"{self.base}/target.xml"
        with open(path, "w") as f:
            f.write(xml)
        self._fresh_disks(target)
        argv = ["virsh", "-q", "-c", source.uri, "migrate", NAME, "--live", "--p2p", "--unsafe", "--abort-on-error", "--xml", path,
                "--migrateuri", f"tcp://{target.address}", target.uri]
        if self.copied:
            argv[6:6] = ["--copy-storage-inc", "--migrate-disks", ",".join(self.copied)]
        return argv

    def migrate(self, *flags, timeout=None, look=None):
        """{"began", "ended", "ok", "error"}: the times of the command. Aborted when `timeout` seconds are up; `look(side)` is
        called every half second meanwhile."""
        source, argv = self.at, self.prepare()
        began = time.time()
        job = subprocess.Popen([*argv, *flags], env=source.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        aborted = False
        while True:
            try:
                said, _ = job.communicate(timeout=0.5)
                break
            except subprocess.TimeoutExpired:
                if look:
                    look(source)
                if timeout and time.time() - began > timeout and not aborted:
                    aborted = True
                    source.virsh("domjobabort", NAME, check=False)
        ended = time.time()
        if job.returncode == 0:
            self.at = self.other()
        elif not aborted:
            raise C.Failed(f"virsh migrate: {said}")
        return {"began": began, "ended": ended, "ok": job.returncode == 0, "error": said.strip()}

    def job(self, side):
        """domjobinfo as a dictionary of words."""
        out = {}
        for line in side.virsh("domjobinfo", NAME, check=False).stdout.splitlines():
            key, _, value = line.partition(":")
            out[key.strip()] = value.strip()
        return out

    def close(self):
        with contextlib.ExitStack() as both:      # the other one, too, when one of them fails
            both.callback(shutil.rmtree, self.base, ignore_errors=True)
            for side in self.sides:
                both.callback(side.close)
