"""virt-handler falls silent between the hand-over of an instance and its guest's start: the machine with a fence runs on another
node once nobody waits for it any longer, and the return of virt-handler starts nothing."""
import cluster
from cluster import wait
from test_fence import Fence, Silence, pinned

SECONDS = 5


class FenceStart(Fence):
    # The others have a file of their own.
    test_a_node_that_falls_silent = test_a_node_that_is_away_for_a_moment = test_an_api_server_that_hangs = None

    def test_a_guest_that_was_never_started(self):
        c = self.cluster
        with Silence(c, "node2", ["virt-handler"]) as silence:
            self.assertEqual(len(silence.pids), 1)
            c.apply(pinned("fenced", SECONDS))
            first = wait("it is handed over", lambda: c.phase("fenced") == "Scheduled" and c.get("vmi", "fenced"), 60)
            self.assertEqual(first["status"]["nodeName"], "node2")
            self.assertEqual(first["metadata"]["annotations"]["nodevirt.io/fence-at-start"], str(SECONDS))

            def given_up():
                self.assertEqual(c.qemu_pids(first["metadata"]["uid"]), [])
                return c.get("vmi", "fenced")["metadata"]["uid"] != first["metadata"]["uid"]
            wait("it is given up", given_up, 150)
            again = c.wait_running("fenced", 120)
            self.assertEqual(again["status"]["nodeName"], "node1")
            self.assertIn("has not armed its fence", c.kubectl("get", "events"))
            silence.end()
        wait("the node takes guests again", lambda: c.get("node", "node2")["metadata"]["labels"]["kubevirt.io/schedulable"] == "true", 60)
        self.assertEqual(len(self.uuid_qemus(again)), 1)
        self.assertEqual(c.get("vmi", "fenced")["metadata"]["uid"], again["metadata"]["uid"])
        # This one was in force before the guest started.
        entry = c.get("lease", "virt-handler-node1", "-n", "kubevirt")["metadata"]["annotations"]
        self.assertEqual(entry[f"fence.nodevirt.io/{c.launcher_pod('fenced')['metadata']['uid']}"], str(SECONDS))


del Fence   # so that it is not run here

if __name__ == "__main__":
    cluster.main()
