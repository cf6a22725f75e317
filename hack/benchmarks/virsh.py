"""Plain `virsh` beside the cluster: a session libvirtd with the definitions of its instances."""
import glob, os, pwd, re, shutil, subprocess, tempfile, threading, time, uuid
import xml.etree.ElementTree as ET

import cluster as C


class Virsh:
    """A warm session libvirtd of its own, with the domain XML of an instance."""

    def __init__(self, xml, capabilities):
        self.dir = tempfile.mkdtemp(prefix="nvb-", dir="/tmp")
        self.env = dict(os.environ, HOME=self.dir, XDG_RUNTIME_DIR=self.dir + "/r", XDG_CONFIG_HOME=self.dir + "/c",
                        XDG_CACHE_HOME=self.dir + "/k")
        os.makedirs(self.dir + "/c/libvirt"); os.makedirs(self.dir + "/r")
        if capabilities and os.path.isdir(capabilities):
            shutil.copytree(capabilities, self.dir + "/k/libvirt/qemu/capabilities", dirs_exist_ok=True)
        with open(self.dir + "/c/libvirt/qemu.conf", "w") as f:
            f.write('stdio_handler = "file"\nsecurity_driver = "none"\n')
        self.xml = xml
        self.taps = []
        self.log = open(self.dir + "/libvirtd.log", "wb")
        # A session daemon, as in the pods: as root it would be the system's.
        C.run(["chown", "-R", "nodevirt-launcher:", self.dir])
        user = pwd.getpwnam("nodevirt-launcher")
        # It opens taps that are made for its user, through a device node that it may open, as in the pods.
        start = (f"mknod -m 666 {self.dir}/tun c 10 200 && mount --bind {self.dir}/tun /dev/net/tun && "
                 f"exec setpriv --reuid {user.pw_uid} --regid {user.pw_gid} --clear-groups libvirtd -t 0")
        self.daemon = subprocess.Popen(["unshare", "-m", "sh", "-c", start], env=self.env, stdout=self.log, stderr=self.log)
        self.uri = f"qemu+unix:///session?socket={self.dir}/r/libvirt/libvirt-sock"
        C.wait("libvirtd", lambda: C.run(["virsh", "-c", self.uri, "list"], env=self.env, check=False).returncode == 0)
        self.resumed = []
        self.events = subprocess.Popen(["virsh", "-c", self.uri, "event", "--all", "--loop", "--timestamp"], env=self.env,
                                       stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self):
        for line in self.events.stdout:
            if "Resumed" in line:
                self.resumed.append(time.time())

    def domain(self, i):
        """The XML with a name, a UUID and files of its own."""
        root = ET.fromstring(self.xml)
        root.find("name").text = f"bench-{i}"
        root.find("uuid").text = str(uuid.uuid4())
        for e in root.findall("sysinfo/system/entry"):
            if e.get("name") == "uuid":
                e.text = root.find("uuid").text
        devices = root.find("devices")
        for n, source in enumerate(e for e in devices.iter("source") if e.get("path") and e.get("mode") == "bind"):
            source.set("path", f"{self.dir}/{i}-chr{n}")
        for e in devices.findall("graphics"):
            e.attrib.pop("socket", None)
            for listen in e.findall("listen"):
                listen.set("socket", f"{self.dir}/{i}-vnc")
        for e in devices.iter("log"):
            e.set("file", f"{self.dir}/{i}.log")
        for n, e in enumerate(devices.findall("interface")):
            tap = f"nvb{os.getpid() % 10000}-{len(self.taps)}"
            C.run(["ip", "tuntap", "add", "dev", tap, "mode", "tap", "user", "nodevirt-launcher"])
            self.taps.append(tap)
            e.find("target").set("dev", tap)
        for e in root.findall("{http://libvirt.org/schemas/domain/qemu/1.0}commandline/{http://libvirt.org/schemas/domain/qemu/1.0}arg"):
            if "path=" in e.get("value"):      # our own monitor's socket
                e.set("value", re.sub(r"path=[^,]*", f"path={self.dir}/{i}-qmp", e.get("value")))
        for n, disk in enumerate(devices.findall("disk")):
            for e in disk.findall("backingStore"):
                disk.remove(e)
            target = f"{self.dir}/{i}-{n}"
            if not os.path.exists(target):
                C.run(["qemu-img", "create", "-q", "-f", disk.find("driver").get("type"), target, "64M"])
            disk.find("source").set("file", target)
        x = ET.tostring(root, encoding="unicode")
        path = f"{self.dir}/{i}.xml"
        with open(path, "w") as f:
            f.write(x)
        C.run(["chown", "-R", "nodevirt-launcher:", self.dir])
        return path, f"bench-{i}"

    def create(self, path):
        before, started = len(self.resumed), time.time()
        C.run(["virsh", "-q", "-c", self.uri, "create", path], env=self.env)
        C.wait("RESUME", lambda: len(self.resumed) > before)
        return self.resumed[before] - started

    def destroy(self, name):
        C.run(["virsh", "-q", "-c", self.uri, "destroy", name], env=self.env, check=False)

    def close(self):
        for p in (self.events, self.daemon):
            p.terminate(); p.wait(30)
        for tap in self.taps:
            C.run(["ip", "link", "del", tap], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


def domain_xml(c, name):
    """The XML that the instance's own libvirt runs."""
    pod = c.launcher_pod(name)["metadata"]["uid"]
    sockets = glob.glob(f"{c.data}/nodes/*/pods/{pod}/volumes/kubernetes.io~empty-dir/libvirt/**/libvirt-sock", recursive=True)
    link = tempfile.mkdtemp(prefix="nvs-", dir="/tmp")
    try:
        os.symlink(os.path.dirname(sockets[0]), link + "/d")     # the path itself is longer than a socket's may be
        uri = f"qemu+unix:///session?socket={link}/d/libvirt-sock"
        domain = C.run(["virsh", "-c", uri, "list", "--name"]).stdout.split()[0]
        return C.run(["virsh", "-c", uri, "dumpxml", "--inactive", domain]).stdout
    finally:
        shutil.rmtree(link)
