"""Where and how a fault strikes: failpoints of a migration, armed while things run, and programs that are slow."""
import glob
import os
import signal
import threading
import time

from cluster import wait


class Slowed:
    """A program that gets to run 5 ms in 200 ms, until `enough`."""

    def __init__(self, pid, enough):
        self.pidfd, self.enough, self.done = os.pidfd_open(pid), enough, threading.Event()
        self.thread = threading.Thread(target=self._slow, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()
        os.close(self.pidfd)

    def _slow(self):
        try:
            while not self.done.is_set() and not self.enough():
                signal.pidfd_send_signal(self.pidfd, signal.SIGSTOP)
                until = time.monotonic() + 0.2
                while time.monotonic() < until and not self.enough() and not self.done.wait(0.005):
                    pass
                signal.pidfd_send_signal(self.pidfd, signal.SIGCONT)
                self.done.wait(0.005)
        except ProcessLookupError:   # it was killed
            pass


class Point:
    """A failpoint of a migration of `name`, armed while things run: with `kill` the program that comes by dies there; with
    `stop` it stands still there until go_on(). Launchers look into a folder of their own pod."""

    def __init__(self, case, point, action, name, source):
        self.case, self.point, self.action, self.name, self.source = case, point, action, name, source
        self.side = None if not point.startswith("launcher-") else "target" if "-target-" in point else "source"
        self.folders, self.files, self.done = [], [], threading.Event()

    def __enter__(self):
        if self.side is None:
            self._arm(self.case.points)
            return self
        node = self.source if self.side == "source" else self.case.other(self.source)
        pattern = f"{self.case.cluster.data}/nodes/{node}/pods/*/volumes/kubernetes.io~empty-dir/migration"
        if self.side == "source":
            uid = self.case.pod_on(self.name, node)
            self._arm_pod(pattern.replace("*", uid, 1))
        else:
            old = set(glob.glob(pattern))
            self.thread = threading.Thread(target=self._await_pod, args=(pattern, old), daemon=True)
            self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for file in self.files:
            file.close()
        for folder in self.folders:
            for suffix in ("", ".fired"):
                try:
                    os.unlink(f"{folder}/{self.point}{suffix}")
                except OSError:
                    pass

    def _await_pod(self, pattern, old):
        while not self.done.wait(0.005):
            for folder in set(glob.glob(pattern)) - old:
                return self._arm_pod(folder)

    def _arm_pod(self, folder):
        os.makedirs(f"{folder}/failpoints", exist_ok=True)
        os.chmod(f"{folder}/failpoints", 0o777)
        self._arm(f"{folder}/failpoints")

    def _arm(self, folder):
        with open(f"{folder}/.{self.point}", "w") as f:
            f.write(self.action)
        os.chmod(f"{folder}/.{self.point}", 0o666)
        self.files.append(open(f"{folder}/.{self.point}"))
        os.rename(f"{folder}/.{self.point}", f"{folder}/{self.point}")
        self.folders.append(folder)

    def fired(self):
        # The file's name now; a pod that was left is soon removed with all that is in it.
        return any(".fired" in os.readlink(f"/proc/self/fd/{f.fileno()}") for f in self.files)

    def go_on(self):
        """Lets whoever stands still go on."""
        for pid in self._standing():
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def _standing(self):
        out = []
        for pid in self._programs():
            try:
                with open(f"/proc/{pid}/stat") as f:
                    if f.read().rsplit(")", 1)[1].split()[0] == "T":
                        out.append(pid)
            except (OSError, IndexError):
                pass
        return out

    def _programs(self):
        case = self.case
        pids = [case.program_pid(p) for p in ("virt-controller", "apiserver", "virt-api")]
        pids += [case.program_pid(p, n) for p in ("virt-handler", "node") for n in ("node1", "node2")]
        pids += [case.pod_pid(f.split("/pods/")[1].split("/")[0], "virt-launcher") for f in self.folders if "/pods/" in f]
        return [p for p in pids if p]

    def reached(self, ended, timeout=60, late=0):
        """Waits until it fired, and whoever passed by stands still; False when the migration came to its `ended` without passing by,
        nor did within `late` seconds."""
        wait(f"{self.point} or the end", lambda: self.fired() or ended(), timeout)
        until = time.monotonic() + late
        if wait("it fired or is late", lambda: "fired" if self.fired() else time.monotonic() >= until and "late", late + 5) == "late":
            return False
        if self.action == "stop":
            wait(f"somebody stands still at {self.point}", self._standing, 10)
        return True
