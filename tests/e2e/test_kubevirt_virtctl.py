"""KubeVirt's own virtctl against this stack: NODEVIRT_KUBEVIRT_VIRTCTL=PROGRAM; left out without it.

Its repository builds it without a network: `go build ./cmd/virtctl` at a release's tag, with the Go that its go.mod
names (1.6 takes golang-1.23 of bookworm-backports)."""
import os, pty, select, subprocess, unittest

import cluster, rfb
from cluster import run, vm, wait
from tools import Proxy, Tools

KUBEVIRT_VIRTCTL = os.environ.get("NODEVIRT_KUBEVIRT_VIRTCTL", "")


@unittest.skipUnless(KUBEVIRT_VIRTCTL, "NODEVIRT_KUBEVIRT_VIRTCTL does not name KubeVirt's own virtctl")
class KubevirtVirtctl(Tools):
    """Tried with 1.6.6."""

    def theirs(self, *argv, code=0, says=""):
        done = run([KUBEVIRT_VIRTCTL, *argv], check=False, env=dict(self.cluster.env, HOME=self.folder), timeout=60)
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, code, f"{argv}: {said}")
        self.assertIn(says, said, argv)
        return said

    def test_verbs(self):
        c = self.cluster
        c.apply(vm("guest", running=False, grace=60))
        c.apply(vm("manual", strategy="Manual"))
        conflict = 'Operation cannot be fulfilled on virtualmachine.kubevirt.io "guest": '
        of_vmi = 'Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io "guest": '
        self.theirs("version", says="Server Version")
        self.theirs("start", "guest", "--dry-run", says="scheduled to start")
        self.assertIn("NotFound", self.fails("kubectl", "get", "vmi", "guest"))
        self.theirs("start", "guest", says="VM guest was scheduled to start")
        c.wait_running("guest")
        c.wait_console("guest", "login:")
        self.theirs("start", "guest", code=1, says=conflict + "VM is already running")
        self.theirs("start", "nobody", code=1, says='virtualmachine.kubevirt.io "nobody" not found')
        self.theirs("pause", "vm", "guest", "--dry-run")
        self.theirs("pause", "vm", "guest", says="scheduled to pause")
        self.theirs("pause", "vmi", "guest", code=1, says=of_vmi + "VMI is already paused")
        wait("the instance says that it is paused", lambda: "Paused" in c.kubectl("get", "vm", "guest"))
        self.theirs("unpause", "vmi", "guest", says="scheduled to unpause")
        self.theirs("unpause", "vm", "guest", code=1, says=of_vmi + "VMI is not paused")
        self.theirs("pause", "vmi", "nobody", code=1, says='virtualmachineinstance.kubevirt.io "nobody" not found')
        for verb in ("soft-reboot", "reset"):
            boots = c.console_log("guest").count("login:")
            self.theirs(verb, "guest", says="VMI guest was scheduled to")
            wait("another boot", lambda: c.console_log("guest").count("login:") > boots, 90)
        for question in ("userlist", "fslist"):
            self.theirs(question, "guest", code=1, says=of_vmi + "VMI does not have guest agent connected")
        self.theirs("guestosinfo", "guest", code=1, says="conflict")
        self.theirs("expose", "vm", "guest", "--name", "first", "--port", "22", says="successfully created")
        self.theirs("expose", "vmi", "guest", "--name", "second", "--port", "2222", "--target-port", "22", "--type", "NodePort")
        self.assertTrue(wait("the service has an endpoint", lambda: c.get("endpoints", "second").get("subsets")))
        self.theirs("expose", "vmi", "guest", "--name", "first", "--port", "22", code=1, says="already exists")
        self.theirs("expand", "--vm", "guest", says="kind: VirtualMachine")
        c.kubectl("apply", "-f", "-", input=self.theirs("create", "vm", "--name", "made", "--run-strategy", "Halted",
                                                       "--volume-containerdisk", "src:nodevirt/demo:latest"))
        for refused in (["removevolume", "guest", "--volume-name", "x"], ["objectgraph", "guest"]):
            self.theirs(*refused, code=1, says="is not supported by this version of Nodevirt")
        uid = self.uid("guest")
        self.theirs("restart", "guest", says="scheduled to restart")
        wait("another instance", lambda: self.uid("guest") != uid and c.phase("guest") == "Running", 90)
        uid = self.uid("guest")
        self.theirs("restart", "guest", "--force", "--grace-period", "0", says="scheduled to restart")
        wait("another instance", lambda: self.uid("guest") != uid and c.phase("guest") == "Running", 90)
        self.theirs("stop", "guest", "--force", "--grace-period", "0", says="scheduled to stop")
        c.wait_gone("vmi", "guest", 30)
        self.theirs("stop", "guest", code=1, says=conflict + "VM is not running")
        self.theirs("restart", "guest", code=1, says="does not support manual restart requests")
        self.theirs("start", "guest", "--paused", says="scheduled to start")
        c.wait_running("guest")
        wait("it starts paused", lambda: "Paused" in c.kubectl("get", "vm", "guest"))
        # A stop just after a restart is a stop.
        self.theirs("unpause", "vm", "guest")
        self.theirs("restart", "guest", "--force", "--grace-period", "0")
        self.theirs("stop", "guest", "--force", "--grace-period", "0")
        c.wait_gone("vmi", "guest", 60)
        self.assertIn("Stopped", c.kubectl("get", "vm", "guest"))
        self.theirs("start", "manual", says="scheduled to start")
        c.wait_running("manual")
        self.theirs("stop", "manual", says="scheduled to stop")
        c.wait_gone("vmi", "manual", 60)

    def test_streams(self):
        c = self.cluster
        self.start_guest()
        master, slave = pty.openpty()
        console = subprocess.Popen([KUBEVIRT_VIRTCTL, "console", "guest"], env=c.env, stdin=slave, stdout=slave, stderr=slave,
                                   start_new_session=True)
        os.close(slave)
        seen = ""

        def say(text, wanted):
            nonlocal seen
            os.write(master, text.encode())
            def found():
                nonlocal seen
                while select.select([master], [], [], 0.1)[0]:
                    seen += os.read(master, 4096).decode(errors="replace")
                return wanted in seen
            wait(f"the console says {wanted!r}", found, 60)
            seen = seen.partition(wanted)[2]
        try:
            say("", "Successfully connected to guest console")
            say("\n", "login:")
            say("demo\n", "assword:")
            say("demo\n", "$")
            say("echo one-$((1+1))\n", "one-2")
            os.write(master, b"\x1d")
            self.assertEqual(console.wait(timeout=20), 0)
        finally:
            console.kill()
            console.wait()
            os.close(master)
        with Proxy(self, "guest", virtctl=KUBEVIRT_VIRTCTL) as proxy, rfb.Screen(proxy.port) as screen:
            self.assertGreater(screen.bright(), 100)
        path = os.path.join(self.folder, "screen.png")
        self.theirs("vnc", "screenshot", "guest", "-f", path)
        with open(path, "rb") as f:
            self.assertGreater(rfb.png_pixels(f.read())[2], 100)
        for place in ("vm/guest", "vmi/guest"):
            forward = subprocess.Popen([KUBEVIRT_VIRTCTL, "port-forward", place, "--stdio=true", "22"], env=c.env,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            try:
                self.assertTrue(forward.stdout.readline().startswith(b"SSH-2.0"))
            finally:
                forward.kill()
                forward.communicate()


if __name__ == "__main__":
    cluster.main()
