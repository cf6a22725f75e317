"""Services reach the guests that they select: ClusterIP, NodePort, headless with DNS; two nodes."""
import cluster
from cluster import Console, run, vm, wait
from test_seed import banner


class Services(cluster.Case):
    nodes = 2

    def test_services_on_two_nodes(self):
        c = self.cluster
        c.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "headless"},
                 "spec": {"clusterIP": "None", "selector": {"app": "one"}, "ports": [{"port": 22}]}})
        first, second = vm("one", running=True), vm("two", running=True)
        for machine, node in ((first, "node1"), (second, "node2")):
            machine["spec"]["template"]["spec"]["nodeSelector"] = {"kubernetes.io/hostname": node}
        c.apply(first)
        c.apply(second)
        c.virtctl("expose", "vm", "one", "--name", "ssh", "--port", "2222", "--target-port", "22", "--type", "NodePort")
        one, two = c.wait_running("one"), c.wait_running("two")
        self.assertEqual(one["status"]["nodeName"], "node1")
        self.assertEqual(two["status"]["nodeName"], "node2")
        service = c.get("service", "ssh")["spec"]
        wait("ClusterIP from this machine", lambda: banner(service["clusterIP"], 2222).startswith("SSH-2.0"), 60)
        wait("NodePort on loopback", lambda: banner("127.0.0.1", service["ports"][0]["nodePort"]).startswith("SSH-2.0"), 20)
        with Console(c, "two") as console:
            console.login()
            # From the guest on the other node: by name, and by the headless name's address.
            self.assertIn("SSH-2.0", console.run("echo | nc -w 5 ssh.default.svc.cluster.local 2222 | head -c 20"))
            self.assertIn(one["status"]["interfaces"][0]["ipAddress"],
                          console.run("nslookup headless.default.svc.cluster.local"))
        # The last endpoint gone: refused at once, not a time-out.
        c.virtctl("stop", "one", "--force", "--grace-period", "0")
        c.wait_gone("vmi", "one")
        wait("refused", lambda: run(["nc", "-z", "-w", "2", service["clusterIP"], "2222"], check=False).returncode == 1, 20)

    def test_placement(self):
        c = self.cluster
        machine = vm("nowhere", running=True)
        machine["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "ssd"}
        c.apply(machine)
        wait("told", lambda: c.get("vm", "nowhere")["status"]["printableStatus"] == "ErrorUnschedulable")
        self.assertIn("nodes are available", c.kubectl("get", "events"))
        c.kubectl("label", "node", "node2", "disk=ssd")
        self.assertEqual(c.wait_running("nowhere")["status"]["nodeName"], "node2")


if __name__ == "__main__":
    cluster.main()
