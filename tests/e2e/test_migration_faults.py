"""kill -9 of every program on either side at every named place of a migration, and the link between the nodes cut there:
the guest runs on exactly one side at any time (ticks.py), the status tells the truth, and the next migration works.

NODEVIRT_MIGRATION_FAULTS=REGEX tries only the cases whose "PLACE PROGRAM" it matches; in post-copy whose "PROGRAM, ..." or
"link SECONDS"."""
import json
import os
import re
import signal
import time

import cluster
from cluster import program, run, wait
from migrating import Moves
from points import Point

PROGRAMS = ["virt-handler/source", "virt-handler/target", "virt-launcher/source", "virt-launcher/target", "libvirtd/source", "libvirtd/target",
            "qemu-system/target", "virt-controller", "apiserver", "virt-api", "node/source", "node/target"]
# Passed only by a migration that is called off.
CANCELLED = {"launcher-cancel-after-abort", "launcher-target-abandon-recorded", "launcher-target-destroyed",
             "virt-handler.migration-before-source-store", "virt-handler.migration-after-source-store", "launcher-migrate-job-over"}
# Passed when its end can be seen already.
LATE = {"launcher-migrate-job-over": 5, "launcher-target-abandon-recorded": 5, "launcher-target-destroyed": 5,
        "virt-controller.migration-before-release": 15, "virt-handler.migration-after-source-store": 5}
# Passed by post-copy alone.
ELSEWHERE = {"virt-handler.migration-post-copy"}
# Passed only where libvirt has not yet ended the source's QEMU itself, as it has on a machine with nothing else to do.
OUTRUN = {"launcher-release-before-freeze", "launcher-release-frozen", "launcher-release-recorded", "launcher-release-killed"}


def places():
    names = run([program("nodevirt"), "failpoints"]).stdout.split() + run([program("virt-launcher"), "failpoints"]).stdout.split()
    return sorted({n for n in names if re.search(r"\.migration-|^launcher-(migrate|release|target|cancel)-", n)})


class MigrationFaults(Moves):
    def all_of(self, name, cases):
        only = re.compile(os.environ.get("NODEVIRT_MIGRATION_FAULTS", ""))
        cases = [(point, who) for point, who in cases if only.search(f"{point} {who}")]
        self.recorder = self.ticking(name, {"pace": name})
        untouched, again = [], []
        for number, (point, who) in enumerate(cases):
            with self.subTest(point=point, lost=who):
                told = self.one(name, f"{name}-{number}", point, who, again)
                if "not on this path" in told:
                    untouched.append(point)
        self.assertEqual(set(untouched) - ELSEWHERE, set(), "these places are on no path of these migrations")
        self.assertLessEqual(len(again), 1 + len(cases) // 10, f"guests were lost too often for QEMU's own losses: {again}")

    def one(self, name, migration, point, who, again):
        """A case in which QEMU loses the guest by itself is repeated with another one, and all of them together may not be many. So
        is one after which QEMU cannot copy the guest's disks again (there as well), and one whose place was outrun."""
        for attempt in range(3):
            try:
                told = self.loses(name, f"{migration}-{attempt}", point, who, self.recorder, cancel=point in CANCELLED, late=LATE.get(point, 0),
                                  outrun=point in OUTRUN)
                outage, _ = self.moves_on(name, f"{migration}-{attempt}-next", self.recorder)
                print(f"{told}; next: {outage:.0f} ms", flush=True)
                if point not in OUTRUN or "not on this path" not in told or attempt == 2:
                    return told
            except (AssertionError, cluster.Failed, KeyError) as e:  # told at once: the end is far
                print(f"{point}: {who}: {e}", flush=True)
                stuck = "once it was restarted" in str(e)
                lost = self.lost_inside(name, self.recorder, e)
                print(f"{point}: {who}: lost inside: {lost}", flush=True)
                self.cluster.kubectl("delete", "migrationpolicy", name, "--ignore-not-found")
                self.cluster.kubectl("delete", "vm", name)  # the others want a guest that is whole
                self.cluster.wait_gone("vmi", name, 120)
                self.recorder = self.ticking(name, {"pace": name})
                if not (lost or stuck) or attempt == 2:
                    raise
                if not stuck:
                    again.append(f"{point} {who}")

    def test_own_death_at_every_place(self):
        """Whoever passes by dies there."""
        names = places()
        self.assertGreater(len(names), 30)
        own = {"virt-controller": "virt-controller", "virt-handler": "virt-handler", "launcher": "virt-launcher"}
        self.all_of("own", [(n, "itself:" + own[re.split(r"[.-](?:migration|migrate|release|target|cancel)", n)[0]]) for n in names])

    def test_every_program_at_every_place(self):
        self.all_of("each", [(point, who) for point in places() for who in PROGRAMS])

    def test_the_link_at_every_step(self):
        steps = [p for p in places() if not p.startswith("virt-controller")]
        self.all_of("link", [(point, link) for point in steps for link in ("link", "link-back")])

    def test_stopped_while_it_migrates(self):
        c = self.cluster
        self.slow("slow2")
        self.ticking("leaves", {"pace": "slow2"}, strategy="RerunOnFailure")
        self.migrate("leaves", "in-vain")
        wait("it runs", lambda: self.phase("in-vain") == "Running", 120)
        c.virtctl("stop", "leaves")
        c.wait_gone("vmi", "leaves", 120)
        self.assertEqual(self.ended("in-vain"), "Failed")


class PostCopy(Moves):
    """The one loss that is allowed is said before and clearly after; nothing else loses the guest."""
    up_flags = ["--allow-userfaultfd"]

    def late(self, name):
        """A guest whose first pass takes longer than it may: it comes to post-copy."""
        self.slow(name, "3Mi", allowPostCopy=True, completionTimeoutPerGiB=15)  # its disks go first
        return self.ticking(name, {"pace": name})

    def halfway(self, name, migration, source, *lost, link=None):
        """A migration that loses something while its guest runs at the target and fetches; `link`: cut for so many seconds."""
        self.migrate(name, migration)
        wait("it runs", lambda: self.phase(migration) == "Running", 60)
        target = self.pod_on(name, self.other(source))
        record = f"{self.cluster.data}/nodes/{self.other(source)}/pods/{target}/volumes/kubernetes.io~empty-dir/migration/migration.json"
        wait("the guest is sent", lambda: self.cluster.get("vmi", name)["metadata"]["annotations"].get("nodevirt.io/migration-progress"), 60)
        victims = [(who, self.victim(who, name, source)) for who in lost if who != "qemu-system/target"]
        cuts = [self.cutting(node) for node in ("node1", "node2")] if link else []

        def fetches():
            with open(record) as f:
                return json.load(f)["fetching"]
        until = time.monotonic() + 120
        while not fetches():   # it does not last long
            self.assertLess(time.monotonic(), until, "post-copy was not begun")
        if "qemu-system/target" in lost:   # the second one that came in
            victims.append(("qemu-system/target", self.victim("qemu-system/target", name, source)))
        for who, pid in victims:
            self.assertTrue(pid, who)
            os.kill(pid, signal.SIGKILL)
        if not link:
            return
        for cut in cuts:
            cut(True)
        until = time.monotonic() + link
        try:
            wait("the cut's end", lambda: time.monotonic() > until, link + 5)
            self.assertEqual(self.phase(migration), "Running")
        finally:
            for cut in cuts:
                cut(False)

    def assert_lost(self, name, migration, uid, why):
        """Said clearly, everywhere; and begun anew, once."""
        c = self.cluster
        self.assertEqual(self.ended(migration, 240), "Failed")
        reason = c.get("vmim", migration)["status"]["migrationState"]["failureReason"]
        self.assertRegex(reason, why)
        self.assertIn("the guest is lost", c.kubectl("get", "vmim", migration))
        told = [e["message"] for e in c.get("events", "--field-selector", "reason=GuestLost")["items"] if e["involvedObject"]["name"] == name]
        self.assertTrue([m for m in told if "the guest is lost" in m], told)
        wait("another instance", lambda: c.get("vmi", name)["metadata"]["uid"] != uid and c.phase(name) == "Running", 240)
        wait("nothing of the old one", lambda: not c.qemu_pids(uid), 60)
        pods = c.get("pods", "-l", f"kubevirt.io/created-by={uid}")["items"]
        self.assertEqual([p["metadata"]["name"] for p in pods], [])

    def test_nothing_is_lost_that_comes_back(self):
        c = self.cluster
        recorder = self.late("lives")

        def arrives(migration, source, began, what):
            phase, state = self.settled("lives", migration, source, recorder)
            self.assertEqual((phase, state.get("mode")), ("Succeeded", "PostCopy"), state)
            print(f"post-copy: {what}: the guest stood {recorder.gap(began)[0]:.0f} ms", flush=True)

        source, began = self.node("lives"), time.time()
        self.migrate("lives", "whole")
        wait("post-copy", lambda: self.state("lives").get("mode") == "PostCopy", 90)
        self.assertIn("the guest is lost", c.kubectl("get", "events", "--field-selector", "reason=PostCopy"))
        arrives("whole", source, began, "nothing lost")
        cases = [(who,) for who in ("virt-handler/source", "virt-handler/target", "virt-launcher/source", "virt-launcher/target", "libvirtd/source",
                                    "libvirtd/target", "virt-controller", "apiserver")]
        cases.append(("virt-handler/source", "virt-launcher/source", "libvirtd/source", "virt-handler/target", "virt-launcher/target", "libvirtd/target"))
        only = re.compile(os.environ.get("NODEVIRT_MIGRATION_FAULTS", ""))
        for number, lost in enumerate(cases):
            if not only.search(", ".join(lost)):
                continue
            source, began = self.node("lives"), time.time()
            self.halfway("lives", f"lives-{number}", source, *lost)
            arrives(f"lives-{number}", source, began, f"{', '.join(lost)} lost")
        for seconds in (5, 30):
            if not only.search(f"link {seconds}"):
                continue
            source, began = self.node("lives"), time.time()
            self.halfway("lives", f"waits-{seconds}", source, link=seconds)
            arrives(f"waits-{seconds}", source, began, f"the link cut for {seconds} s")
            # A QEMU whose stream breaks when it has said all waits for ever.
            self.assertNotIn("the memory's stream is interrupted", self.log_of("lives", self.node("lives")))

    def test_either_half_lost(self):
        self.late("torn")
        everything = ["qemu-system/source", "virt-launcher/source", "libvirtd/source", "virt-handler/source"]

        def begin():
            wait("it can be migrated", lambda: self.condition("torn", "LiveMigratable") == "True")
            return self.node("torn"), self.cluster.get("vmi", "torn")["metadata"]["uid"]
        source, uid = begin()
        self.halfway("torn", "torn-1", source, *everything)
        self.assert_lost("torn", "torn-1", uid, f"while a part of its memory was still on node {source}, wh")
        source, uid = begin()
        self.halfway("torn", "torn-2", source, "qemu-system/target")
        self.assert_lost("torn", "torn-2", uid, rf"it ended on node {self.other(source)} \(\w+\) while a part of its memory was still on node {source}")
        # In the moment when it stands at the source, and has not begun to run at the target.
        source, uid = begin()
        with Point(self, "virt-handler.migration-post-copy", "stop", "torn", source) as at:
            self.migrate("torn", "torn-3")
            self.assertTrue(at.reached(lambda: self.phase("torn-3") in ("Succeeded", "Failed"), 120), "post-copy was not begun")
            for who in everything:
                self.assertTrue(self.kill(who, "torn", source), who)
        self.assert_lost("torn", "torn-3", uid, "the guest is lost")


if __name__ == "__main__":
    cluster.main()
