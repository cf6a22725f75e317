"""Asking for migrations and calling them off: the door, the queue, target pods, drains. Two nodes, real guests."""
import json

import cluster
from cluster import Console, run, vm, wait
from polling import Polling


def migration(name, vmi):
    return {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration", "metadata": {"name": name}, "spec": {"vmiName": vmi}}


class Control(cluster.Case):
    nodes = 2

    def tearDown(self):
        run(["kubectl", "delete", "vmim,migrationpolicies", "--all", "--timeout=60s"], env=self.cluster.env, check=False)
        for node in self.cluster.get("nodes")["items"]:
            run(["kubectl", "uncordon", node["metadata"]["name"]], env=self.cluster.env, check=False)
        super().tearDown()

    def start(self, name, **kw):
        self.cluster.apply(vm(name, strategy="Always", **kw))
        self.cluster.wait_running(name)
        return wait("it can be migrated", lambda: self.condition(name, "LiveMigratable") and self.cluster.get("vmi", name))

    def condition(self, name, kind):
        for c in self.cluster.get("vmi", name)["status"].get("conditions", []):
            if c["type"] == kind:
                return c["status"] == "True"

    def refused(self, manifest):
        done = run(["kubectl", "create", "-f", "-"], env=self.cluster.env, check=False, input=json.dumps(manifest))
        self.assertNotEqual(done.returncode, 0)
        return done.stderr

    def vmims(self, vmi):
        return [m for m in self.cluster.get("vmim")["items"] if m["spec"]["vmiName"] == vmi]

    def phase(self, name):
        return self.cluster.get("vmim", name).get("status", {}).get("phase", "")

    def other(self, node):
        return [n["metadata"]["name"] for n in self.cluster.get("nodes")["items"] if n["metadata"]["name"] != node][0]

    def pods(self, name):
        return [p for p in self.cluster.get("pods", "-l", f"vm.kubevirt.io/name={name}")["items"] if "deletionTimestamp" not in p["metadata"]]

    def test_the_door(self):
        self.assertIn('the VMI "default/nobody" does not exist', self.refused(migration("m", "nobody")))
        self.start("door")
        own = migration("m", "door")
        own["spec"]["priority"] = "system-critical"
        self.assertIn("only virt-controller is allowed to set priority field", self.refused(own))
        self.assertIn("between clusters", self.refused({**own, "spec": {"vmiName": "door", "receive": {"migrationID": "x"}}}))
        policy = {"apiVersion": "migrations.kubevirt.io/v1alpha1", "kind": "MigrationPolicy", "metadata": {"name": "p"},
                  "spec": {"selectors": {}, "maxDowntimeMs": 50, "completionTimeoutPerGiB": -1}}
        self.assertIn("must not be negative", self.refused(policy))

    def test_cancelled_while_no_node_takes_it(self):
        vmi = self.start("waits")
        self.cluster.kubectl("cordon", self.other(vmi["status"]["nodeName"]))
        self.cluster.virtctl("migrate", "waits")
        m = wait("a migration", lambda: self.vmims("waits"))[0]
        name = m["metadata"]["name"]
        self.assertTrue(name.startswith("kubevirt-migrate-vm-"))
        wait("it says why", lambda: "no node takes it" in self.cluster.kubectl("get", "vmim", name))
        self.assertIn("in-flight migration detected", self.refused(migration("m2", "waits")))
        self.assertEqual(len(self.pods("waits")), 2)
        done = self.cluster.virtctl("migrate-cancel", "waits")
        self.assertIn("VM waits was scheduled to migrate-cancel", done.stdout)
        self.cluster.wait_gone("vmim", name)
        wait("its target pod is gone", lambda: len(self.pods("waits")) == 1)
        self.assertEqual(self.cluster.phase("waits"), "Running")
        self.assertNotEqual(self.cluster.virtctl("migrate-cancel", "waits", check=False).returncode, 0)

    def test_the_queue(self):
        for name in ("q1", "q2", "q3"):
            self.start(name)
        for node in self.cluster.get("nodes")["items"]:
            self.cluster.kubectl("cordon", node["metadata"]["name"])  # the targets stay where they are
        self.cluster.apply({"apiVersion": "kubevirt.io/v1", "kind": "KubeVirt", "metadata": {"name": "kubevirt", "namespace": "kubevirt"},
                            "spec": {"configuration": {"migrations": {"parallelMigrationsPerCluster": 2}}}})
        self.addCleanup(lambda: self.cluster.kubectl("delete", "kubevirt", "kubevirt", "-n", "kubevirt"))
        for name in ("q1", "q2", "q3"):
            self.cluster.apply(migration(f"m-{name}", name))
        wait("two have begun", lambda: sorted(self.phase(f"m-q{i}") for i in (1, 2, 3)) == ["Pending", "Scheduling", "Scheduling"])
        waits = [m for m in self.cluster.get("vmim")["items"] if m["status"]["phase"] == "Pending"][0]
        wait("it says why", lambda: "queued" in self.cluster.kubectl("get", "vmim", waits["metadata"]["name"]))
        begun = [m for m in self.cluster.get("vmim")["items"] if m["status"]["phase"] == "Scheduling"][0]
        self.cluster.kubectl("delete", "vmim", begun["metadata"]["name"])
        wait("its place is taken", lambda: self.phase(waits["metadata"]["name"]) == "Scheduling")

    def test_evictions(self):
        self.start("mobile", evictionStrategy="LiveMigrate")
        self.start("rooted")
        node = self.cluster.get("vmi", "mobile")["status"]["nodeName"]
        there = [n for n in ("mobile", "rooted") if self.cluster.get("vmi", n)["status"]["nodeName"] == node]
        self.cluster.kubectl("cordon", self.other(node))
        pod = self.cluster.launcher_pod("mobile")["metadata"]["name"]
        done = self.cluster.virtctl("evacuate", node, "--dry-run")
        self.assertIn("default/mobile: would be evicted", done.stdout)
        if "rooted" in there:
            self.assertIn("default/rooted: its evictionStrategy is None", done.stdout)
        done = run(["kubectl", "drain", node, "--pod-selector=vm.kubevirt.io/name=mobile", "--force", "--delete-emptydir-data", "--timeout=3s"], env=self.cluster.env, check=False)
        self.assertIn("Eviction triggered evacuation of VMI", done.stdout + done.stderr)
        m = wait("a migration", lambda: self.vmims("mobile"))[0]
        self.assertEqual(m["metadata"]["annotations"]["kubevirt.io/evacuationMigration"], node)
        self.assertEqual(m["spec"]["priority"], "system-critical")
        self.assertEqual(self.cluster.get("vmi", "mobile")["status"]["evacuationNodeName"], node)
        self.assertEqual(self.cluster.launcher_pod("mobile")["metadata"]["name"], pod)
        self.cluster.virtctl("evacuate-cancel", "vm", "mobile")
        self.cluster.virtctl("migrate-cancel", "mobile")
        self.cluster.wait_gone("vmim", m["metadata"]["name"])
        self.assertEqual(self.vmims("mobile"), [])
        self.assertEqual(self.cluster.phase("mobile"), "Running")

    def test_there_and_back(self):
        vmi = self.start("travels")
        source = vmi["status"]["nodeName"]
        target = self.other(source)
        done = self.cluster.virtctl("migrate", "travels", "--wait", "--timeout", "120", timeout=150)
        took = r" in [\d.]+ s with a pause of [\d.]+ s, [\d.]+ MiB sent in \d+ iterations"
        self.assertRegex(done.stdout, f"VM travels was migrated from node {source} to node {target}{took}")
        self.assertRegex(done.stderr.strip().splitlines()[-1], "^Succeeded: done" + took)
        self.assertEqual(self.cluster.get("vmi", "travels")["status"]["nodeName"], target)
        wait("the pod that was left is gone", lambda: [p["spec"]["nodeName"] for p in self.pods("travels")] == [target])
        m = self.vmims("travels")[0]
        self.assertFalse(m["metadata"].get("finalizers"))
        table = self.cluster.kubectl("get", "vmim", m["metadata"]["name"])
        for word in ("Succeeded", source, target):
            self.assertIn(word, table)
        self.assertRegex(table, "done" + took)
        done = self.cluster.virtctl("evacuate", target, "--timeout", "120", "--shut-down", "--dry-run")
        self.cluster.virtctl("migrate", "travels", "--wait", "--timeout", "120", timeout=150)
        self.assertEqual(self.cluster.get("vmi", "travels")["status"]["nodeName"], source)

    def test_it_is_told_as_it_goes(self):
        machine = vm("slow", strategy="Always")
        spec = machine["spec"]["template"]["spec"]
        spec["domain"]["devices"]["disks"].append({"name": "scratch", "disk": {"bus": "virtio"}})
        spec["volumes"].append({"name": "scratch", "emptyDisk": {"capacity": "128Mi"}})
        self.cluster.apply(machine)
        self.cluster.wait_running("slow")
        wait("it can be migrated", lambda: self.condition("slow", "LiveMigratable"))
        with Console(self.cluster, "slow") as console:
            console.login("root")
            console.run("dd if=/dev/urandom of=/dev/vdb bs=1M count=96; sync")
        self.cluster.apply({"apiVersion": "migrations.kubevirt.io/v1alpha1", "kind": "MigrationPolicy", "metadata": {"name": "p"},
                            "spec": {"selectors": {}, "bandwidthPerMigration": "8Mi"}})

        def look():
            for m in self.vmims("slow"):
                if text := m["metadata"].get("annotations", {}).get("nodevirt.io/migration-progress"):
                    return json.loads(text)
        with Polling(0.3, look) as told:
            self.cluster.virtctl("migrate", "slow", "--wait", "--timeout", "120", timeout=150)
        disks = {p["diskRemainingBytes"] for p in told.seen if p["iteration"] == 0}
        self.assertEqual(max(p["diskTotalBytes"] for p in told.seen) >> 20, 96)
        self.assertGreater(len(disks), 2, disks)   # QEMU copies as much as 16 MiB at once
        passes = {p["remainingBytes"] for p in told.seen if p["iteration"] == 1}
        self.assertGreater(len(passes), 3, passes)
        last = json.loads(self.vmims("slow")[0]["metadata"]["annotations"]["nodevirt.io/migration-progress"])
        self.assertTrue(last["done"])
        self.assertEqual(last["remainingBytes"], 0)
        self.assertGreater(last["seconds"], last["downtimeMs"] / 1000)
        self.assertGreater(last["processedBytes"], 96 << 20)

    def test_a_drained_node_is_empty_at_the_end(self):
        self.start("d1", evictionStrategy="LiveMigrate")
        self.start("d2", evictionStrategy="LiveMigrateIfPossible")
        node = self.cluster.get("vmi", "d1")["status"]["nodeName"]
        done = self.cluster.virtctl("evacuate", node, "--timeout", "200", timeout=240, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"node {node} has no virtual machines", done.stdout)
        for name in ("d1", "d2"):
            vmi = self.cluster.get("vmi", name)
            self.assertEqual(vmi["status"]["phase"], "Running")
            self.assertNotEqual(vmi["status"]["nodeName"], node)
            wait("it is no longer to leave", lambda: "evacuationNodeName" not in self.cluster.get("vmi", name)["status"])


if __name__ == "__main__":
    cluster.main()
