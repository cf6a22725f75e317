"""What tests of live migration share: two nodes, a guest that ticks and is judged all the time (ticks.py), the programs
on either side, faults at named places, and what must hold after each of them."""
import contextlib
import glob
import json
import os
import shutil
import signal
import tempfile
import time

import cluster
import ticks
from cluster import run, wait
from kernel_fault import kernel_fault
from points import Point, Slowed


class Moves(cluster.Case):
    nodes = 2

    @classmethod
    def setUpClass(cls):
        # Failpoints are armed by files in here while the programs run (pkg/base/failpoint.hpp).
        cls.points = tempfile.mkdtemp(prefix="nv-points-", dir="/var/tmp")
        os.chmod(cls.points, 0o777)
        cls.up_env = {"NODEVIRT_FAILPOINTS_DIR": cls.points}
        super().setUpClass()
        try:
            ticks.import_image(cls.cluster)
        except BaseException:
            cls.cluster.close()
            raise

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.points, ignore_errors=True)

    def tearDown(self):
        super().tearDown()
        run(["kubectl", "delete", "migrationpolicies", "--all"], env=self.cluster.env, check=False)

    # --- objects ---

    def ticking(self, name, labels=None, user_labels=None, **kw):
        """A running guest that ticks, and the recorder that judges it until the test is over."""
        recorder = ticks.Recorder(self.cluster, **{k: kw.pop(k) for k in ("pause_us", "pages", "step") if k in kw})
        self.addCleanup(recorder.close)
        machine = recorder.machine(name, **kw)
        machine["spec"]["template"]["metadata"]["labels"].update(labels or {})
        self.cluster.apply(machine)
        self.cluster.wait_running(name)
        wait("it can be migrated", lambda: self.condition(name, "LiveMigratable") == "True")
        recorder.goes_on(timeout=240)  # on a busy machine too
        return recorder

    def condition(self, name, kind):
        for c in self.cluster.get("vmi", name)["status"].get("conditions", []):
            if c["type"] == kind:
                return c["status"]

    def slow(self, name, bandwidth="1Mi", **spec):
        """A policy for guests with the label pace=NAME."""
        self.cluster.apply({"apiVersion": "migrations.kubevirt.io/v1alpha1", "kind": "MigrationPolicy", "metadata": {"name": name},
                            "spec": {"bandwidthPerMigration": bandwidth, **spec,
                                     "selectors": {"virtualMachineInstanceSelector": {"pace": name}}}})

    def migrate(self, name, as_name):
        self.cluster.apply({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration",
                            "metadata": {"name": as_name}, "spec": {"vmiName": name}})

    def phase(self, migration):
        return self.cluster.get("vmim", migration).get("status", {}).get("phase", "")

    def ended(self, migration, timeout=180):
        return wait(f"migration {migration} ends", lambda: self.phase(migration) in ("Succeeded", "Failed") and self.phase(migration), timeout)

    def state(self, name):
        return self.cluster.get("vmi", name)["status"].get("migrationState", {})

    def node(self, name):
        return self.cluster.get("vmi", name)["status"]["nodeName"]

    def other(self, node):
        return {"node1": "node2", "node2": "node1"}[node]

    # --- programs ---

    def program_pid(self, program, node=None):
        """`nodevirt PROGRAM` of this cluster: virt-handler and node by their node."""
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(path) as f:
                    argv = f.read().split("\0")
            except OSError:
                continue
            if program in argv[1:2] and self.cluster.data in " ".join(argv) and (not node or argv[argv.index("--node-name") + 1] == node):
                return int(path.split("/")[2])

    def pod_pid(self, pod_uid, comm):
        """virt-launcher, libvirtd or qemu-system of a pod."""
        for path in glob.glob("/proc/[0-9]*/comm"):
            try:
                with open(path) as f:
                    name = f.read().strip()
                if name != comm[:15] and not (comm == "qemu-system" and name.startswith(comm)):
                    continue
                with open(path.replace("comm", "mountinfo")) as f:
                    if f"/pods/{pod_uid}/" in f.read():
                        return int(path.split("/")[2])
            except OSError:
                continue

    def pod_on(self, name, node):
        """The uid of the newest launcher pod of an instance on a node."""
        pods = [p for p in self.cluster.get("pods", "-l", f"vm.kubevirt.io/name={name}")["items"] if p["spec"].get("nodeName") == node
                and p["status"].get("phase") == "Running" and "deletionTimestamp" not in p["metadata"]]
        return max(pods, key=lambda p: p["metadata"]["creationTimestamp"])["metadata"]["uid"]

    def log_of(self, name, node):
        """What an instance's launcher on that node has told."""
        with open(f"{self.cluster.data}/nodes/{node}/pods/{self.pod_on(name, node)}/containers/compute/log", errors="replace") as log:
            return log.read()

    def victim(self, who, name, source):
        """The pid of "virt-handler/source", "libvirtd/target", "virt-controller" ...; None: it is not there."""
        what, _, side = who.partition("/")
        node = source if side == "source" else self.other(source)
        if what in ("virt-handler", "node"):
            return self.program_pid(what, node)
        if not side:
            return self.program_pid(what)
        try:
            return self.pod_pid(self.pod_on(name, node), what)
        except (ValueError, cluster.Failed):
            return None

    def kill(self, who, name, source):
        pid = self.victim(who, name, source)
        if pid:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pid = None
        return pid

    def has_all(self, name, node):
        """All of a guest is in the pod on that node."""
        try:
            return "the guest: Suspended Paused" in self.log_of(name, node)
        except (ValueError, OSError):   # there is no such pod any more
            return False

    # --- faults at named places ---

    def cut(self, node, on=True):
        self.cutting(node)(on)

    def cutting(self, node):
        """What cuts a node from the other one at once, silently, and puts the link back; both still reach the API server."""
        address = {n["metadata"]["name"]: a["address"] for n in self.cluster.get("nodes")["items"] for a in n["status"]["addresses"]
                   if a["type"] == "InternalIP"}[self.other(node)]
        pid = wait("the handler", lambda: self.program_pid("virt-handler", node))
        none = "table ip nvtestcut {}\ndelete table ip nvtestcut\n"
        all_of_it = ("table ip nvtestcut {\n"
                     f" chain i {{ type filter hook input priority -300; ip saddr {address} drop; }}\n"
                     f" chain o {{ type filter hook output priority -300; ip daddr {address} drop; }}\n}}\n")
        return lambda on: run(["nsenter", "-t", str(pid), "-n", "nft", "-f", "-"], input=none + (all_of_it if on else ""))

    def settled(self, name, migration, source, recorder, timeout=240):
        """After whatever happened: the guest runs once, where the status says; the next migration works."""
        phase = self.ended(migration, timeout)
        vmi = self.cluster.get("vmi", name)
        state, uid = vmi["status"]["migrationState"], vmi["metadata"]["uid"]
        self.assertEqual(phase, "Succeeded" if state.get("completed") else "Failed", state)
        self.assertNotEqual(bool(state.get("completed")), bool(state.get("failed")), state)
        if state.get("failed"):
            self.assertTrue(state.get("failureReason"), state)
        self.assertEqual(vmi["status"]["phase"], "Running")
        self.assertEqual(vmi["status"]["nodeName"], self.other(source) if state.get("completed") else source)
        self.runs_here(name, recorder)
        wait("one QEMU", lambda: len(self.cluster.qemu_pids(uid)) == 1, 60)
        return phase, state

    def runs_here(self, name, recorder):
        """The guest ticks, from the address that its status shows."""
        recorder.goes_on()
        address = wait("an address", lambda: self.cluster.get("vmi", name)["status"]["interfaces"][0]["ipAddress"])
        wait(f"the ticks come from {address}", lambda: recorder.side() == address, 20)
        recorder.check(self)

    def lost_inside(self, name, recorder, error):
        """QEMU before 9.0 loses pages of emulated guests by itself (docs/migration.md), and sooner or later one of many guests: what its
        words or its kernel say of that after an `error`, or nothing."""
        if recorder.failures or "the guest ticks" not in str(error):
            return "words of its memory" if recorder.memory_lost() else None
        return kernel_fault(self.cluster, name)

    def loses(self, name, migration, point, who, recorder, cancel=False, late=0, outrun=False):
        """A migration that loses `who` when `point` is passed, and all that must hold after it. `who`: a program (victim()),
        itself:PROGRAM (whoever passes by), link (cut until the migration has ended) or link-back (for 3 s). `cancel`: the
        migration is slow, and called off when it runs. `late`: the point may be passed so many seconds after the end. `outrun`: the
        source's libvirtd is slow, as on a busy machine, until the point is passed. Returns a line about it."""
        source, began = self.node(name), time.time()
        ended = lambda: self.phase(migration) in ("Succeeded", "Failed")
        if cancel:
            self.slow(name)
        with contextlib.ExitStack() as faults:
            at = faults.enter_context(Point(self, point, "kill" if who.startswith("itself") else "stop", name, source))
            if outrun:
                faults.enter_context(Slowed(wait("libvirtd", lambda: self.victim("libvirtd/source", name, source)), at.fired))
            wait("asked for", lambda: self.migrate(name, migration) or True, 30)
            if cancel:
                wait("it runs", lambda: at.fired() or ended() or self.phase(migration) == "Running", 120)
                # Not deleted: it shall tell how it ended.
                wait("called off", lambda: self.call_off(name, migration), 30)
            reached = at.reached(ended, 120, late)
            lost = reached
            try:
                if reached and who.startswith("link"):
                    self.cut(source)
                    self.cut(self.other(source))
                elif reached and not who.startswith("itself"):
                    # Once the target has said that it has all, the source's QEMU is ended, by libvirt too: then there is no other.
                    only = who == "qemu-system/target" and (point.startswith("launcher-release-") or not self.victim("qemu-system/source", name, source)
                                                            or self.has_all(name, self.other(source)))
                    lost = not only and self.kill(who, name, source)
            finally:
                at.go_on()
            if reached and who.startswith("link"):
                try:
                    if who == "link":
                        wait("the end", ended, 120)
                    else:
                        until = time.monotonic() + 3
                        wait("the cut's end", lambda: ended() or time.monotonic() > until)
                finally:
                    self.cut(source, False)
                    self.cut(self.other(source), False)
        if cancel:
            self.cluster.kubectl("delete", "migrationpolicy", name)
        phase, state = self.settled(name, migration, source, recorder)
        outage, _ = recorder.gap(began)
        what = f"{who} lost" if lost else f"{who} was not there" if reached else "not on this path"
        return f"{point}: {what}: {phase}{': ' + state['failureReason'] if state.get('failureReason') else ''}, outage {outage:.0f} ms"

    def call_off(self, name, migration):
        """As virt-controller does when the migration is deleted."""
        uid = self.cluster.get("vmim", migration)["metadata"]["uid"]
        patch = [{"op": "test", "path": "/status/migrationState/migrationUid", "value": uid},
                 {"op": "add", "path": "/status/migrationState/abortRequested", "value": True}]
        return run(["kubectl", "patch", "vmi", name, "--type=json", "-p", json.dumps(patch)], env=self.cluster.env, check=False).returncode == 0

    def moves_on(self, name, migration, recorder):
        """A migration without a fault; its outage in ms and the ticks lost in it."""
        source, began = self.node(name), time.time()
        wait("asked for", lambda: self.migrate(name, migration) or True, 30)
        phase, state = self.settled(name, migration, source, recorder)
        self.assertEqual(phase, "Succeeded", state)
        return recorder.gap(began)
