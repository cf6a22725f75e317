"""Migrations of an instance of the cluster, as the measurements see them."""
import datetime, glob, json, os, re, time

import cluster as C
from benchmarks.api import Api

MIGRATIONS = "/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstancemigrations"


def seconds(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc).timestamp()


class Log:
    """What is added to a log from now on; it may be removed meanwhile."""

    def __init__(self, path):
        self.file = open(path, errors="replace")
        self.file.seek(0, os.SEEK_END)

    def read(self):
        return self.file.read()

    def close(self):
        self.file.close()


def stamp(log, pattern):
    m = re.search(r"^(?:\S+ )?(\d{4}-\S+Z) \w+ \S+ [^\n]*" + pattern, log, re.M)
    return seconds(m.group(1)) if m else None


class Ours:
    """Migrates one instance to and fro."""

    def __init__(self, c, name):
        self.c, self.name, self.count, self.api = c, name, 0, Api(c)
        self.node = c.get("vmi", name)["status"]["nodeName"]

    def policy(self, annotations=None, **spec):
        """What holds for the next migrations; times and sizes as in a MigrationPolicy."""
        self.c.apply({"apiVersion": "migrations.kubevirt.io/v1alpha1", "kind": "MigrationPolicy",
                      "metadata": {"name": "bench", "annotations": annotations or {}},
                      "spec": {**spec, "selectors": {"virtualMachineInstanceSelector": {"app": self.name}}}})
        # A field that is left out of a merge stays: begin anew.
        current = self.c.get("migrationpolicy", "bench")["spec"]
        gone = {k: None for k in current if k not in spec and k != "selectors"}
        if gone:
            self.c.kubectl("patch", "migrationpolicy", "bench", "--type", "merge", "-p", json.dumps({"spec": gone}))

    def handlers(self):
        """{node: pid of its virt-handler}"""
        out = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline") as f:
                    argv = f.read().split("\0")
            except OSError:
                continue
            if "virt-handler" in argv[:2] and self.c.data in " ".join(argv):
                out[argv[argv.index("--node-name") + 1]] = int(pid)
        return out

    def migrate(self, timeout=300):
        """{"began": when libvirt was asked for the job, "asked": when the cluster was, "ended", "ok", "error", "throttle": the
        most that was seen, "progress": the samples that were shown, "steered": what was done}"""
        self.count += 1
        migration = f"{self.name}-{self.count}"
        pod = self.c.launcher_pod(self.name)["metadata"]["uid"]
        launcher = Log(glob.glob(f"{self.c.data}/nodes/*/pods/{pod}/containers/compute/log")[0])
        handler = Log(f"{self.c.data}/log/virt-handler-{self.node}.log")
        try:
            changes = self.api.watch(MIGRATIONS, timeout)
            asked = time.time()
            self.api.ask("POST", MIGRATIONS, {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration",
                                              "metadata": {"name": migration}, "spec": {"vmiName": self.name}})
            progress, last = [], None
            for item in changes:
                if item["metadata"]["name"] != migration:
                    continue
                last = item
                text = item["metadata"].get("annotations", {}).get("nodevirt.io/migration-progress")
                if text and (not progress or progress[-1] != json.loads(text)):
                    progress.append(json.loads(text))
                if item.get("status", {}).get("phase") in ("Succeeded", "Failed"):
                    break
            ended = time.time()
            phase = (last or {}).get("status", {}).get("phase")
            if phase not in ("Succeeded", "Failed"):
                raise C.Failed(f"migration {migration} has not ended within {timeout} s: {last}")
            said = launcher.read()
            state = self.c.get("vmi", self.name)["status"]["migrationState"]
            self.node = self.c.get("vmi", self.name)["status"]["nodeName"]
            steered = re.findall(r"^(\S+Z) INFO \S+ [^\n]*migration \S+: (Set\w+|Start\w+|Pause\w+|Abort): ([^\n]*)", handler.read(), re.M)
            return {"asked": asked, "began": stamp(said, "migration [^ ]+: begins"), "ended": ended, "ok": phase == "Succeeded",
                    "error": state.get("failureReason", ""), "progress": progress,
                    "throttle": max((p["throttlePercent"] for p in progress), default=0),
                    "steered": [list(s) for s in steered]}
        finally:
            launcher.close(); handler.close()
            C.run(["kubectl", "delete", "vmim", migration, "--wait=false"], env=self.c.env, check=False)

    def settled(self):
        """The pod that was left is gone."""
        C.wait("one pod", lambda: len(self.c.get("pods", "-l", f"vm.kubevirt.io/name={self.name}")["items"]) == 1, 60)
