"""kill -9 of every program: guests run on, nothing is lost, nothing is doubled."""
import json
import os
import signal

import cluster
from cluster import Console, run, vm, wait


def processes(c, word):
    """Pids of this cluster's processes whose command line has `word`."""
    out = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                argv = f.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if word in argv and any(c.data in a for a in argv):
            out.append(int(pid))
    return out


class Crash(cluster.Case):
    def assert_same_guest(self, vmi, qemu):
        c = self.cluster
        now = wait("the instance runs", lambda: c.phase("survivor") == "Running" and c.get("vmi", "survivor"))
        self.assertEqual(now["metadata"]["uid"], vmi["metadata"]["uid"])
        self.assertEqual(c.qemu_pids(), qemu)

    def test_every_program_in_turn(self):
        c = self.cluster
        c.apply(vm("survivor", running=True))
        vmi = c.wait_running("survivor")
        c.wait_console("survivor", "login:")
        qemu = c.qemu_pids()
        self.assertEqual(len(qemu), 1)
        for word in ("apiserver", "virt-api", "virt-controller", "node", "virt-handler"):
            with self.subTest(program=word):
                old = processes(c, word)
                self.assertTrue(old, word)
                for pid in old:
                    os.kill(pid, signal.SIGKILL)
                wait(f"{word} is back", lambda: (new := processes(c, word)) and not set(new) & set(old))
                self.assert_same_guest(vmi, qemu)
        # What works: a console, and a stop.
        with Console(c, "survivor") as console:
            console.login()
            self.assertIn("42", console.run("echo $((6*7))"))

    def test_everything_at_once(self):
        c = self.cluster
        c.apply(vm("survivor", running=True))
        vmi = c.wait_running("survivor")
        qemu = c.qemu_pids()
        programs = [p for w in ("up", "apiserver", "virt-api", "virt-controller", "node", "virt-handler")
                    for p in processes(c, w)]
        for pid in programs:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.assertEqual(c.qemu_pids(), qemu)
        c.up()
        self.assert_same_guest(vmi, qemu)
        c.virtctl("stop", "survivor", "--force", "--grace-period", "0")
        c.wait_gone("vmi", "survivor")
        wait("QEMU is gone", lambda: not c.qemu_pids(), 10)

    def test_launcher_and_libvirtd(self):
        c = self.cluster
        c.apply(vm("survivor", running=True))
        vmi = c.wait_running("survivor")
        qemu = c.qemu_pids()
        namespace = os.readlink(f"/proc/{qemu[0]}/ns/pid")
        for name in ("virt-launcher", "libvirtd"):
            with self.subTest(program=name):
                killed = [p for p in map(int, filter(str.isdigit, os.listdir("/proc")))
                          if pid_is(p, name, namespace)]
                self.assertTrue(killed, name)
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)
                wait(f"{name} is back", lambda: [p for p in map(int, filter(str.isdigit, os.listdir("/proc")))
                                                if pid_is(p, name, namespace) and p not in killed])
                self.assert_same_guest(vmi, qemu)
        c.virtctl("pause", "survivor")
        wait("paused", lambda: c.get("vm", "survivor")["status"]["printableStatus"] == "Paused")


def pid_is(pid, name, namespace):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            argv0 = os.path.basename(f.read().split(b"\0")[0].decode(errors="replace"))
        return argv0 == name and os.readlink(f"/proc/{pid}/ns/pid") == namespace
    except OSError:
        return False


if __name__ == "__main__":
    cluster.main()
