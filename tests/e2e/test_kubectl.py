"""kubectl's everyday commands on machines, instances, pods and nodes."""
import json, os, re, subprocess

import cluster
from cluster import run, vm, wait
from tools import Tools


class Kubectl(Tools):
    def test_explain_and_discovery(self):
        c = self.cluster
        text = c.kubectl("explain", "vm.spec.template.spec.domain.devices.disks.disk")
        self.assertIn("bus", text)
        self.assertIn("GROUP:      kubevirt.io", text)
        self.assertIn("terminationGracePeriodSeconds", c.kubectl("explain", "vmi.spec", "--recursive"))
        self.assertIn("nodeSelector", c.kubectl("explain", "pod.spec"))
        self.assertIn("does not exist", self.fails("kubectl", "explain", "vm.spec.bogus"))
        names = c.kubectl("api-resources", "-o", "name").split()
        for name in ("virtualmachines.kubevirt.io", "virtualmachineinstances.kubevirt.io", "pods", "nodes", "events"):
            self.assertIn(name, names)
        everyday = c.kubectl("api-resources", "--api-group=kubevirt.io", "--categories=all", "-o", "name").split()
        self.assertLessEqual({"virtualmachineinstances.kubevirt.io", "virtualmachines.kubevirt.io"}, set(everyday))
        self.assertIn("kubevirt.io/v1", c.kubectl("api-versions").split())
        self.assertIn("control plane", c.kubectl("cluster-info"))
        self.assertEqual(c.kubectl("get", "--raw", "/readyz"), "ok")
        self.assertIn("Metrics API not available", self.fails("kubectl", "top", "pods"))

    def test_access(self):
        c = self.cluster
        self.assertEqual(c.kubectl("auth", "can-i", "create", "vms").strip(), "yes")
        self.assertEqual(run(["kubectl", "auth", "can-i", "delete", "vms", "--as", "bob"], env=c.env, check=False).stdout.strip(), "no")
        c.kubectl("create", "role", "starter", "--verb=get,list", "--resource=virtualmachines.kubevirt.io")
        c.kubectl("create", "rolebinding", "starter", "--role=starter", "--user=bob")
        self.assertEqual(c.kubectl("auth", "can-i", "list", "vms", "--as", "bob").strip(), "yes")
        self.assertIn("virtualmachines.kubevirt.io", c.kubectl("auth", "can-i", "--list", "--as", "bob"))
        self.assertIn("Username", c.kubectl("auth", "whoami"))
        c.kubectl("get", "vms", "--as", "bob")
        self.assertIn("Forbidden", self.fails("kubectl", "delete", "vm", "any", "--as", "bob"))
        c.kubectl("delete", "role,rolebinding", "starter")

    def test_own_service(self):
        """Deleting every service does not take the cluster's own for long."""
        # Another test may have deleted it a moment ago.
        address = wait("the service kubernetes", lambda: self.cluster.get("service", "kubernetes"), 60)["spec"]["clusterIP"]
        self.cluster.kubectl("delete", "services", "--all")
        again = wait("the service kubernetes", lambda: self.cluster.get("service", "kubernetes"), 60)
        self.assertEqual(again["spec"]["clusterIP"], address)

    def test_edit_diff_apply(self):
        c = self.cluster
        manifest = vm("edited", running=False, grace=30)
        c.apply(manifest)
        # edit: saved, unchanged, refused and kept for another try.
        editor = self.file("editor", "#!/bin/sh\nsed -i 's/terminationGracePeriodSeconds: 30/terminationGracePeriodSeconds: 45/' \"$1\"\n", 0o755)
        env = dict(c.env, EDITOR=editor, KUBE_EDITOR=editor)
        self.assertIn("edited", run(["kubectl", "edit", "vm", "edited"], env=env).stdout)
        self.assertEqual(c.get("vm", "edited")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 45)
        same = run(["kubectl", "edit", "vm", "edited"], env=env)
        self.assertIn("no changes", same.stdout + same.stderr)
        bad = self.file("bad", "#!/bin/sh\nsed -i 's/terminationGracePeriodSeconds: 45/terminationGracePeriodSeconds: many/' \"$1\"\n", 0o755)
        refused = self.fails("kubectl", "edit", "vm", "edited", env=dict(env, EDITOR=bad, KUBE_EDITOR=bad))
        copy = re.search(r'stored to "([^"]+)"', refused).group(1)
        self.addCleanup(os.unlink, copy)
        with open(copy) as f:
            self.assertRegex(f.read(), r"# \* spec.template.spec.terminationGracePeriodSeconds: Invalid value")
        # diff: 1 and the line when it differs, 0 when not.
        manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 60
        text = json.dumps(manifest)
        differs = run(["kubectl", "diff", "-f", "-"], env=c.env, input=text, check=False)
        self.assertEqual(differs.returncode, 1, differs.stderr)
        self.assertIn("+      terminationGracePeriodSeconds: 60", differs.stdout)
        c.kubectl("apply", "-f", "-", input=text)
        self.assertEqual(run(["kubectl", "diff", "-f", "-"], env=c.env, input=text, check=False).returncode, 0)
        # Server-side: two owners disagree, one insists.
        def owned(value, manager, *flags):
            body = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": "owned"},
                    "spec": {"runStrategy": "Halted", "template": {"spec": {"terminationGracePeriodSeconds": value,
                             "domain": {"devices": {}, "resources": {"requests": {"memory": "64M"}}}}}}}
            return run(["kubectl", "apply", "--server-side", "--field-manager", manager, "-f", "-", *flags],
                       env=c.env, input=json.dumps(body), check=False)
        self.assertEqual(owned(10, "one").returncode, 0)
        conflict = owned(20, "two")
        self.assertIn('conflict with "one"', conflict.stderr)
        self.assertIn(".spec.template.spec.terminationGracePeriodSeconds", conflict.stderr)
        self.assertEqual(owned(20, "two", "--force-conflicts").returncode, 0)
        self.assertEqual(c.get("vm", "owned")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 20)
        # Patches; the status is its own subresource.
        c.kubectl("patch", "vm", "owned", "--type=json", "-p", '[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]')
        c.kubectl("patch", "vm", "owned", "--subresource=status", "--type=merge", "-p", '{"status":{"startFailure":{"consecutiveFailCount":3}}}')
        c.kubectl("patch", "vm", "owned", "--type=merge", "-p", '{"status":{"created":true}}')
        self.assertFalse(c.get("vm", "owned")["status"].get("created"))
        self.assertIn("NotFound", self.fails("kubectl", "scale", "vm", "owned", "--replicas=2"))
        replaced = c.get("vm", "owned")
        replaced["metadata"]["labels"]["a"] = "c"
        c.kubectl("replace", "-f", "-", input=json.dumps(replaced))
        self.assertIn("Conflict", self.fails("kubectl", "replace", "-f", "-", input=json.dumps(replaced)))
        c.kubectl("label", "vm", "owned", "a-")
        c.kubectl("annotate", "vm", "owned", "note=kept")
        self.assertEqual(c.get("vm", "owned")["metadata"]["annotations"]["note"], "kept")

    def test_lists(self):
        c = self.cluster
        names = []
        for n in range(7):
            body = vm("", running=False)
            body["metadata"] = {"generateName": "many-", "labels": {"n": str(n), "parity": "odd" if n % 2 else "even"}}
            names.append(c.kubectl("create", "-f", "-", "-o", "name", input=json.dumps(body)).strip().partition("/")[2])
        self.assertEqual(len(set(names)), 7)
        self.assertTrue(all(re.fullmatch(r"many-[a-z0-9]{5}", n) for n in names), names)

        def listed(*argv):
            return [x.partition("/")[2] for x in c.kubectl("get", "vm", "-o", "name", *argv).split()]
        self.assertEqual(sorted(listed("--chunk-size=2")), sorted(names))
        self.assertEqual(sorted(listed("-l", "parity=odd")), sorted(names[1::2]))
        self.assertEqual(sorted(listed("-l", "n in (0,1),parity!=odd")), [names[0]])
        self.assertEqual(listed("-l", "!parity"), [])
        self.assertEqual(listed("--field-selector", f"metadata.name={names[3]}"), [names[3]])
        self.assertIn("field label not supported", self.fails("kubectl", "get", "vm", "--field-selector", "spec.x=y"))
        rows = c.kubectl("get", "vm", "-A", "--sort-by={.metadata.labels.n}", "--no-headers", "-L", "n").splitlines()
        self.assertEqual([row.split()[-1] for row in rows], list("0123456"))
        self.assertIn("many-", c.kubectl("get", "all", "--chunk-size=3"))
        wide = c.kubectl("get", "vm", names[0], "-o", "wide").splitlines()[0].split()
        self.assertEqual(wide[:4], ["NAME", "AGE", "STATUS", "READY"])
        # A watch shows rows as they change.
        watch = subprocess.Popen(["kubectl", "get", "vm", "-o", "wide", "-w", "--output-watch-events"], env=c.env,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            for _ in range(8):
                watch.stdout.readline()
            c.kubectl("delete", "vm", names[0], "--wait=false")
            def deleted():
                line = watch.stdout.readline()
                return line.startswith("DELETED") and names[0] in line
            wait("the watch tells of the deletion", deleted, 30)
        finally:
            watch.kill()
            watch.communicate()
        self.assertIn("deleted", c.kubectl("delete", "vm", "-l", "parity", "--timeout=60s"))

    def test_a_running_guest(self):
        """describe, logs, wait, events, exec; what is not offered says so."""
        c = self.cluster
        c.apply(vm("guest", running=True))
        c.kubectl("wait", "vm/guest", "--for=condition=Ready", "--timeout=90s")
        c.kubectl("wait", "vmi/guest", "--for=jsonpath={.status.phase}=Running", "--timeout=60s")
        pod = c.launcher_pod("guest")["metadata"]["name"]
        node = c.get("vmi", "guest")["status"]["nodeName"]
        for what, texts in ((("vm", "guest"), ["Printable Status:", "SuccessfulCreate"]),
                            (("vmi", "guest"), ["Node Name:", "Started"]),
                            (("pod", pod), ["Controlled By:", "virtual-machine-unpaused", "Started container compute"]),
                            (("node", node), [pod, "Allocated resources:", "devices.kubevirt.io/kvm", "RenewTime"])):
            with self.subTest(what):
                said = c.kubectl("describe", *what)
                for text in texts:
                    self.assertIn(text, said)
        self.assertIn("the guest runs", c.kubectl("logs", pod))
        self.assertEqual(len(c.kubectl("logs", pod, "--tail=1").splitlines()), 1)
        follow = subprocess.Popen(["kubectl", "logs", "-f", "--tail=0", pod], env=c.env, stdout=subprocess.PIPE, text=True)
        events = subprocess.Popen(["kubectl", "events", "--for", "vmi/guest", "-w"], env=c.env, stdout=subprocess.PIPE, text=True)
        try:
            self.assertIn("REASON", events.stdout.readline())
            self.assertIn("exec into pods is not offered", self.fails("kubectl", "exec", pod, "--", "true"))
            self.assertIn("not offered", self.fails("kubectl", "port-forward", pod, "0:22"))
            self.assertIn("timed out", self.fails("kubectl", "wait", "vm/guest", "--for=delete", "--timeout=1s"))
            c.kubectl("delete", "vm", "guest", "--wait=false")
            c.kubectl("wait", "vm/guest", "--for=delete", "--timeout=90s")
            self.assertTrue(follow.communicate(timeout=30)[0].strip(), "logs -f said nothing of the end")
            seen = []
            wait("events -w tells of the deletion", lambda: seen.append(events.stdout.readline()) or "Delete" in seen[-1], 30)
        finally:
            for process in (follow, events):
                process.kill()
                process.communicate()

    def test_drain(self):
        """A drained node's guest shuts down and starts again on the other."""
        c = self.cluster
        self.start_guest()
        node, uid = c.get("vmi", "guest")["status"]["nodeName"], self.uid("guest")
        self.addCleanup(c.kubectl, "uncordon", node)
        c.kubectl("cordon", node)
        self.assertIn("SchedulingDisabled", c.kubectl("get", "node", node))
        self.assertIn("local storage", self.fails("kubectl", "drain", node, "--timeout=30s"))
        self.assertIn("drained", c.kubectl("drain", node, "--delete-emptydir-data", "--ignore-daemonsets", "--timeout=100s"))
        def elsewhere():
            vmi = c.get("vmi", "guest")
            return vmi["metadata"]["uid"] != uid and vmi["status"].get("phase") == "Running" and vmi["status"]["nodeName"] != node
        wait("the guest runs on the other node", elsewhere, 120)
        c.wait_console("guest", "login:")
        self.assertEqual(len(c.qemu_pids()), 1)
        c.kubectl("uncordon", node)
        self.assertNotIn("SchedulingDisabled", c.kubectl("get", "node", node))

    def test_examples(self):
        """Every file in manifests/examples is accepted, and its machines run."""
        c = self.cluster
        folder = os.path.join(cluster.ROOT, "manifests/examples")
        for name in sorted(os.listdir(folder)):
            with self.subTest(name):
                self.assertIn("created", c.kubectl("create", "-f", os.path.join(folder, name)))
        for machine in c.get("vm")["items"]:
            name = machine["metadata"]["name"]
            if machine["status"].get("printableStatus") == "Stopped" and name != "vm-64bit":  # that image is not here
                c.virtctl("start", name)
        for name in ("vm-demo", "vm-cirros", "vm-pvc", "vmi-ephemeral"):
            with self.subTest(name):
                c.wait_running(name)
        self.assertIn("deleted", c.kubectl("delete", "-f", folder, "--timeout=100s"))


if __name__ == "__main__":
    cluster.main()
