"""Power-off from inside, a kernel's panic, and the death of QEMU, under every run strategy."""
import os
import signal

import cluster
from cluster import Console, Failed, vm, wait


class Strategies(cluster.Case):
    def start(self, name, strategy, **kw):
        manifest = vm(name, strategy=strategy, **kw)
        manifest["spec"]["template"]["spec"]["domain"]["devices"]["panicDevices"] = [{"model": "pvpanic" if strategy == "Once" else "isa"}]
        self.cluster.apply(manifest)
        if strategy == "Manual":
            self.cluster.virtctl("start", name)
        return self.cluster.wait_running(name)

    def power_off(self, name):
        with Console(self.cluster, name) as console:
            console.login("root")
            console.send("poweroff\n")
            console.expect("poweroff")

    def panic(self, name):
        with Console(self.cluster, name) as console:
            console.login("root")
            console.send("echo c >/proc/sysrq-trigger\n")
            console.expect("sysrq-trigger")

    def wait_panicked(self, name):
        """Its end is told as what it was."""
        wait("Failed", lambda: self.vmi(name)["status"]["phase"] == "Failed", 60)
        self.assertEqual(self.vmi(name)["status"]["reason"], "GuestPanicked")
        wait("an event tells of the panic", lambda: "its kernel panicked" in self.cluster.kubectl("describe", "vmi", name), 20)

    def crash(self, vmi):
        pids = self.cluster.qemu_pids(vmi["spec"]["domain"]["firmware"]["uuid"])
        self.assertEqual(len(pids), 1)
        os.kill(pids[0], signal.SIGKILL)

    def vmi(self, name):
        try:
            return self.cluster.get("vmi", name)
        except Failed:
            return None

    def wait_new(self, name, old):
        return wait(f"a new instance of {name}", lambda: (v := self.vmi(name)) and v["metadata"]["uid"] !=
                    old["metadata"]["uid"] and v["status"].get("phase") == "Running" and v, 120)

    def status(self, name):
        return self.cluster.get("vm", name)["status"].get("printableStatus")

    def test_always(self):
        first = self.start("always", "Always")
        self.power_off("always")
        second = self.wait_new("always", first)
        self.panic("always")
        third = self.wait_new("always", second)
        self.crash(third)
        self.wait_new("always", third)
        self.refused("start", "always")

    def refused(self, verb, name):
        done = self.cluster.virtctl(verb, name, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("error:", done.stderr)
        self.assertNotIn("stateChangeRequests", self.cluster.get("vm", name)["status"])

    def test_rerun_on_failure(self):
        first = self.start("rerun", "RerunOnFailure")
        self.panic("rerun")
        self.wait_new("rerun", first)
        self.power_off("rerun")
        self.cluster.wait_gone("vmi", "rerun")
        wait("Stopped", lambda: self.status("rerun") == "Stopped")

    def test_manual(self):
        first = self.start("manual", "Manual")
        self.power_off("manual")
        wait("Succeeded", lambda: self.vmi("manual")["status"]["phase"] == "Succeeded", 60)
        wait("Stopped", lambda: self.status("manual") == "Stopped")
        self.cluster.virtctl("start", "manual")
        second = self.wait_new("manual", first)
        self.panic("manual")
        self.wait_panicked("manual")
        wait("Stopped", lambda: self.status("manual") == "Stopped")
        self.cluster.virtctl("start", "manual")
        self.wait_new("manual", second)

    def test_once(self):
        self.start("once", "Once")
        self.power_off("once")
        wait("Succeeded", lambda: self.vmi("once")["status"]["phase"] == "Succeeded", 60)
        self.refused("start", "once")

    def test_once_and_panicked(self):
        self.start("once-only", "Once")
        self.panic("once-only")
        self.wait_panicked("once-only")
        self.refused("start", "once-only")

    def test_halted(self):
        c = self.cluster
        c.apply(vm("halted", strategy="Halted"))
        wait("Stopped", lambda: self.status("halted") == "Stopped")
        self.refused("stop", "halted")
        c.virtctl("start", "halted")
        c.wait_running("halted")
        self.assertEqual(c.get("vm", "halted")["spec"]["runStrategy"], "Always")


if __name__ == "__main__":
    cluster.main()
