"""Disks on claims of one node move to claims of another while their guest runs: updateVolumesStrategy Migration.
Two nodes, real guests."""
import json
import os
import re
import signal

import cluster
import ticks
from cluster import Console, program, run, vm, wait
from counting import Counting
from migrating import Moves
from points import Point
from polling import Polling
from test_volumes import add_disk, claim


def claim_of(machine, name="data"):
    return [v["persistentVolumeClaim"]["claimName"] for v in machine["volumes"] if v["name"] == name][0]


class VolumeMoves(Counting):
    def machine(self, name, first, **kw):
        self.cluster.apply(claim(first))
        machine = add_disk(vm(name, strategy="Always", **kw), "data", {"disk": {"bus": "virtio"}, "serial": "DATA01"},
                           {"persistentVolumeClaim": {"claimName": first}})
        machine["spec"]["updateVolumesStrategy"] = "Migration"
        return machine

    def begin_with_data(self, name, first, **kw):
        self.begin(name, self.machine(name, first, **kw), migratable=False)
        with Console(self.cluster, name) as console:
            console.login("root")
            # A pattern over the whole disk, and a writer that never stops at its front.
            console.run("dd if=/dev/urandom of=/dev/vdb bs=1M count=16 seek=8 conv=fsync 2>/dev/null; dd if=/dev/vdb bs=1M skip=8 count=16 2>/dev/null | md5sum > /tmp/sum")
            console.run("(n=0; while :; do n=$((n+1)); echo generation-$n | dd of=/dev/vdb conv=notrunc,fsync 2>/dev/null; echo $n > /tmp/generation; done) & true")
            self.count(console)
        return self.numbers(name, 3)[-1]

    def assert_data(self, name):
        """The disk in the guest is what the guest wrote, and can be written to."""
        with Console(self.cluster, name) as console:   # root is logged in there since the beginning
            def generation():
                return int(re.findall(r"generation=(\d+)=", console.run("echo generation=$(cat /tmp/generation)="))[-1])
            self.assertIn("intact", console.run("echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/vdb bs=1M skip=8 count=16 2>/dev/null | md5sum | cmp - /tmp/sum && echo int\"\"act"))
            before = generation()
            wait("it goes on writing", lambda: generation() > before, 20)

    def file_of(self, claim_name):
        pv = self.cluster.get("pvc", claim_name)["spec"]["volumeName"]
        return os.path.join(self.cluster.get("pv", pv)["spec"]["local"]["path"], "disk.img")

    def move(self, name, to):
        patch = [{"op": "replace", "path": "/spec/template/spec/volumes/1/persistentVolumeClaim/claimName", "value": to}]
        self.cluster.kubectl("patch", "vm", name, "--type=json", "-p", json.dumps(patch))

    def assert_moved(self, name, to, source):
        wait("the guest is elsewhere", lambda: self.node(name) != source, 150)
        vmi = self.cluster.get("vmi", name)
        self.assertTrue(vmi["status"]["migrationState"]["completed"])
        self.assertFalse(vmi["status"].get("migratedVolumes"))
        self.assertEqual(claim_of(vmi["spec"]), to)
        info = [v for v in vmi["status"]["volumeStatus"] if v["name"] == "data"][0]["persistentVolumeClaimInfo"]
        self.assertEqual(info["claimName"], to)
        self.assertIsNone(self.condition(name, "VolumesChange"))
        wait("the machine says the same", lambda: self.condition(name, "VolumesChange", "vm") is None)
        self.assertIsNone(self.condition(name, "RestartRequired", "vm"))
        self.assert_once(name)

    def test_a_disk_moves_with_its_guest(self):
        c = self.cluster
        last = self.begin_with_data("mover", "first")
        source = self.node("mover")
        self.assertEqual(self.condition("mover", "LiveMigratable", field="reason"), "DisksNotLiveMigratable")
        self.assertEqual(self.condition("mover", "StorageLiveMigratable"), "True")
        self.assertIn("first is not shared", c.virtctl("migrate", "mover", check=False).stderr)
        c.apply(claim("second", size="96Mi"))   # larger: the guest's disk stays as it is
        self.move("mover", "second")
        state = wait("it is agreed on", lambda: c.get("vm", "mover")["status"].get("volumeUpdateState"))
        moved = state["volumeMigrationState"]["migratedVolumes"][0]
        self.assertEqual((moved["volumeName"], moved["sourcePVCInfo"]["claimName"], moved["destinationPVCInfo"]["claimName"]), ("data", "first", "second"))
        m = wait("a migration is made", lambda: self.vmims("mover"))[0]
        self.assertIn("kubevirt.io/workloadUpdateMigration", m["metadata"]["annotations"])
        self.assert_moved("mover", "second", source)
        self.assertEqual(c.get("pv", c.get("pvc", "second")["spec"]["volumeName"])["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]
                         ["matchExpressions"][0]["values"], [self.node("mover")])
        last = self.assert_counts_on("mover", last)
        self.assert_data("mover")
        with Console(c, "mover") as console:
            self.assertIn(f"size={64 * 2048}=", console.run("echo size=$(cat /sys/block/vdb/size)="))
        # Nobody writes to the old one any more, and it can go.
        wait("the pod that was left is gone", lambda: len(c.get("pods", "-l", "vm.kubevirt.io/name=mover")["items"]) == 1)
        c.kubectl("delete", "pvc", "first", "--timeout=60s")
        # And back to another one; then the guest starts anew from where it is.
        c.apply(claim("third", size="96Mi"))
        self.move("mover", "third")
        self.assert_moved("mover", "third", self.other(source))
        self.assertEqual(self.node("mover"), source)
        self.assert_counts_on("mover", last)
        self.assert_data("mover")
        c.kubectl("delete", "vmi", "mover")
        wait("restarted", lambda: c.phase("mover") == "Running" and "deletionTimestamp" not in c.get("vmi", "mover")["metadata"], 120)
        with Console(c, "mover") as console:
            console.login("root")
            self.assertIn("generation-", console.run("head -c 16 /dev/vdb"))

    def test_what_cannot_move_is_told(self):
        c = self.cluster
        self.begin("stays", self.machine("stays", "own"), migratable=False)
        self.move("stays", "nowhere")
        wait("the claim is missing", lambda: "nowhere is not there" in (self.condition("stays", "VolumesChange", field="message") or ""))
        c.apply(claim("small", size="16Mi"))
        self.move("stays", "small")
        wait("too small", lambda: "is smaller than own" in (self.condition("stays", "RestartRequired", "vm", "message") or ""))
        self.assertEqual(self.vmims("stays"), [])
        self.assertEqual(claim_of(c.get("vmi", "stays")["spec"]), "own")
        self.move("stays", "own")
        wait("all is well again", lambda: self.condition("stays", "RestartRequired", "vm") is None)
        done = run(["kubectl", "patch", "vm", "stays", "--type=merge", "-p", '{"spec":{"updateVolumesStrategy":"Magic"}}'], env=c.env, check=False)
        self.assertIn("supported are Replacement, Migration", done.stderr)

    def test_changed_back_while_it_copies(self):
        c = self.cluster
        c.apply({"apiVersion": "migrations.kubevirt.io/v1alpha1", "kind": "MigrationPolicy", "metadata": {"name": "slow"},
                 "spec": {"selectors": {}, "bandwidthPerMigration": "1Mi"}})
        last = self.begin_with_data("waverer", "old")
        source = self.node("waverer")
        c.apply(claim("new"))
        self.move("waverer", "new")
        wait("it copies", lambda: c.get("vmi", "waverer")["status"].get("migrationState", {}).get("startTimestamp"), 120)
        self.move("waverer", "old")
        wait("it was called off", lambda: not c.get("vmi", "waverer")["status"].get("migratedVolumes"), 90)
        vmi = c.get("vmi", "waverer")
        self.assertEqual(claim_of(vmi["spec"]), "old")
        self.assertTrue(vmi["status"]["migrationState"]["failed"])
        self.assertEqual(self.condition("waverer", "VolumesChange", field="reason"), "VolumesChangeCancellation")
        self.assertEqual(self.node("waverer"), source)
        wait("the machine forgets it", lambda: "volumeUpdateState" not in c.get("vm", "waverer")["status"])
        self.assert_counts_on("waverer", last)
        self.assert_data("waverer")

    def test_a_copy_that_fails_is_made_again(self):
        c = self.cluster
        c.apply({"apiVersion": "migrations.kubevirt.io/v1alpha1", "kind": "MigrationPolicy", "metadata": {"name": "slow"},
                 "spec": {"selectors": {}, "bandwidthPerMigration": "2Mi"}})
        last = self.begin_with_data("tough", "before")
        source = self.node("tough")
        c.apply(claim("after"))
        self.move("tough", "after")
        wait("it copies", lambda: c.get("vmi", "tough")["status"].get("migrationState", {}).get("startTimestamp"), 120)
        uid = c.get("vmi", "tough")["metadata"]["uid"]
        target = c.get("vmi", "tough")["status"]["migrationState"]["targetPod"]
        wait("both are there", lambda: len(c.qemu_pids(uid)) == 2, 30)
        pod = c.get("pod", target)["metadata"]["uid"]
        for pid in c.qemu_pids(uid):
            with open(f"/proc/{pid}/mountinfo") as f:
                if f"/pods/{pod}/" in f.read():
                    os.kill(pid, signal.SIGKILL)
        wait("it failed", lambda: c.get("vmi", "tough")["status"]["migrationState"].get("failed"), 60)
        self.assertEqual(self.node("tough"), source)
        last = self.assert_counts_on("tough", last)
        self.assert_data("tough")
        c.kubectl("delete", "migrationpolicy", "slow")
        self.assert_moved("tough", "after", source)
        self.assert_counts_on("tough", last)
        self.assert_data("tough")

    def test_a_guest_that_ends_in_between_waits_for_a_person(self):
        c = self.cluster
        c.apply({"apiVersion": "migrations.kubevirt.io/v1alpha1", "kind": "MigrationPolicy", "metadata": {"name": "slow"},
                 "spec": {"selectors": {}, "bandwidthPerMigration": "1Mi"}})
        self.begin_with_data("dies", "whole")
        c.apply(claim("half"))
        self.move("dies", "half")
        wait("it copies", lambda: c.get("vmi", "dies")["status"].get("migrationState", {}).get("startTimestamp"), 120)
        c.kubectl("delete", "vmi", "dies", "--timeout=120s")
        wait("it asks for a person", lambda: self.condition("dies", "ManualRecoveryRequired", "vm") == "True")
        self.assertIn("recovery is required", c.virtctl("restart", "dies", check=False).stderr + c.virtctl("start", "dies", check=False).stderr)
        run(["kubectl", "get", "vmi", "dies"], env=c.env, check=False)
        self.assertNotEqual(run(["kubectl", "get", "vmi", "dies"], env=c.env, check=False).returncode, 0)
        self.move("dies", "whole")
        c.wait_running("dies")
        self.assertIsNone(self.condition("dies", "ManualRecoveryRequired", "vm"))
        with Console(c, "dies") as console:
            console.login("root")
            self.assertIn("generation-", console.run("head -c 16 /dev/vdb"))


# Passed only by migrations that fail, are called off, or end in post-copy.
NOT_BY_A_MOVE = {"virt-handler.migration-before-source-store", "virt-handler.migration-after-source-store", "virt-handler.migration-post-copy"}


class VolumeMoveFaults(Moves):
    """kill -9 of virt-controller and of virt-handler at each named place of a move: the guest writes its disk and ticks all the
    time, arrives on the new claim, and nobody is asked to recover anything."""

    def begin(self, name, first):
        recorder = ticks.Recorder(self.cluster)
        self.addCleanup(recorder.close)
        machine = add_disk(recorder.machine(name), "data", {"disk": {"bus": "virtio"}, "serial": "DATA01"}, {"persistentVolumeClaim": {"claimName": first}})
        machine["spec"]["updateVolumesStrategy"] = "Migration"
        # It ticks with its disk on the claim.
        seed = [v for v in machine["spec"]["template"]["spec"]["volumes"] if v["name"] == "cloudinit"][0]["cloudInitNoCloud"]
        on_claim = '$(for e in /sys/block/vd*; do [ "$(cat $e/serial)" = DATA01 ] && echo /dev/${e##*/}; done) </dev/null'
        self.assertIn("/dev/${d##*/} </dev/null", seed["userData"])
        seed["userData"] = seed["userData"].replace("/dev/${d##*/} </dev/null", on_claim)
        self.cluster.apply(claim(first))
        self.cluster.apply(machine)
        self.cluster.wait_running(name)
        wait("its disks can be migrated", lambda: self.condition(name, "StorageLiveMigratable") == "True")
        recorder.goes_on(timeout=240)
        return recorder

    def moves(self, name, to, recorder, point, who):
        """A move that loses `who` at `point`; a line about it."""
        c, source = self.cluster, self.node(name)
        before = claim_of(c.get("vmi", name)["spec"])
        c.apply(claim(to))
        arrived = lambda: self.node(name) != source and self.state(name).get("completed") and c.get("vmi", name)
        asked = lambda: [t for t in c.get("vm", name)["status"].get("conditions", []) if t["type"] == "ManualRecoveryRequired"] or None
        with Polling(0.3, asked) as recovery, Point(self, point, "kill" if who == "itself" else "stop", name, source) as at:
            patch = [{"op": "replace", "path": f"/spec/template/spec/volumes/{self.index}/persistentVolumeClaim/claimName", "value": to}]
            c.kubectl("patch", "vm", name, "--type=json", "-p", json.dumps(patch))
            fired = at.reached(arrived, 240)
            if fired and who != "itself":
                try:
                    self.assertTrue(self.kill(who, name, source), who)
                finally:
                    at.go_on()
            vmi = wait(f"the guest is on {to}", arrived, 240)
            fired = at.fired()
        self.assertEqual(claim_of(vmi["spec"]), to)
        self.assertFalse(vmi["status"].get("migratedVolumes"))
        self.assertFalse(vmi["status"]["migrationState"].get("failed"))
        vm_condition = lambda kind: [t for t in c.get("vm", name)["status"].get("conditions", []) if t["type"] == kind]
        wait("the machine says the same", lambda: not vm_condition("VolumesChange"))
        self.assertEqual(recovery.seen, [])
        self.assertEqual(vm_condition("RestartRequired"), [])
        self.runs_here(name, recorder)
        wait("one QEMU", lambda: len(c.qemu_pids(vmi["metadata"]["uid"])) == 1, 60)
        wait("the pod that was left is gone", lambda: len(c.get("pods", "-l", f"vm.kubevirt.io/name={name}")["items"]) == 1, 60)
        c.kubectl("delete", "pvc", before, "--timeout=60s")
        return fired, f"{point}: {who + ' killed' if fired else 'not on this path'}"

    def one(self, number, point, who, again):
        """Whether it fired; repeated with another guest where QEMU loses the guest by itself."""
        for attempt in range(3):
            try:
                fired, told = self.moves("mover", f"claim-{number}-{attempt}", self.recorder, point, who)
                print(told, flush=True)
                return fired
            except (AssertionError, cluster.Failed, KeyError) as e:
                lost = self.lost_inside("mover", self.recorder, e)
                print(f"{point}: {who}: {e}; lost inside: {lost}", flush=True)
                self.cluster.kubectl("delete", "vm", "mover")
                self.cluster.wait_gone("vmi", "mover", 120)
                self.cluster.kubectl("delete", "pvc", "--all", "--timeout=60s")
                self.recorder = self.begin("mover", f"claim-{number}-{attempt}-new")
                if not lost or attempt == 2:
                    raise
                again.append(f"{point} {who}")

    def test_either_program_lost_at_every_place(self):
        c = self.cluster
        self.recorder = self.begin("mover", "claim-0")
        self.index = [v["name"] for v in c.get("vm", "mover")["spec"]["template"]["spec"]["volumes"]].index("data")
        names = run([program("nodevirt"), "failpoints"]).stdout.split()
        places = [n for n in names if re.search(r"^virt-(controller|handler)\.migration-|^virt-controller\.vm-(before|after)-volumes|^virt-controller\.vm-before-status", n)]
        self.assertGreater(len(places), 15)
        cases = [(point, "itself") for point in places]
        cases += [(point, who) for point in ("virt-controller.vm-before-volumes", "virt-controller.vm-after-volumes", "virt-controller.migration-before-hand-over")
                  for who in ("virt-handler/source", "virt-handler/target")]
        cases += [(point, "virt-controller") for point in ("virt-handler.migration-before-release", "virt-handler.migration-before-target-store",
                                                            "virt-handler.migration-after-target-store")]
        only = re.compile(os.environ.get("NODEVIRT_MIGRATION_FAULTS", ""))
        untouched, again = set(), []
        for number, (point, who) in enumerate(cases):
            if not only.search(f"{point} {who}"):
                continue
            with self.subTest(point=point, lost=who):
                if not self.one(number + 1, point, who, again):
                    untouched.add(point)
        self.assertEqual(untouched - NOT_BY_A_MOVE, set(), "these places are on no path of a move")
        self.assertLessEqual(len(again), 1 + len(cases) // 10, f"guests were lost too often for QEMU's own losses: {again}")


if __name__ == "__main__":
    cluster.main()
