"""kill -9 of the control plane at every failpoint of a migration: the guest runs on exactly one side, once and without
a gap, the status tells the truth, and the next migration works."""
import os
import shutil
import tempfile

import cluster
from cluster import program, run, wait
from migrating import Moves, Recorder


class MigrationFaults(Moves):
    def fire(self, name):
        """A migration with `name` armed, and one after it; True when the failpoint was passed."""
        c = self.cluster
        folder = tempfile.mkdtemp(prefix="nv-once-", dir="/var/tmp")
        os.chmod(folder, 0o1777)
        try:
            c.nodevirt("down", "--keep-guests")
            c.up({"NODEVIRT_FAILPOINTS": f"{name}=kill", "NODEVIRT_FAILPOINTS_ONCE_DIR": folder})
            wait("the API server", lambda: c.kubectl("get", "--raw", "/readyz"), 30)
            source = wait("the guest's node", lambda: self.node("tough"))
            for number in (1, 2):
                migration = f"{name}-{number}".replace(".", "-")
                wait("asked for", lambda: self.migrate("tough", migration) or True, 30)
                phase = self.ended(migration, 240)
                state = c.get("vmi", "tough")["status"]["migrationState"]
                self.assertEqual(phase, "Succeeded" if state.get("completed") else "Failed")
                self.assertEqual(self.node("tough"), self.other(source) if state.get("completed") else source)
                self.assert_once("tough")
                source = self.node("tough")
            self.assertEqual(phase, "Succeeded")
            return os.path.exists(os.path.join(folder, name))
        finally:
            shutil.rmtree(folder)

    def test_every_failpoint_of_a_migration(self):
        names = [n for n in run([program("nodevirt"), "failpoints"]).stdout.split() if ".migration" in n]
        self.assertGreater(len(names), 10)
        vmi = self.start("tough")
        self.count("tough")
        untouched = []
        with Recorder(self.cluster, vmi["metadata"]["uid"]) as recorder:
            for name in names:
                with self.subTest(failpoint=name):
                    if not self.fire(name):
                        untouched.append(name)
                    recorder.check(self)
        print("not on this path:", " ".join(untouched))
        self.assertLess(len(untouched), 4)


if __name__ == "__main__":
    cluster.main()
