"""What tests of live migration share: two nodes, machines that migrate, a guest that counts on its console."""
import glob
import os
import re
import threading

import cluster
from cluster import Console, vm, wait


class Moves(cluster.Case):
    nodes = 2

    def start(self, name, **kw):
        self.cluster.apply(vm(name, strategy="Always", **kw))
        self.cluster.wait_running(name)
        wait("it can be migrated", lambda: self.condition(name, "LiveMigratable") == "True")
        return self.cluster.get("vmi", name)

    def condition(self, name, kind):
        for c in self.cluster.get("vmi", name)["status"].get("conditions", []):
            if c["type"] == kind:
                return c["status"]

    def migrate(self, name, as_name):
        self.cluster.apply({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration",
                            "metadata": {"name": as_name}, "spec": {"vmiName": name}})

    def phase(self, migration):
        return self.cluster.get("vmim", migration).get("status", {}).get("phase", "")

    def ended(self, migration, timeout=180):
        return wait(f"migration {migration} ends", lambda: self.phase(migration) in ("Succeeded", "Failed") and self.phase(migration), timeout)

    def node(self, name):
        return self.cluster.get("vmi", name)["status"]["nodeName"]

    def other(self, node):
        return {"node1": "node2", "node2": "node1"}[node]

    def handler_pid(self, node):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline") as f:
                    argv = f.read().split("\0")
            except OSError:
                continue
            if "virt-handler" in argv[:2] and self.cluster.data in " ".join(argv) and argv[argv.index("--node-name") + 1] == node:
                return int(pid)

    def count(self, name):
        """A counter in the guest, on its console: each number once, in order, whatever happens to the guest."""
        with Console(self.cluster, name) as console:
            console.login()
            console.run("(n=0; while :; do n=$((n+1)); echo count-$n; sleep 0.2; done) & true")
            console.expect("count-3")

    def numbers(self, name, atleast):
        """The numbers that the console says from now on."""
        with Console(self.cluster, name) as console:
            text = ""

            def enough():
                nonlocal text
                console._read()
                text = console.seen
                return len(re.findall(r"count-(\d+)\r?\n", text)) >= atleast
            wait(f"{name} counts", enough, 60)
        return [int(n) for n in re.findall(r"count-(\d+)\r?\n", text)]

    def assert_counts_on(self, name, before):
        got = self.numbers(name, 5)
        # The first may have been cut by the connection.
        got = got[1:]
        self.assertEqual(got, list(range(got[0], got[0] + len(got))))
        self.assertGreater(got[0], before)
        return got[-1]

    def assert_once(self, name):
        uid = self.cluster.get("vmi", name)["metadata"]["uid"]
        wait("one QEMU", lambda: len(self.cluster.qemu_pids(uid)) == 1, 30)


class Recorder:
    """Reads the serial logs of every pod that a guest has or had, all the time; knows all numbers that it ever said."""

    def __init__(self, c, uid):
        self.pattern = f"{c.data}/nodes/*/pods/*/volumes/kubernetes.io~empty-dir/private/{uid}/virt-serial0-log"
        self.read, self.numbers, self.stop = {}, [], threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def _run(self):
        while not self.stop.wait(0.03):
            for path in glob.glob(self.pattern):
                try:
                    with open(path, "rb") as f:
                        f.seek(self.read.get(path, 0))
                        text = f.read().decode(errors="replace")
                except OSError:
                    continue
                whole = text[:text.rfind("\n") + 1]
                self.read[path] = self.read.get(path, 0) + len(whole.encode())
                self.numbers += [int(n) for n in re.findall(r"count-(\d+)\r?\n", whole)]

    def check(self, case):
        """Each number once and in order; one may be cut in two where the guest moved."""
        for before, after in zip(self.numbers, self.numbers[1:]):
            case.assertIn(after - before, (1, 2), f"{before} was followed by {after}: {self.numbers[-60:]}")
        case.assertGreater(len(self.numbers), 2)
