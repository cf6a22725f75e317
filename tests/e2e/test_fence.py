"""A node that falls silent: the guest with a fence dies there at its deadline, and only then runs on another node; the
guest without one is left alone. The node's return doubles nothing."""
import os
import signal
import time

import cluster
from cluster import vm, wait
from test_crash import processes

SECONDS = 8


class Silence:
    """Programs, stopped: by default those of one node, a machine that hangs. A context manager, so that they go on whatever happens."""

    def __init__(self, c, node, words=("node", "virt-handler")):
        self.pids = [pid for word in words for pid in processes(c, word) if self.is_of(pid, node)]

    @staticmethod
    def is_of(pid, node):
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return not node or node in f.read().decode(errors="replace").replace("=", "\0").split("\0")

    def __enter__(self):
        for pid in self.pids:
            os.kill(pid, signal.SIGSTOP)
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        for pid in self.pids:
            os.kill(pid, signal.SIGCONT)
        self.pids = []


def pinned(name, fence=None):
    """Prefers node2; goes elsewhere when it must."""
    machine = vm(name, running=True)
    template = machine["spec"]["template"]
    term = {"weight": 100, "preference": {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node2"]}]}}
    template["spec"]["affinity"] = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}
    if fence:
        template["metadata"]["annotations"] = {"nodevirt.io/fence-seconds": str(fence)}
    return machine


class Fence(cluster.Case):
    nodes = 2

    def uuid_qemus(self, vmi):
        """Of this machine, whichever its instance: the firmware's UUID stays."""
        return self.cluster.qemu_pids(vmi["spec"]["domain"]["firmware"]["uuid"])

    def armed(self, name):
        pod = self.cluster.launcher_pod(name)["metadata"]["uid"]
        notes = self.cluster.get("lease", "virt-handler-node2", "-n", "kubevirt")["metadata"].get("annotations", {})
        return notes.get(f"fence.nodevirt.io/{pod}")

    def start(self):
        c = self.cluster
        c.apply(pinned("fenced", SECONDS))
        c.apply(pinned("plain"))
        fenced, plain = c.wait_running("fenced"), c.wait_running("plain")
        self.assertEqual((fenced["status"]["nodeName"], plain["status"]["nodeName"]), ("node2", "node2"))
        wait("its fence is armed", lambda: self.armed("fenced") == str(SECONDS), 30)
        self.assertEqual(len(self.uuid_qemus(fenced)), 1)
        self.assertEqual(len(self.uuid_qemus(plain)), 1)
        return fenced, plain

    def test_a_node_that_falls_silent(self):
        c = self.cluster
        fenced, plain = self.start()
        first, untouched = self.uuid_qemus(fenced), self.uuid_qemus(plain)
        with Silence(c, "node2") as silence:
            self.assertEqual(len(silence.pids), 2)
            began = time.monotonic()
            # At any time at most one QEMU of the machine, and the old one until its deadline.
            def old_one_ended():
                self.assertLessEqual(len(self.uuid_qemus(fenced)), 1)
                self.assertEqual(c.get("vmi", "fenced")["metadata"]["uid"], fenced["metadata"]["uid"])
                return self.uuid_qemus(fenced) != first
            wait("the monitor kills QEMU", old_one_ended, SECONDS + 10)
            killed = time.monotonic() - began
            self.assertGreater(killed, SECONDS / 3)            # not at once: it was renewed a moment ago
            self.assertEqual(c.phase("fenced"), "Running")     # nobody can know it yet

            def runs_elsewhere():
                self.assertLessEqual(len(self.uuid_qemus(fenced)), 1)
                v = c.get("vmi", "fenced")
                return v["metadata"]["uid"] != fenced["metadata"]["uid"] and v["status"].get("phase") == "Running" and v
            again = wait("it runs on the other node", runs_elsewhere, 90)
            self.assertGreaterEqual(time.monotonic() - began, killed + 5)
            self.assertEqual(again["status"]["nodeName"], "node1")
            self.assertIn("did not renew its fence in time", c.kubectl("get", "events"))
            c.wait_console("fenced", "login:")
            # The other one has no fence: nothing is known, nothing is done.
            self.assertEqual(c.get("vmi", "plain")["metadata"]["uid"], plain["metadata"]["uid"])
            self.assertEqual(self.uuid_qemus(plain), untouched)
            second = self.uuid_qemus(fenced)
            silence.end()
        # The node is back.
        old_pod = f"{c.data}/nodes/node2/pods"
        wait("what is left of the old pod is removed", lambda: len(os.listdir(old_pod)) == 1, 60)
        wait("the node takes guests again",
             lambda: c.get("node", "node2")["metadata"]["labels"]["kubevirt.io/schedulable"] == "true", 30)
        wait("its entry is gone", lambda: not [k for k in c.get("lease", "virt-handler-node2", "-n", "kubevirt")["metadata"]
                                               .get("annotations", {}) if k.startswith("fence.nodevirt.io/")], 30)
        self.assertEqual(self.uuid_qemus(fenced), second)
        self.assertEqual(c.get("vmi", "fenced")["metadata"]["uid"], again["metadata"]["uid"])
        self.assertEqual(len(c.get("pods")["items"]), 2)
        self.assertEqual(self.uuid_qemus(plain), untouched)
        self.assertEqual((c.phase("fenced"), c.phase("plain")), ("Running", "Running"))
        self.assertEqual(len(c.qemu_pids()), 2)

    def test_a_node_that_is_away_for_a_moment(self):
        c = self.cluster
        fenced, plain = self.start()
        qemus = sorted(c.qemu_pids())
        with Silence(c, "node2"):
            began = time.monotonic()
            wait("a moment", lambda: time.monotonic() - began > 2)
        before = c.get("lease", "virt-handler-node2", "-n", "kubevirt")["spec"]["renewTime"]
        wait("it is renewed", lambda: c.get("lease", "virt-handler-node2", "-n", "kubevirt")["spec"]["renewTime"] > before, 20)
        self.assertEqual(sorted(c.qemu_pids()), qemus)
        self.assertEqual(c.get("vmi", "fenced")["metadata"]["uid"], fenced["metadata"]["uid"])

    def test_an_api_server_that_hangs(self):
        """Nobody can renew: the guest ends, and is made again once somebody can be told of it."""
        c = self.cluster
        fenced, plain = self.start()
        first, untouched = self.uuid_qemus(fenced), self.uuid_qemus(plain)
        with Silence(c, "", ["apiserver"]) as silence:
            self.assertEqual(len(silence.pids), 1)
            wait("the monitor kills QEMU", lambda: not self.uuid_qemus(fenced), SECONDS + 15)
            self.assertEqual(self.uuid_qemus(plain), untouched)

        def runs_again():
            self.assertLessEqual(len(self.uuid_qemus(fenced)), 1)
            v = c.get("vmi", "fenced")
            return v["metadata"]["uid"] != fenced["metadata"]["uid"] and v["status"].get("phase") == "Running" and v
        wait("it runs again", runs_again, 90)
        self.assertNotEqual(self.uuid_qemus(fenced), first)
        self.assertEqual(self.uuid_qemus(plain), untouched)
        self.assertEqual(c.get("vmi", "plain")["metadata"]["uid"], plain["metadata"]["uid"])


if __name__ == "__main__":
    cluster.main()
