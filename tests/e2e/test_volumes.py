"""Volumes: data on a claim outlives a restart, data on a container disk does not; every bus."""
import cluster
from cluster import Console, vm, wait


def claim(name, storage_class=None, size="64Mi"):
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    if storage_class:
        spec["storageClassName"] = storage_class
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def add_disk(machine, name, disk, volume):
    spec = machine["spec"]["template"]["spec"]
    spec["domain"]["devices"]["disks"].append({"name": name, **disk})
    spec["volumes"].append({"name": name, **volume})
    return machine


class Volumes(cluster.Case):
    def test_claim_keeps_its_data(self):
        c = self.cluster
        c.apply(claim("data"))
        machine = add_disk(vm("keeper", running=True), "data", {"disk": {"bus": "virtio"}, "serial": "DATA01"},
                           {"persistentVolumeClaim": {"claimName": "data"}})
        c.apply(machine)
        c.wait_running("keeper")
        with Console(c, "keeper") as console:
            console.login("root")
            self.assertIn("DATA01", console.run("cat /sys/block/vdb/serial"))
            self.assertIn(str(64 * 2048), console.run("cat /sys/block/vdb/size"))
            console.run("echo kept-over-restart | dd of=/dev/vdb conv=fsync; echo lost >/root/file")
        c.kubectl("delete", "vmi", "keeper")
        wait("restarted", lambda: c.phase("keeper") == "Running" and "deletionTimestamp" not in c.get("vmi", "keeper")["metadata"])
        with Console(c, "keeper") as console:
            console.login("root")
            self.assertIn("kept-over-restart", console.run("head -c 17 /dev/vdb"))
            self.assertIn("No such file", console.run("cat /root/file"))

    def test_buses_and_empty_disk(self):
        c = self.cluster
        machine = vm("buses", running=True)
        for bus in ("sata", "scsi", "usb"):
            add_disk(machine, f"on-{bus}", {"disk": {"bus": bus}, "serial": f"SER{bus}"}, {"emptyDisk": {"capacity": "8Mi"}})
        add_disk(machine, "seed", {"cdrom": {"bus": "sata"}},
                 {"cloudInitConfigDrive": {"userData": "#!/bin/sh\necho from the config drive\n"}})
        c.apply(machine)
        c.wait_running("buses")
        c.wait_console("buses", "from the config drive")
        with Console(c, "buses") as console:
            console.login("root")
            # The kernel lets USB disks settle for a second before it looks at them.
            wait("all three disks", lambda: console.run("cat /sys/block/*/size").count(str(8 * 2048)) == 3, 20)

    def test_missing_claim_is_told_and_mended(self):
        c = self.cluster
        machine = add_disk(vm("waiting", running=True), "data", {"disk": {"bus": "virtio"}},
                           {"persistentVolumeClaim": {"claimName": "later"}})
        c.apply(machine)
        wait("the status names it", lambda: c.get("vm", "waiting")["status"]["printableStatus"] == "ErrorPvcNotFound")
        c.apply(claim("later"))
        c.wait_running("waiting")


if __name__ == "__main__":
    cluster.main()
