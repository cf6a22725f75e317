"""What tests of migration settings and volumes share: two nodes, and a guest that counts on its console."""
import re

import cluster
from cluster import Console, run, vm, wait, without_global_pages


class Counting(cluster.Case):
    nodes = 2

    def tearDown(self):
        run(["kubectl", "delete", "vmim,migrationpolicies", "--all", "--timeout=60s"], env=self.cluster.env, check=False)
        super().tearDown()

    def begin(self, name, machine=None, migratable=True, **kw):
        self.cluster.apply(machine or without_global_pages(vm(name, strategy="Always", **kw)))
        self.cluster.wait_running(name)
        wait("it is known whether it can be migrated", lambda: self.condition(name, "LiveMigratable") == str(migratable))
        return self.cluster.get("vmi", name)

    def condition(self, name, kind, of="vmi", field="status"):
        for c in self.cluster.get(of, name)["status"].get("conditions", []):
            if c["type"] == kind:
                return c.get(field, "")

    def node(self, name):
        return self.cluster.get("vmi", name)["status"]["nodeName"]

    def other(self, node):
        return {"node1": "node2", "node2": "node1"}[node]

    def vmims(self, name):
        return [m for m in self.cluster.get("vmim")["items"] if m["spec"]["vmiName"] == name]

    def count(self, console):
        """Each number once, in order, whatever happens to the guest."""
        console.run("(n=0; while :; do n=$((n+1)); echo count-$n; sleep 0.2; done) & true")
        console.expect("count-3")

    def numbers(self, name, atleast):
        """The numbers that the console says from now on."""
        with Console(self.cluster, name) as console:
            def enough():
                console._read()
                return len(re.findall(r"count-(\d+)\r?\n", console.seen)) >= atleast
            wait(f"{name} counts", enough, 90)
            return [int(n) for n in re.findall(r"count-(\d+)\r?\n", console.seen)]

    def assert_counts_on(self, name, before):
        got = self.numbers(name, 5)[1:]   # the first may have been cut by the connection
        self.assertEqual(got, list(range(got[0], got[0] + len(got))))
        self.assertGreater(got[0], before)
        return got[-1]

    def assert_once(self, name):
        uid = self.cluster.get("vmi", name)["metadata"]["uid"]
        wait("one QEMU", lambda: len(self.cluster.qemu_pids(uid)) == 1, 30)
