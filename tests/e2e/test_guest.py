"""A real guest: boot to login, console both ways, cloud-init, network both ways, stops, pause."""
import re
import socket
import threading
import unittest

import cluster
from cluster import Console, run, vm, wait
from test_seed import banner


def host_address(c):
    """An address of this machine that the guests can reach: its end of the nodes' link."""
    node = c.get("nodes")["items"][0]
    ip = [a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"][0]
    out = run(["ip", "-o", "route", "get", ip]).stdout
    return re.search(r"src (\S+)", out).group(1)


class Guest(cluster.Case):
    def test_console_cloud_init_and_network(self):
        c = self.cluster
        c.apply(vm("guest", running=True, user_data="#!/bin/sh\necho hello-$(hostname) from the seed\n"))
        c.wait_running("guest")
        c.wait_console("guest", "hello-guest from the seed")
        with Console(c, "guest") as console:
            console.login()
            self.assertIn("42", console.run("echo $((6*7))"))
            # Out: to a listener on this machine.
            listener = socket.create_server((host_address(c), 0))
            got = []

            def accept():
                s, peer = listener.accept()
                got.append(s.recv(100).decode())
                s.close()
            thread = threading.Thread(target=accept, daemon=True)
            thread.start()
            host, port = listener.getsockname()
            console.run(f"echo out-from-guest | nc -w 3 {host} {port}")
            thread.join(20)
            self.assertEqual(got, ["out-from-guest\n"])
            listener.close()
            # DNS: the cluster's own names.
            service = c.get("service", "kubernetes")["spec"]["clusterIP"]
            self.assertIn(f"Address: {service}\r\n", console.run("nslookup kubernetes.default.svc.cluster.local"))
        # In: at the pod's address.
        ip = c.get("vmi", "guest")["status"]["interfaces"][0]["ipAddress"]
        self.assertEqual(ip, c.launcher_pod("guest")["status"]["podIP"])
        wait("ssh banner at the pod's address", lambda: banner(ip, 22).startswith("SSH-2.0"), 30)

    def test_second_viewer_takes_over(self):
        c = self.cluster
        c.apply(vm("shared", running=True))
        c.wait_running("shared")
        with Console(c, "shared") as first:
            first.expect_error("Connected")
            with Console(c, "shared") as second:
                second.login()
                first.expect_error("taken over")
                self.assertIn("43", second.run("echo $((42+1))"))
            self.assertNotIn("taken over", first.seen)

    def test_graceful_and_forced_stop(self):
        c = self.cluster
        c.apply(vm("stopping", running=True, grace=60))
        c.wait_running("stopping")
        c.wait_console("stopping", "login:")
        with Console(c, "stopping") as console:
            console.expect_error("Connected")
            c.virtctl("stop", "stopping")
            console.expect("power button pressed")
        c.wait_gone("vmi", "stopping", 60)
        c.virtctl("start", "stopping")
        c.wait_running("stopping")
        # Before the guest's kernel listens, only force helps.
        c.virtctl("stop", "stopping", "--force", "--grace-period", "0")
        c.wait_gone("vmi", "stopping", 30)
        wait("QEMU is gone", lambda: not c.qemu_pids(), 10)

    def test_pause(self):
        c = self.cluster
        c.apply(vm("paused", running=True))
        c.wait_running("paused")
        c.virtctl("pause", "paused")
        wait("Paused", lambda: c.get("vm", "paused")["status"]["printableStatus"] == "Paused")
        c.virtctl("unpause", "paused")
        wait("Running", lambda: c.get("vm", "paused")["status"]["printableStatus"] == "Running")

    def test_console_waits_and_survives_a_restart(self):
        c = self.cluster
        c.apply(vm("again", running=True))
        with Console(c, "again") as console:
            console.login()
            c.virtctl("restart", "again", "--force", "--grace-period", "0")
            console.expect_error("ended", 60)
            console.login()
            self.assertIn("44", console.run("echo $((2*22))"))


if __name__ == "__main__":
    cluster.main()
