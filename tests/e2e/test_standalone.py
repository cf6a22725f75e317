"""`nodevirt` itself in odd states: one clear message each, nothing half-made, and mending the cause is enough."""
import glob
import ipaddress
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
import unittest

import cluster
from cluster import Cluster, Failed, free_port, program, run, vm, wait


def traces(data):
    """What an instance leaves in the kernel: its bridge, links and namespaces, by the hash of its folder."""
    h = 1469598103934665603
    for c in os.path.realpath(data).encode():
        h = ((h ^ c) * 1099511628211) & (2**64 - 1)
    name = f"{(h ^ (h >> 24) ^ (h >> 48)) & 0xffffff:06x}"
    namespaces = os.listdir("/run/netns") if os.path.isdir("/run/netns") else []
    return [n for n in os.listdir("/sys/class/net") + namespaces if name in n]


class Tmpfs:
    def __init__(self, size):
        self.path = tempfile.mkdtemp(prefix="nv-small-", dir="/var/tmp")
        run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", self.path])

    def close(self):
        run(["umount", "-l", self.path], check=False)
        shutil.rmtree(self.path, ignore_errors=True)


def fill(path):
    with open(path, "wb", buffering=0) as f:
        try:
            while f.write(b"x" * 4096) == 4096:
                pass
        except OSError:
            pass


class Up(unittest.TestCase):
    """`up` that cannot succeed."""

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        self.data = tempfile.mkdtemp(prefix="nv-odd-", dir="/var/tmp")
        os.chmod(self.data, 0o755)
        self.addCleanup(shutil.rmtree, self.data, True)
        self.env = dict(os.environ, NODEVIRT_SHARE_DIR=os.path.join(cluster.BUILD, "share"))

    def nodevirt(self, *args, data=None, prefix=(), **kw):
        kw.setdefault("check", False)
        return run([*prefix, program("nodevirt"), *args, "--data-dir", data or self.data], env=kw.pop("env", self.env), **kw)

    def up(self, **kw):
        """Fails, and says so soon: well before the time it may wait."""
        began = time.monotonic()
        done = self.nodevirt("up", "--detach", "--wait", "60", "--listen", f"127.0.0.1:{free_port()}", **kw)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertLess(time.monotonic() - began, 20)
        return done.stdout + done.stderr

    def assert_nothing_runs(self, data=None):
        self.assertEqual(traces(data or self.data), [])
        self.assertEqual(self.nodevirt("status", data=data).returncode, 3)

    def test_manifests_that_cannot_be_read(self):
        # Closed to the API server's user, on the way.
        closed = os.path.join(self.data, "closed")
        shutil.copytree(os.path.join(cluster.ROOT, "manifests"), f"{closed}/share/manifests")
        os.chmod(closed, 0o700)
        data = os.path.join(self.data, "state")
        env = dict(self.env, NODEVIRT_SHARE_DIR=f"{closed}/share")
        said = self.up(data=data, env=env)
        self.assertIn("cannot read the manifests", said)
        self.assertIn(f"chmod o+x {closed}", said)
        self.assertFalse(os.path.exists(data))
        # Readable, and nonsense.
        os.chmod(closed, 0o755)
        with open(f"{closed}/share/manifests/crds/00-broken.yaml", "w") as f:
            f.write("a: [1\n")
        said = self.up(data=data, env=env)
        self.assertIn("00-broken.yaml", said)
        self.assertIn("apiserver does not stay up", said)
        self.assert_nothing_runs(data)
        os.remove(f"{closed}/share/manifests/crds/00-broken.yaml")
        self.nodevirt("up", "--detach", "--listen", f"127.0.0.1:{free_port()}", data=data, env=env, check=True)
        self.nodevirt("down", data=data, check=True)
        self.nodevirt("reset", "--yes", data=data, check=True)

    def test_full_disk(self):
        for size in ("16k", "400k", "8m"):
            with self.subTest(size):
                small = Tmpfs(size)
                self.addCleanup(small.close)
                data = os.path.join(small.path, "state")
                said = self.up(data=data)
                self.assertRegex(said, r"(?i)no space left")
                self.assertEqual(traces(data), [])
                self.assertFalse(os.path.exists(data))
        with self.subTest("afterwards"):
            small = Tmpfs("40m")
            self.addCleanup(small.close)
            data = os.path.join(small.path, "state")
            self.nodevirt("up", "--detach", "--listen", f"127.0.0.1:{free_port()}", data=data, check=True)
            self.nodevirt("down", data=data, check=True)
            os.truncate(os.path.join(data, "apiserver/state.db"), 0)   # so that it has to be written
            fill(os.path.join(small.path, "filler"))
            self.assertRegex(self.up(data=data), "(?i)no space left")
            self.assert_nothing_runs(data)
            os.remove(os.path.join(small.path, "filler"))
            self.nodevirt("up", "--detach", data=data, check=True)
            self.nodevirt("down", data=data, check=True)
            self.nodevirt("reset", "--yes", data=data, check=True)

    def test_damaged_state(self):
        port = free_port()
        self.nodevirt("up", "--detach", "--listen", f"127.0.0.1:{port}", check=True)
        self.nodevirt("down", check=True)
        database = os.path.join(self.data, "apiserver/state.db")
        with open(database, "rb") as f:
            good = f.read()

        with self.subTest("a later version's"):
            connection = sqlite3.connect(database)
            connection.execute("PRAGMA user_version=99")
            connection.commit()
            connection.close()
            said = self.up()
            self.assertIn("later version of nodevirt", said)
            self.assert_nothing_runs()
        with self.subTest("no database at all"):
            for extra in glob.glob(database + "-*"):
                os.remove(extra)
            with open(database, "wb") as f:
                f.write(b"something else entirely " * 400)
            said = self.up()
            self.assertIn("not a database", said)
            self.assertIn("restore it from a copy", said)
            self.assert_nothing_runs()
        with self.subTest("restored"):
            with open(database, "wb") as f:
                f.write(good)
            self.nodevirt("up", "--detach", check=True)
            self.nodevirt("down", check=True)
        with self.subTest("instance.json"):
            with open(os.path.join(self.data, "instance.json"), "w") as f:
                f.write("{")
            for command in (("up", "--detach"), ("status",), ("down",)):
                done = self.nodevirt(*command)
                self.assertEqual(done.returncode, 1)
                self.assertIn("instance.json is damaged", done.stderr)
                self.assertEqual(len(done.stderr.strip().splitlines()), 1)
            self.nodevirt("reset", "--yes", check=True)
            self.assertFalse(os.path.exists(os.path.join(self.data, "instance.json")))

    def test_nothing_there(self):
        data = os.path.join(self.data, "none")
        for command, code, text in ((("status",), 3, "nothing was set up"), (("down",), 1, "nothing was set up"),
                                    (("reset", "--yes"), 0, "nothing was set up"), (("kubeconfig",), 1, "nothing was set up")):
            done = self.nodevirt(*command, data=data)
            self.assertEqual(done.returncode, code, command)
            self.assertIn(text, done.stdout + done.stderr)
        self.assertFalse(os.path.exists(data))
        with open(os.path.join(self.data, "mine"), "w") as f:
            f.write("precious")
        self.assertIn("is not empty and holds no state of nodevirt", self.up())
        self.assertEqual(os.listdir(self.data), ["mine"])
        path = os.path.join(self.data, "mine")
        self.assertIn("is no folder", self.up(data=path))

    def test_closed_folder_and_port(self):
        inner = os.path.join(self.data, "closed/state")
        os.makedirs(os.path.dirname(inner))
        os.chmod(os.path.dirname(inner), 0o700)
        said = self.up(data=inner)
        self.assertIn("cannot reach the data directory", said)
        self.assertFalse(os.path.exists(inner))
        os.rmdir(os.path.dirname(inner))
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            done = self.nodevirt("up", "--detach", "--listen", f"127.0.0.1:{s.getsockname()[1]}")
            self.assertIn(f"in use by python3 (pid {os.getpid()})", done.stderr)
        self.assertFalse(os.path.exists(self.data) and os.listdir(self.data))

    def test_missing_package(self):
        hide = ["unshare", "-m", "sh", "-c", 'mount --bind /dev/null "$(command -v bwrap)"; exec "$@"', "sh"]
        said = self.up(prefix=hide)
        self.assertIn("apt-get install bubblewrap", said)
        self.assertFalse(os.path.exists(self.data) and os.listdir(self.data))


class Running(cluster.Case):
    def test_half_dead(self):
        c = self.cluster
        c.apply(vm("survivor", running=True))
        c.wait_running("survivor")
        supervisor = supervisor_of(c)
        # The API server hangs: status says so and does not.
        apiserver = [p for p in children(supervisor) if "apiserver" in cmdline(p)]
        for p in apiserver:
            os.kill(p, signal.SIGSTOP)
        began = time.monotonic()
        said = c.nodevirt("status").stdout
        self.assertLess(time.monotonic() - began, 15)
        self.assertIn("the API server does not answer", said)
        for p in apiserver:
            os.kill(p, signal.SIGCONT)
        # Nothing but a guest.
        os.kill(supervisor, signal.SIGKILL)
        wait("the programs are gone", lambda: not any(os.path.exists(f"/proc/{p}") for p in apiserver))
        done = c.nodevirt("status", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("1 guest is left running", done.stdout)
        self.assertIn("still run", c.nodevirt("reset", "--yes", check=False).stderr)
        self.assertEqual(len(c.qemu_pids()), 1)
        c.up()
        self.assertEqual(c.phase("survivor"), "Running")

    def test_logs(self):
        c = self.cluster
        c.apply(vm("logged", running=True, grace=1))
        c.wait_running("logged")
        pod = c.launcher_pod("logged")["metadata"]["name"]
        lines = c.kubectl("logs", pod).splitlines()
        self.assertGreater(len(lines), 3)
        self.assertEqual(len(c.kubectl("logs", pod, "--tail=2").splitlines()), 2)
        self.assertEqual(c.kubectl("logs", pod, "--since=1h").splitlines()[:3], lines[:3])
        self.assertEqual(c.kubectl("logs", pod, "--since-time=2100-01-01T00:00:00Z"), "")
        self.assertRegex(c.kubectl("logs", pod, "--timestamps", "--tail=1"), r"^20\d\d-\d\d-\d\dT[0-9:.]+Z ")
        self.assertEqual(len(c.kubectl("logs", pod, "--limit-bytes=10")), 10)
        previous = run(["kubectl", "logs", pod, "--previous"], env=c.env, check=False)
        self.assertIn('previous terminated container "compute"', previous.stderr)
        follower = subprocess.Popen(["kubectl", "logs", "-f", pod], env=c.env, stdout=subprocess.PIPE, text=True)
        self.addCleanup(follower.kill)
        c.kubectl("delete", "vm", "logged", "--wait=false")
        out, _ = follower.communicate(timeout=60)      # ends with its container
        self.assertEqual(follower.returncode, 0)
        self.assertEqual(out.splitlines()[:3], lines[:3])
        self.assertGreater(len(out.splitlines()), len(lines))

    def test_quotas(self):
        c = self.cluster
        c.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"},
                 "spec": {"hard": {"requests.memory": "400Mi", "persistentvolumeclaims": "1", "count/virtualmachines.kubevirt.io": "2"}}})
        self.addCleanup(c.kubectl, "delete", "quota", "small")
        c.apply(vm("first", running=True))
        c.wait_running("first")
        big = vm("second", running=True, memory="512M")
        c.apply(big)
        wait("the machine says why", lambda: "exceeded quota: small" in c.kubectl("describe", "vmi", "second"))
        with self.assertRaises(Failed) as refused:
            c.apply(vm("third", running=False))
        self.assertIn("count/virtualmachines.kubevirt.io=2", str(refused.exception))
        c.kubectl("delete", "quota", "small")
        c.wait_running("second")      # nobody had to do anything more
        c.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": {"pods": "9"}}})

    def test_guests_without_a_state(self):
        """The database is lost while a guest runs: it can be switched off all the same, and the network goes."""
        other = Cluster()
        try:
            other.nodevirt("image", "import", f"nodevirt/demo:latest=oci-archive:{cluster.BUILD}/share/images/demo.oci.tar")
            other.apply(vm("orphan", running=True))
            other.wait_running("orphan")
            other.nodevirt("down", "--keep-guests")
            self.assertEqual(len(other.qemu_pids()), 1)
            database = os.path.join(other.data, "apiserver/state.db")
            for path in glob.glob(database + "*"):
                os.remove(path)
            with open(database, "wb") as f:
                f.write(b"nonsense" * 1000)
            done = other.nodevirt("down", check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("--force", done.stderr)
            self.assertEqual(len(other.qemu_pids()), 1)
            self.assertIn("1 guest switched off", other.nodevirt("down", "--force").stdout)
            self.assertEqual(other.qemu_pids(), [])
            self.assertEqual(traces(other.data), [])
        finally:
            other.close()


def supervisor_of(c):
    with open(os.path.join(c.data, "run/supervisor.pid")) as f:
        return int(f.read())


def cmdline(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        return f.read().decode(errors="replace").split("\0")


def children(pid):
    return [int(p) for p in run(["pgrep", "-P", str(pid)], check=False).stdout.split()]


class FullDisk(unittest.TestCase):
    """A data directory whose disk fills up under a running cluster and its guest."""

    def test_guest_and_api_server(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        small = Tmpfs("160m")
        self.addCleanup(small.close)
        c = Cluster(data=os.path.join(small.path, "state"))
        self.addCleanup(c.close)
        c.nodevirt("image", "import", f"nodevirt/demo:latest=oci-archive:{cluster.BUILD}/share/images/demo.oci.tar")
        machine = vm("filler", running=True)
        spec = machine["spec"]["template"]["spec"]
        spec["domain"]["devices"]["disks"].append({"name": "room", "disk": {"bus": "virtio"}})
        spec["volumes"].append({"name": "room", "emptyDisk": {"capacity": "200Mi"}})
        c.apply(machine)
        c.wait_running("filler")
        c.wait_console("filler", "login:", 300)
        with cluster.Console(c, "filler") as console:
            console.login("root")
            console.send("while cat /bin/busybox; do :; done >/dev/vdb; echo done-\"\"writing\n")   # until its end
            def paused():
                status = c.get("vmi", "filler")["status"]
                found = [x for x in status.get("conditions", []) if x["type"] == "Paused" and x["status"] == "True"]
                return found and found[0]
            # With no byte left: the API server's own log has room of its own.
            condition = wait("the guest is paused", paused, 120)
            self.assertEqual(condition["reason"], "PausedIOError")
            self.assertIn("space", condition["message"])
            # The API server says what is wrong, and serves what it has.
            filler = os.path.join(small.path, "filler")
            fill(filler)
            def refused():
                done = run(["kubectl", "create", "configmap", f"m{time.monotonic_ns()}", f"--from-literal=a={'x' * 100000}"], env=c.env, check=False)
                return done.returncode != 0 and "full" in done.stderr
            wait("a write is refused with the cause", refused, 120)
            self.assertEqual(c.get("vm", "filler")["metadata"]["name"], "filler")
            # Room again: everything goes on where it was.
            os.remove(filler)
            run(["mount", "-o", "remount,size=1g", small.path])
            wait("writes are accepted", lambda: c.kubectl("create", "configmap", f"m{time.monotonic_ns()}"), 30)
            c.virtctl("unpause", "vmi", "filler")
            console.expect("done-writing", 120)
            self.assertIn("42", console.run("echo $((6*7))"))


class Two(unittest.TestCase):
    """Two instances on one machine."""

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")

    def ranges(self, c):
        with open(f"{c.data}/instance.json") as f:
            instance = json.load(f)
        return [ipaddress.ip_network(instance[k]) for k in ("nodeCIDR", "podCIDR", "serviceCIDR")]

    def test_started_at_the_same_moment(self):
        clusters = []
        starts = [threading.Thread(target=lambda: clusters.append(Cluster())) for _ in range(2)]
        for start in starts:
            start.start()
        for start in starts:
            start.join()
        for c in clusters:
            self.addCleanup(c.close)
        self.assertEqual(len(clusters), 2)
        one, other = map(self.ranges, clusters)
        self.assertFalse([(a, b) for a in one for b in other if a.overlaps(b)])

    def test_its_ranges_were_taken_meanwhile(self):
        first = Cluster()
        self.addCleanup(first.close)
        first.nodevirt("down")
        other = Cluster()
        self.addCleanup(other.close)
        self.assertEqual(self.ranges(first), self.ranges(other))  # what the first left is free
        done = first.nodevirt("up", "--detach", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("is used by another instance that is up on this machine", done.stderr)
        other.nodevirt("down")
        first.up()


class NoKvm(unittest.TestCase):
    def test_guest_without_dev_kvm(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        # A /dev like the machine's, but for kvm.
        script = """set -e
            d=$(mktemp -d); mount -t tmpfs -o mode=0755 tmpfs $d
            for p in /dev/*; do n=${p##*/}; [ $n = kvm ] && continue
              if [ -L $p ]; then cp -d $p $d/; elif [ -d $p ]; then mkdir $d/$n; mount --rbind $p $d/$n
              else touch $d/$n; mount --bind $p $d/$n; fi; done
            mount --move $d /dev 2>/dev/null || mount --rbind $d /dev
            exec "$@" """
        keeper = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", "sleep", "infinity"])
        self.addCleanup(keeper.wait)
        self.addCleanup(keeper.kill)
        inside = ["nsenter", "-m", "-t", str(keeper.pid)]
        wait("/dev is made", lambda: run([*inside, "test", "!", "-e", "/dev/kvm"], check=False).returncode == 0, 20)
        c = Cluster(prefix=inside)
        self.addCleanup(c.close)
        self.assertIn("there is no /dev/kvm: guests are emulated", c.said)
        c.nodevirt("image", "import", f"nodevirt/demo:latest=oci-archive:{cluster.BUILD}/share/images/demo.oci.tar")
        c.apply(vm("slow", running=True))
        status = c.wait_running("slow")["status"]
        c.wait_console("slow", "login:", 300)
        self.assertTrue([x for x in status["conditions"] if x["type"] == "SoftwareEmulation" and x["status"] == "True"], status["conditions"])


if __name__ == "__main__":
    cluster.main()
