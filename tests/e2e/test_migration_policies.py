"""The settings of a migration with a guest that writes faster than the link carries: who may be slowed down, what is
done instead, and what people are told. Two nodes, real guests."""
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios

import cluster
from cluster import Console, program, run, wait
from counting import Counting
from polling import Polling


def watch(c, name):
    """What the instance's progress said while a migration ran: (progress, mode)."""
    path = "jsonpath={.metadata.annotations.nodevirt\\.io/migration-progress}|{.status.migrationState.mode}"

    def look():
        done = run(["kubectl", "get", "vmi", name, "-o", path], env=c.env, check=False)
        text, _, mode = done.stdout.rpartition("|")
        return (json.loads(text), mode) if text else None
    return Polling(0.3, look)


class Policies(Counting):
    LINK = "3Mi"
    up_flags = ["--allow-userfaultfd"]

    def policy(self, named=None, throttle=None, **spec):
        annotations = {}
        if named:
            annotations["nodevirt.io/virtual-machine-policy"] = named
        if throttle is not None:
            annotations["nodevirt.io/max-throttle-percent"] = str(throttle)
        run(["kubectl", "delete", "migrationpolicy", "p", "--ignore-not-found"], env=self.cluster.env)
        self.cluster.apply({"apiVersion": "migrations.kubevirt.io/v1alpha1", "kind": "MigrationPolicy",
                            "metadata": {"name": "p", "annotations": annotations},
                            "spec": {"selectors": {}, "bandwidthPerMigration": self.LINK, **spec}})

    def writer(self, name):
        """A guest that rewrites 24 MiB of its memory all the time, and counts."""
        self.begin(name, memory="128M")
        with Console(self.cluster, name) as console:
            console.login("root")
            console.run("mount -t tmpfs -o size=28m none /mnt; dd if=/dev/urandom of=/mnt/a bs=64k count=16 2>/dev/null")
            console.run("(cd /mnt; while :; do i=0; while [ $i -lt 24 ]; do dd if=a of=b bs=1M count=1 seek=$i conv=notrunc; i=$((i+1)); done; done) >/dev/null 2>&1 & true")
            self.count(console)

    def go(self, name, *flags, timeout=300):
        """Migrates; returns (exit code, everything virtctl said, the samples, the migration)."""
        before = {m["metadata"]["uid"] for m in self.cluster.get("vmim")["items"]}
        with watch(self.cluster, name) as told:
            done = self.cluster.virtctl("migrate", name, "--wait", "--timeout", str(timeout), *flags, check=False, timeout=timeout + 30)
        m = [m for m in self.cluster.get("vmim")["items"] if m["metadata"]["uid"] not in before][0]
        return done.returncode, done.stdout + done.stderr, [(p, mode) for p, mode in told.seen if p["uid"] == m["metadata"]["uid"]], m

    def on_a_terminal(self, *argv, columns=120):
        """What a person sees: (exit code, everything that was written to the terminal)."""
        outer, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        process = subprocess.Popen([program("virtctl"), *argv], env=self.cluster.env, stdin=inner, stdout=inner, stderr=inner)
        os.close(inner)
        seen = b""
        while True:
            try:
                data = os.read(outer, 4096)
            except OSError:   # the last one has closed it
                break
            if not data:
                break
            seen += data
        os.close(outer)
        return process.wait(), seen.decode(errors="replace")

    def throttle(self, samples):
        return max([p["throttlePercent"] for p, _ in samples], default=0)

    def assert_refused_to_converge(self, name, result):
        code, said, samples, m = result
        self.assertEqual(code, 3, said)
        self.assertEqual(self.throttle(samples), 0, said)
        why = m["status"]["migrationState"]["failureReason"]
        self.assertRegex(why, r"writes (at least )?[\d.]+ .iB/s( into a [\d.]+ MiB working set)?; at [\d.]+ MiB/s the last step needs [\d.]+ s, 0\.9 s allowed")
        self.assertIn(why.split(";")[0].split(": ")[-1], said)
        self.assertTrue(any(p["predictedEndSeconds"] is None for p, _ in samples), "nothing said that it has no end")
        self.assert_once(name)

    def assert_forced(self, name, result, source):
        code, said, samples, _ = result
        self.assertEqual(code, 0, said)
        self.assertGreater(self.throttle(samples), 0, said)
        self.assertIn("slowed down by", said)
        self.assertNotEqual(self.node(name), source)
        self.assert_once(name)

    def test_the_four_policies(self):
        self.writer("busy")
        last = self.numbers("busy", 3)[-1]
        source = self.node("busy")
        safe = {"completionTimeoutPerGiB": 70}
        # Always: whatever the request says.
        self.policy("AlwaysSafe", **safe)
        self.assert_refused_to_converge("busy", self.go("busy", "--force"))
        last = self.assert_counts_on("busy", last)
        # Prefer: unless the request says otherwise.
        self.policy("PreferSafe", **safe)
        self.assert_refused_to_converge("busy", self.go("busy"))
        self.policy("PreferForced", **safe)
        self.assert_refused_to_converge("busy", self.go("busy", "--no-force"))
        self.assertEqual(self.node("busy"), source)
        last = self.assert_counts_on("busy", last)
        for named, flags in (("PreferSafe", ["--force"]), ("PreferForced", []), ("AlwaysForced", ["--no-force"])):
            self.policy(named, completionTimeoutPerGiB=240)
            source = self.node("busy")
            self.assert_forced("busy", self.go("busy", *flags), source)
            state = self.cluster.get("vmi", "busy")["status"]["migrationState"]
            self.assertEqual(state["migrationPolicyName"], "p")
            self.assertTrue(state["migrationConfiguration"]["allowAutoConverge"])
            last = self.assert_counts_on("busy", last)

    def test_the_ceiling_of_the_throttle(self):
        self.writer("tender")
        last = self.numbers("tender", 3)[-1]
        self.policy("AlwaysForced", throttle=20, completionTimeoutPerGiB=70)
        code, said, samples, m = self.go("tender")
        self.assertEqual(code, 3, said)
        self.assertLessEqual(self.throttle(samples), 20)
        self.assertIn("the last step needs", m["status"]["migrationState"]["failureReason"])
        self.assert_counts_on("tender", last)

    def test_paused_for_the_last_step(self):
        self.writer("pausable")
        last, source = self.numbers("pausable", 3)[-1], self.node("pausable")
        self.policy("AlwaysSafe", allowWorkloadDisruption=True, completionTimeoutPerGiB=55)
        code, said, samples, _ = self.go("pausable")
        self.assertEqual(code, 0, said)
        self.assertIn("Paused", {mode for _, mode in samples} | {p["mode"] for p, _ in samples}, said)
        self.assertEqual(self.throttle(samples), 0)
        self.assertNotEqual(self.node("pausable"), source)
        self.assertEqual(self.condition("pausable", "Paused"), None)
        self.assert_counts_on("pausable", last)

    def test_post_copy(self):
        self.writer("lazy")
        last, source = self.numbers("lazy", 3)[-1], self.node("lazy")
        self.policy("AlwaysSafe", allowPostCopy=True, completionTimeoutPerGiB=90)
        code, said, samples, _ = self.go("lazy")
        self.assertEqual(code, 0, said)
        self.assertEqual(self.cluster.get("vmi", "lazy")["status"]["migrationState"]["mode"], "PostCopy", said)
        self.assertNotEqual(self.node("lazy"), source)
        self.assert_counts_on("lazy", last)
        self.assert_once("lazy")

    def test_a_stalled_one_is_given_up(self):
        c = self.cluster
        c.apply({"apiVersion": "kubevirt.io/v1", "kind": "KubeVirt", "metadata": {"name": "kubevirt", "namespace": "kubevirt"},
                 "spec": {"configuration": {"migrations": {"progressTimeout": 12, "completionTimeoutPerGiB": 600}}}})
        self.addCleanup(lambda: c.kubectl("delete", "kubevirt", "kubevirt", "-n", "kubevirt"))
        self.writer("stuck")
        last, source = self.numbers("stuck", 3)[-1], self.node("stuck")
        self.policy("AlwaysSafe")
        code, said, samples, m = self.go("stuck")
        self.assertEqual(code, 3, said)
        self.assertIn("nothing gained for", m["status"]["migrationState"]["failureReason"])
        self.assertEqual(self.node("stuck"), source)
        self.assert_counts_on("stuck", last)
        # Unharmed, and free to go when it may.
        self.policy("AlwaysForced", bandwidthPerMigration="64Mi")
        self.assertEqual(self.go("stuck")[0], 0)

    def test_a_node_without_the_guests_processor(self):
        c = self.cluster
        self.begin("picky")
        source = self.node("picky")
        labels = c.get("node", source)["metadata"]["labels"]
        self.assertTrue([k for k in labels if k.startswith("host-model-cpu.node.kubevirt.io/")], labels)
        # A feature that only this node has. virt-handler takes it away at its next heartbeat: no sooner than in a minute.
        c.kubectl("label", "node", source, "host-model-required-features.node.kubevirt.io/none-such=true")
        c.virtctl("migrate", "picky")
        name = wait("a migration", lambda: self.vmims("picky"))[0]["metadata"]["name"]
        wait("it says why", lambda: f"{self.other(source)} lacks the CPU feature none-such" in c.kubectl("get", "vmim", name))
        c.virtctl("migrate-cancel", "picky")
        c.wait_gone("vmim", name)
        c.kubectl("label", "node", source, "host-model-required-features.node.kubevirt.io/none-such-")
        self.assertEqual(c.virtctl("migrate", "picky", "--wait", "--timeout", "120", timeout=150).returncode, 0)
        self.assertNotEqual(self.node("picky"), source)

    def test_the_bar_on_a_terminal(self):
        c = self.cluster
        self.begin("shown")
        source = self.node("shown")
        target = self.other(source)
        self.policy(bandwidthPerMigration="4Mi")
        watch = subprocess.Popen(["kubectl", "get", "vmim", "-w"], env=c.env, stdout=subprocess.PIPE, text=True)
        self.addCleanup(watch.kill)
        code, seen = self.on_a_terminal("migrate", "shown", "--wait", "--timeout", "120")
        self.assertEqual(code, 0, seen)
        frames = [f for f in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", seen)) if f.startswith("[")]
        self.assertTrue(any(re.match(r"\[=+>? *\] +\d+ %  .*left", f) for f in frames), seen)
        self.assertTrue(all(len(f) < 120 for f in frames), "a line is longer than the terminal")
        self.assertIn("\r", seen.replace("\r\n", ""))   # drawn over and over, not line after line
        plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", seen)
        self.assertTrue(plain.rstrip().splitlines()[-1].startswith(f"VM shown was migrated from node {source} to node {target}"), seen)
        percents = [int(m) for f in frames for m in re.findall(r"\] +(\d+) %", f)]
        self.assertEqual(percents[-1], 100)
        # The same, as kubectl shows it: phases in their order, and how far it is.
        wait("kubectl has seen the end", lambda: "Succeeded" in self.cluster.kubectl("get", "vmim"))
        watch.terminate()
        told = watch.communicate()[0]
        places = [told.find(word) for word in ("Pending", "Scheduling", "Running", "Succeeded")]
        places = places[next(i for i, p in enumerate(places) if p >= 0):]   # it may have come late for the first ones
        self.assertEqual(places, sorted(places), told)
        for word in (source, target, "Running", "left", "Succeeded", "done in"):
            self.assertIn(word, told)
        # Where nobody looks at a terminal, lines that stay.
        done = c.virtctl("migrate", "shown", "--wait", "--timeout", "120", timeout=150)
        self.assertNotIn("\r", done.stdout + done.stderr)
        self.assertNotIn("[=", done.stdout + done.stderr)
        self.assertRegex(done.stderr, r"Running: iteration \d+, .*left")


if __name__ == "__main__":
    cluster.main()
