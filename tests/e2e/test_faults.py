"""Bad input: one clear message each, nothing half-made, and mending the cause is enough to go on."""
import os
import shutil

import cluster
from cluster import Failed, program, run, vm, wait


class Faults(cluster.Case):
    def refused(self, machine, *texts):
        with self.assertRaises(Failed) as caught:
            self.cluster.apply(machine)
        for text in texts:
            self.assertIn(text, str(caught.exception))
        self.assertFalse([v for v in self.cluster.get("vm")["items"] if v["metadata"]["name"] == machine["metadata"]["name"]])

    def changed(self, change):
        machine = vm("bad", running=False)
        change(machine["spec"]["template"]["spec"])
        return machine

    def test_refused_at_admission(self):
        disks = lambda s: s["domain"]["devices"]["disks"]
        cases = {
            "unknown field": (lambda s: s["domain"].update(cpus=3), ["unknown field", "cpus"]),
            "wrong type": (lambda s: s.update(terminationGracePeriodSeconds="soon"), ["terminationGracePeriodSeconds"]),
            "bad quantity": (lambda s: s["domain"]["resources"]["requests"].update(memory="64MB"), ["memory"]),
            "two disks of one name": (lambda s: disks(s).append(dict(disks(s)[0])), ["disks[1].name", "containerdisk"]),
            "a disk without its volume": (lambda s: disks(s).append({"name": "none", "disk": {}}), ["disks[1]", "none"]),
            "an unknown bus": (lambda s: disks(s)[0]["disk"].update(bus="floppy"), ["bus"]),
            "not supported yet": (lambda s: s["domain"].update(launchSecurity={"sev": {}}), ["launchSecurity"]),
            "seed data that is no base64": (lambda s: (disks(s).append({"name": "seed", "disk": {"bus": "virtio"}}),
                                            s["volumes"].append({"name": "seed", "cloudInitNoCloud": {"userDataBase64": "%%"}})),
                                            ["userDataBase64"]),
        }
        for name, (change, texts) in cases.items():
            with self.subTest(name):
                self.refused(self.changed(change), *texts)
        both = vm("bad", running=True)
        both["spec"]["runStrategy"] = "Always"
        self.refused(both, "mutually exclusive")

    def test_image_that_does_not_exist(self):
        c = self.cluster
        c.apply(vm("noimage", image="oci-archive:/no/such/file.tar", running=True))
        wait("the status says so", lambda: c.get("vm", "noimage")["status"]["printableStatus"] in ("ErrImagePull", "ImagePullBackOff"))
        self.assertRegex(c.kubectl("describe", "vmi", "noimage"), r"(?i)image")
        machine = vm("noimage", running=True)
        c.apply(machine)
        c.kubectl("delete", "vmi", "noimage", "--wait=false")
        wait("mended", lambda: c.phase("noimage") == "Running", 90)

    def test_corrupt_image(self):
        c = self.cluster
        folder = os.path.join(c.data, "corrupt")
        os.makedirs(f"{folder}/disk", exist_ok=True)
        with open(f"{folder}/disk/disk.qcow2", "wb") as f:
            f.write(b"QFI\xfb\x00\x00\x00\x03" + b"\xff" * 504)
        run(["umoci", "init", "--layout", f"{folder}/oci"])
        run(["umoci", "new", "--image", f"{folder}/oci:latest"])
        run(["umoci", "insert", "--image", f"{folder}/oci:latest", f"{folder}/disk", "/disk"])
        c.nodevirt("image", "import", f"test/corrupt:latest=oci:{folder}/oci:latest")
        c.apply(vm("corrupt", image="test/corrupt:latest", running=True))
        wait("an event names the cause", lambda: "qcow2" in c.kubectl("describe", "vmi", "corrupt"), 60)

    def test_port_taken_and_second_up(self):
        c = self.cluster
        again = run([program("nodevirt"), "up", "--detach", "--data-dir", f"{c.data}-second", "--listen", f"127.0.0.1:{c.port}"],
                    env=c.env, check=False)
        self.assertNotEqual(again.returncode, 0)
        self.assertIn(str(c.port), again.stderr + again.stdout)
        run([program("nodevirt"), "reset", "--yes", "--data-dir", f"{c.data}-second"], env=c.env, check=False)

    def test_without_root(self):
        c = self.cluster
        done = run(["setpriv", "--reuid", "65534", "--clear-groups", program("nodevirt"), "up", "--data-dir", "/tmp/nobody-nodevirt"],
                   env=c.env, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("root", done.stderr + done.stdout)

    def test_kubeconfig_of_somebody_else(self):
        c = self.cluster
        path = os.path.join(c.data, "stranger")
        shutil.copy(c.kubeconfig, path)
        for args in (("set-credentials", "stranger", "--token=somebody-elses"), ("set-context", "--current", "--user=stranger")):
            run(["kubectl", "--kubeconfig", path, "config", *args])
        done = c.virtctl("start", "x", "--kubeconfig", path, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"(?i)unauthorized|must be logged in|forbidden")
        missing = c.virtctl("start", "x", "--kubeconfig", "/no/such/kubeconfig", check=False)
        self.assertIn("/no/such/kubeconfig", missing.stderr)


if __name__ == "__main__":
    cluster.main()
