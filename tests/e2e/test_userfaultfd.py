"""vm.unprivileged_userfaultfd of the machine: set when somebody asks for it, never else, and put back by the last who asked."""
import json
import os
import signal
import unittest

import cluster
from cluster import Cluster, run
from test_standalone import supervisor_of

SETTING = "/proc/sys/vm/unprivileged_userfaultfd"


def setting():
    with open(SETTING) as f:
        return f.read().strip()


class Userfaultfd(unittest.TestCase):
    def test_set_when_asked_and_put_back(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        if os.path.exists("/run/nodevirt/userfaultfd.json"):
            self.skipTest("an instance that asked for it runs on this machine")
        before = setting()
        self.addCleanup(run, ["sysctl", "-q", "-w", f"vm.unprivileged_userfaultfd={before}"])
        run(["sysctl", "-q", "-w", "vm.unprivileged_userfaultfd=0"])
        one = Cluster()
        self.addCleanup(one.close)
        self.assertEqual(setting(), "0")
        self.assertNotIn("userfaultfd", one.said)
        # It runs without: that is not what is asked for now.
        refused = one.nodevirt("up", "--detach", "--allow-userfaultfd", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertEqual(setting(), "0")
        one.nodevirt("down")

        said = one.nodevirt("up", "--detach", "--allow-userfaultfd").stdout
        self.assertIn("[note] vm.unprivileged_userfaultfd is now 1 on this machine", said)
        self.assertEqual(setting(), "1")
        self.assertIn("vm.unprivileged_userfaultfd is 1", one.nodevirt("status").stdout)
        self.assertTrue(json.loads(one.nodevirt("status", "-o", "json").stdout)["allowUserfaultfd"])
        two = Cluster()
        self.addCleanup(two.close)
        self.assertNotIn("userfaultfd", two.said)   # it did not ask, and holds nothing
        three = Cluster(flags=["--allow-userfaultfd"])
        self.addCleanup(three.close)

        # A crash changes nothing, and the next `up` says what it keeps.
        os.kill(supervisor_of(one), signal.SIGKILL)
        self.assertIn("[note] vm.unprivileged_userfaultfd is 1", one.nodevirt("up", "--detach").stdout)
        one.nodevirt("down")
        self.assertEqual(setting(), "1")   # the third one still asks
        three.nodevirt("down", "--keep-guests")
        self.assertEqual(setting(), "1")
        three.nodevirt("down")
        self.assertEqual(setting(), "0")

        # Remembered, until it is taken back.
        self.assertIn("is now 1", one.nodevirt("up", "--detach").stdout)
        one.nodevirt("down")
        self.assertNotIn("userfaultfd", one.nodevirt("up", "--detach", "--allow-userfaultfd=false").stdout)
        self.assertEqual(setting(), "0")
        one.nodevirt("down")
        self.assertNotIn("userfaultfd", one.nodevirt("up", "--detach").stdout)
        self.assertEqual(setting(), "0")


if __name__ == "__main__":
    cluster.main()
