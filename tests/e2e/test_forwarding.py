"""The machine's setting for forwarding: shared by all instances, put back by the last. With the machine to itself."""
import os
import signal
import unittest

import cluster
from cluster import Cluster, run
from test_standalone import supervisor_of


def forwarding():
    with open("/proc/sys/net/ipv4/ip_forward") as f:
        return f.read().strip()


class Forwarding(unittest.TestCase):
    def test_put_back(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        if [n for n in os.listdir("/sys/class/net") if n.startswith("nvbr")] or os.path.exists("/run/nodevirt/forwarding.json"):
            self.skipTest("another instance runs on this machine")
        before = forwarding()
        self.addCleanup(run, ["sysctl", "-q", "-w", f"net.ipv4.ip_forward={before}"])
        run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=0"])
        one = Cluster()
        self.addCleanup(one.close)
        two = Cluster()
        self.addCleanup(two.close)
        self.assertEqual(forwarding(), "1")
        one.nodevirt("down")
        self.assertEqual(forwarding(), "1")
        os.kill(supervisor_of(two), signal.SIGKILL)
        two.nodevirt("down")
        self.assertEqual(forwarding(), "0")


if __name__ == "__main__":
    cluster.main()
