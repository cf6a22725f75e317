"""The document that the project was made for, command by command, with its own manifest."""
import json

import cluster
from cluster import wait

MANIFEST = """
apiVersion: kubevirt.io/v1alpha2
kind: VirtualMachine
metadata:
  creationTimestamp: null
  labels:
    kubevirt.io/vm: vm-cirros
  name: vm-cirros
spec:
  running: false
  template:
    metadata:
      creationTimestamp: null
      labels:
        kubevirt.io/vm: vm-cirros
    spec:
      domain:
        devices:
          disks:
          - disk:
              bus: virtio
            name: containerdisk
            volumeName: registryvolume
          - disk:
              bus: virtio
            name: cloudinitdisk
            volumeName: cloudinitvolume
        machine:
          type: ""
        resources:
          requests:
            memory: 64M
      terminationGracePeriodSeconds: 0
      volumes:
      - name: registryvolume
        containerDisk:
          image: kubevirt/cirros-container-disk-demo:latest
      - cloudInitNoCloud:
          userDataBase64: IyEvYmluL3NoCgplY2hvICdwcmludGVkIGZyb20gY2xvdWQtaW5pdCB1c2VyZGF0YScK
        name: cloudinitvolume
"""


class Seed(cluster.Case):
    def test_the_document(self):
        c = self.cluster
        # Create the controller instance; nothing runs yet.
        self.assertIn("vm-cirros created", c.kubectl("create", "-f", "-", input=MANIFEST))
        done = cluster.run(["kubectl", "get", "vmis"], env=c.env)
        self.assertIn("No resources found", done.stdout + done.stderr)
        # Exposed before it ever started; the service works once it has.
        c.virtctl("expose", "virtualmachine", "vm-cirros", "--name", "vmiservice", "--port", "27017", "--target-port", "22")

        c.virtctl("start", "omv", "vm-cirros")
        vmi = c.wait_running("vm-cirros")
        uuid = vmi["spec"]["domain"]["firmware"]["uuid"]
        c.wait_console("vm-cirros", "printed from cloud-init userdata")
        c.wait_console("vm-cirros", "login:")

        vm = c.get("vm", "vm-cirros")
        self.assertTrue(vm["status"]["created"])
        wait("ready", lambda: c.get("vm", "vm-cirros")["status"].get("ready") is True)
        text = c.kubectl("describe", "vm", "vm-cirros")
        self.assertIn("SuccessfulCreate", text)
        self.assertRegex(text, r"Created:\s+true")
        self.assertRegex(text, r"Ready:\s+true")
        self.assertIn("Started", c.kubectl("describe", "virtualmachineinstance", "vm-cirros"))

        # The service reaches the guest's ssh server, from this machine, at the cluster address.
        ip = c.get("service", "vmiservice")["spec"]["clusterIP"]
        wait("ssh banner through the service", lambda: banner(ip, 27017).startswith("SSH-2.0"), 60)

        # v1alpha2 keeps its own form.
        old = json.loads(c.kubectl("get", "virtualmachines.v1alpha2.kubevirt.io", "vm-cirros", "-o", "json"))
        disks = old["spec"]["template"]["spec"]["domain"]["devices"]["disks"]
        self.assertEqual([d["volumeName"] for d in disks], ["registryvolume", "cloudinitvolume"])

        # Restart by deleting the instance: a new one, the same firmware UUID.
        c.kubectl("delete", "virtualmachineinstance", "vm-cirros")
        again = wait("a new instance", lambda: c.wait_running("vm-cirros")["metadata"]["uid"] != vmi["metadata"]["uid"]
                     and c.get("vmi", "vm-cirros"))
        self.assertEqual(again["spec"]["domain"]["firmware"]["uuid"], uuid)

        # Stop and start with kubectl patch.
        c.kubectl("patch", "virtualmachine", "vm-cirros", "--type", "merge", "-p", '{"spec":{"running":false}}')
        c.wait_gone("vmi", "vm-cirros")
        wait("stopped", lambda: c.get("vm", "vm-cirros")["status"]["printableStatus"] == "Stopped")
        c.kubectl("patch", "virtualmachine", "vm-cirros", "--type", "merge", "-p", '{"spec":{"running":true}}')
        c.wait_running("vm-cirros")

        # Orphan delete, and adoption.
        uid = c.get("vmi", "vm-cirros")["metadata"]["uid"]
        c.kubectl("delete", "virtualmachine", "vm-cirros", "--cascade=false")
        c.wait_gone("vm", "vm-cirros")
        vmi = c.get("vmi", "vm-cirros")
        self.assertEqual(vmi["status"]["phase"], "Running")
        self.assertFalse(vmi["metadata"].get("ownerReferences"))
        c.kubectl("create", "-f", "-", input=MANIFEST.replace("running: false", "running: true"))
        adopted = wait("adoption", lambda: c.get("vmi", "vm-cirros")["metadata"].get("ownerReferences")
                       and c.get("vmi", "vm-cirros"))
        self.assertEqual(adopted["metadata"]["uid"], uid)

        # Implicit cascade.
        c.kubectl("delete", "virtualmachine", "vm-cirros")
        c.wait_gone("vmi", "vm-cirros")
        wait("no QEMU is left", lambda: not c.qemu_pids(), 30)


def banner(ip, port):
    import socket
    try:
        with socket.create_connection((ip, port), timeout=2) as s:
            s.settimeout(3)
            return s.recv(64).decode(errors="replace")
    except OSError:
        return ""


if __name__ == "__main__":
    cluster.main()
