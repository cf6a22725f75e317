"""kill -9 of every program on either side at every named place of a migration, and the link between the nodes cut there:
the guest runs on exactly one side at any time (ticks.py), the status tells the truth, and the next migration works.

NODEVIRT_MIGRATION_FAULTS=REGEX tries only the cases whose "PLACE PROGRAM" it matches."""
import os
import pathlib
import re

import cluster
from cluster import program, run, wait
from migrating import Moves, Point

PROGRAMS = ["virt-handler/source", "virt-handler/target", "virt-launcher/source", "virt-launcher/target", "libvirtd/source", "libvirtd/target",
            "qemu-system/target", "virt-controller", "apiserver", "virt-api", "node/source", "node/target"]
# Passed only by a migration that is called off.
CANCELLED = {"launcher-cancel-after-abort", "launcher-target-abandon-recorded", "launcher-target-destroyed",
             "virt-handler.migration-before-source-store", "virt-handler.migration-after-source-store"}
# Passed by one that is called off or fails before it began; its steps have unit tests.
ELSEWHERE = {"virt-handler.migration-post-copy"}


def places():
    names = run([program("nodevirt"), "failpoints"]).stdout.split() + run([program("virt-launcher"), "failpoints"]).stdout.split()
    return sorted({n for n in names if re.search(r"\.migration-|^launcher-(migrate|release|target|cancel)-", n)})


class MigrationFaults(Moves):
    def all_of(self, name, cases):
        only = re.compile(os.environ.get("NODEVIRT_MIGRATION_FAULTS", ""))
        cases = [(point, who) for point, who in cases if only.search(f"{point} {who}")]
        recorder = self.ticking(name, {"pace": name})
        untouched = []
        for number, (point, who) in enumerate(cases):
            with self.subTest(point=point, lost=who):
                told = self.loses(name, f"{name}-{number}", point, who, recorder, cancel=point in CANCELLED)
                outage, lost = self.moves_on(name, f"{name}-{number}-next", recorder)
                print(f"{told}; next: {outage:.0f} ms", flush=True)
                if "not on this path" in told:
                    untouched.append(point)
            if self.cluster.phase(name) != "Running":  # this one is lost: the others want a guest
                self.cluster.kubectl("delete", "vm", name)
                recorder = self.ticking(name, {"pace": name})
        untouched = set(untouched) - ELSEWHERE
        self.assertEqual(untouched, set(), "these places are on no path of these migrations")

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

    def test_post_copy(self):
        """Its end, and the one loss that is allowed: said before, said clearly after."""
        c = self.cluster
        allowed = pathlib.Path("/proc/sys/vm/unprivileged_userfaultfd")
        before = allowed.read_text()
        self.addCleanup(lambda: allowed.write_text(before))
        allowed.write_text("1")
        # The first pass takes longer than it may: it comes to post-copy.
        self.slow("postcopy", "8Mi", allowPostCopy=True, completionTimeoutPerGiB=4)
        recorder = self.ticking("late", {"pace": "postcopy"})
        source = self.node("late")
        self.migrate("late", "whole")
        wait("post-copy", lambda: self.state("late").get("mode") == "PostCopy", 90)
        self.assertIn("the guest is lost", c.kubectl("get", "events", "--field-selector", "reason=PostCopy"))
        phase, state = self.settled("late", "whole", source, recorder)
        self.assertEqual(phase, "Succeeded", state)
        source = self.node("late")
        uid = c.get("vmi", "late")["metadata"]["uid"]
        with Point(self, "virt-handler.migration-post-copy", "stop", "late", source) as at:
            self.migrate("late", "lost")
            self.assertTrue(at.reached(lambda: self.phase("lost") in ("Succeeded", "Failed"), 120))
            for who in ("qemu-system/source", "virt-launcher/source", "libvirtd/source", "virt-handler/source"):
                self.assertTrue(self.kill(who, "late", source), who)
        self.assertEqual(self.ended("lost", 180), "Failed")
        self.assertIn("is lost", c.kubectl("get", "vmim", "lost"))
        # It is started anew, on one side.
        wait("another instance", lambda: c.get("vmi", "late")["metadata"]["uid"] != uid and c.phase("late") == "Running", 180)
        wait("nothing of the old one", lambda: not c.qemu_pids(uid), 60)


if __name__ == "__main__":
    cluster.main()
