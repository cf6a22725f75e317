"""Live migration between two nodes, with real guests: a guest that counts goes on counting on the other node."""
import json
import os
import signal

import cluster
from cluster import vm, wait
from migrating import Moves, Recorder
from test_seed import banner


class Migration(Moves):
    def test_there_and_back_again(self):
        c = self.cluster
        vmi = self.start("vm-demo")
        source, target = vmi["status"]["nodeName"], self.other(vmi["status"]["nodeName"])
        c.virtctl("expose", "vm", "vm-demo", "--name", "demo-ssh", "--port", "2222", "--target-port", "22")
        address = c.get("service", "demo-ssh")["spec"]["clusterIP"]
        wait("the Service answers", lambda: banner(address, 2222).startswith("SSH-2.0"), 60)
        self.count("vm-demo")
        last = self.numbers("vm-demo", 3)[-1]
        recorder = self.enterContext(Recorder(c, vmi["metadata"]["uid"]))

        self.migrate("vm-demo", "there")
        self.assertEqual(self.ended("there"), "Succeeded", c.kubectl("get", "vmim,vmi", "-o", "yaml"))
        vmi = c.get("vmi", "vm-demo")
        state = vmi["status"]["migrationState"]
        self.assertEqual(vmi["status"]["nodeName"], target)
        self.assertEqual(vmi["metadata"]["labels"]["kubevirt.io/nodeName"], target)
        self.assertTrue(state["completed"])
        self.assertFalse(state.get("failed", False))
        for field in ("startTimestamp", "endTimestamp", "targetNodeAddress", "targetNodeDomainReadyTimestamp"):
            self.assertTrue(state.get(field), field)
        pod = c.get("pod", state["targetPod"])
        self.assertEqual(vmi["status"]["interfaces"][0]["ipAddress"], pod["status"]["podIP"])
        last = self.assert_counts_on("vm-demo", last)
        self.assert_once("vm-demo")
        wait("the Service follows", lambda: banner(address, 2222).startswith("SSH-2.0"), 20)
        wait("the pod that was left is gone", lambda: len(c.get("pods", "-l", "vm.kubevirt.io/name=vm-demo")["items"]) == 1)
        self.assertEqual(c.phase("vm-demo"), "Running")

        self.migrate("vm-demo", "back")
        self.assertEqual(self.ended("back"), "Succeeded")
        self.assertEqual(self.node("vm-demo"), source)
        self.assert_counts_on("vm-demo", last)
        self.assert_once("vm-demo")
        recorder.check(self)
        c.virtctl("stop", "vm-demo")
        c.wait_gone("vmi", "vm-demo")

    def test_cancelled_while_it_runs(self):
        c = self.cluster
        self.addCleanup(lambda: c.kubectl("delete", "migrationpolicy", "slow", "--ignore-not-found"))
        c.apply({"apiVersion": "migrations.kubevirt.io/v1alpha1", "kind": "MigrationPolicy", "metadata": {"name": "slow"},
                 "spec": {"bandwidthPerMigration": "1Mi", "selectors": {"virtualMachineInstanceSelector": {"kubevirt.io/vm": "stays"}}}})
        machine = vm("stays", strategy="Always")
        machine["spec"]["template"]["metadata"]["labels"]["kubevirt.io/vm"] = "stays"
        c.apply(machine)
        c.wait_running("stays")
        wait("it can be migrated", lambda: self.condition("stays", "LiveMigratable") == "True")
        node = self.node("stays")
        self.count("stays")
        self.migrate("stays", "called-off")
        wait("it runs", lambda: self.phase("called-off") == "Running", 120)

        def progress():
            return json.loads(c.get("vmi", "stays")["metadata"]["annotations"].get("nodevirt.io/migration-progress", "{}"))
        wait("its progress", lambda: progress().get("totalBytes", 0) > 0 and progress()["explanation"], 30)
        last = self.numbers("stays", 3)[-1]
        c.kubectl("delete", "vmim", "called-off", "--wait=false")
        wait("cancelled", lambda: c.get("vmi", "stays")["status"]["migrationState"].get("failed"), 60)
        state = c.get("vmi", "stays")["status"]["migrationState"]
        self.assertEqual(state.get("abortStatus"), "Succeeded")
        c.wait_gone("vmim", "called-off")
        self.assertEqual(self.node("stays"), node)
        self.assert_counts_on("stays", last)
        self.assert_once("stays")

    def test_either_virt_handler_is_killed(self):
        c = self.cluster
        self.start("tough")
        self.count("tough")
        for side in ("source", "target"):
            source = self.node("tough")
            last = self.numbers("tough", 3)[-1]
            self.migrate("tough", f"kill-{side}")
            wait("it runs", lambda: self.phase(f"kill-{side}") in ("Running", "Succeeded"), 120)
            os.kill(self.handler_pid(source if side == "source" else self.other(source)), signal.SIGKILL)
            self.ended(f"kill-{side}")
            self.assert_counts_on("tough", last)
            self.assert_once("tough")
            state = c.get("vmi", "tough")["status"]["migrationState"]
            self.assertEqual(self.node("tough"), self.other(source) if state.get("completed") else source)
        # The next one works.
        last = self.numbers("tough", 3)[-1]
        self.migrate("tough", "after")
        self.assertEqual(self.ended("after"), "Succeeded")
        self.assert_counts_on("tough", last)

    def test_stopped_while_it_migrates(self):
        c = self.cluster
        c.apply({"apiVersion": "migrations.kubevirt.io/v1alpha1", "kind": "MigrationPolicy", "metadata": {"name": "slow2"},
                 "spec": {"bandwidthPerMigration": "1Mi", "selectors": {"virtualMachineInstanceSelector": {"kubevirt.io/vm": "leaves"}}}})
        self.addCleanup(lambda: c.kubectl("delete", "migrationpolicy", "slow2"))
        machine = vm("leaves", strategy="RerunOnFailure")
        machine["spec"]["template"]["metadata"]["labels"]["kubevirt.io/vm"] = "leaves"
        c.apply(machine)
        c.wait_running("leaves")
        wait("it can be migrated", lambda: self.condition("leaves", "LiveMigratable") == "True")
        self.migrate("leaves", "in-vain")
        wait("it runs", lambda: self.phase("in-vain") == "Running", 120)
        c.virtctl("stop", "leaves")
        c.wait_gone("vmi", "leaves", 120)
        self.assertEqual(self.ended("in-vain"), "Failed")


if __name__ == "__main__":
    cluster.main()
