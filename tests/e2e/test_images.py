"""Images from a registry: pulled, cached, pinned, refused with a reason, and pulled again when the cause is mended."""
import base64
import json
import os

import cluster
from cluster import Failed, vm, wait
from registry import Registry


def image(machine, **fields):
    machine["spec"]["template"]["spec"]["volumes"][0]["containerDisk"].update(fields)
    return machine


class Images(cluster.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.archive = os.path.join(cluster.BUILD, "share/images/demo.oci.tar")
        cls.registry = Registry()
        cls.addClassCleanup(cls.registry.close)
        cls.digest = cls.registry.push(cls.archive, "os/demo:1")

    def name(self, rest):
        return f"{self.registry.host}/os/{rest}"

    def status(self, name):
        return self.cluster.get("vm", name)["status"].get("printableStatus")

    def wait_told(self, name, *texts):
        """The machine's status says that the pull failed, and an event says why."""
        wait("the status says so", lambda: self.status(name) in ("ErrImagePull", "ImagePullBackOff"))
        def told():
            said = self.cluster.kubectl("get", "events", "-o", "jsonpath={range .items[*]}{.message}{\"\\n\"}{end}")
            return all(t in said for t in texts)
        wait(f"an event says {texts}", told, 20)

    def cached(self):
        return {i["name"]: i for i in json.loads(self.cluster.nodevirt("image", "list", "-o", "json").stdout)}

    def test_guest_from_a_registry(self):
        c = self.cluster
        c.apply(image(vm("pulled", image=self.name("demo:1"), running=True), imagePullPolicy="Always"))
        c.wait_running("pulled")
        c.wait_console("pulled", "login:", 300)
        self.assertEqual(self.cached()[self.name("demo:1")]["digest"], self.digest)
        # Always asks what the name means now; what is there already is not fetched again.
        served = self.registry.blobs_served()
        self.assertGreater(served, 0)
        uid = c.get("vmi", "pulled")["metadata"]["uid"]
        c.kubectl("delete", "vmi", "pulled")
        wait("restarted", lambda: c.get("vmi", "pulled")["metadata"]["uid"] != uid and c.phase("pulled") == "Running", 120)
        self.assertEqual(self.registry.blobs_served(), served)

    def test_digest(self):
        c = self.cluster
        c.apply(vm("pinned", image=f"{self.registry.host}/os/demo@{self.digest}", running=True))
        c.wait_running("pinned")
        with self.assertRaises(Failed) as refused:
            c.nodevirt("image", "import", f"{self.registry.host}/os/demo@sha256:{'0' * 64}")
        self.assertIn("does not exist", str(refused.exception))

    def test_policies(self):
        c = self.cluster
        c.apply(image(vm("never", image=self.name("demo:never"), running=True), imagePullPolicy="Never"))
        def told():
            return "pull policy is Never" in c.kubectl("get", "events")
        wait("told", told)
        c.kubectl("delete", "vm", "never")
        # IfNotPresent needs no registry for what is there.
        self.registry.push(self.archive, "os/demo:kept")
        c.nodevirt("image", "import", f"kept/from-registry:1={self.name('demo:kept')}")
        self.registry.stop()
        try:
            c.apply(image(vm("kept", image="kept/from-registry:1", running=True), imagePullPolicy="IfNotPresent"))
            c.wait_running("kept")
        finally:
            self.registry.start()

    def test_unknown_tag_and_registry_down_are_mended(self):
        c = self.cluster
        self.registry.stop()
        try:
            c.apply(vm("late", image=self.name("demo:late"), running=True))
            self.wait_told("late", "no registry reachable", "connection refused")
        finally:
            self.registry.start()
        wait("the tag is not there", lambda: "no such tag" in c.kubectl("get", "events"), 60)
        wait("it backs off", lambda: self.status("late") == "ImagePullBackOff", 30)
        self.registry.push(self.archive, "os/demo:late")
        c.wait_running("late", 120)   # nobody had to do anything more

    def test_login_and_authority(self):
        c = self.cluster
        private = Registry(tls=True, login=("demo", "secret"))
        self.addCleanup(private.close)
        private.push(self.archive, "os/private:1")
        name = f"{private.host}/os/private:1"
        # The authority, in this instance's own configuration.
        folder = os.path.join(c.data, "registries/certs.d", private.host)
        os.makedirs(folder)
        with open(os.path.join(folder, "ca.crt"), "w") as f, Registry(tls=True) as stranger, open(stranger.path("ca.crt")) as ca:
            f.write(ca.read())
        with self.assertRaises(Failed) as refused:
            c.nodevirt("image", "import", name)
        self.assertIn(f"/etc/containers/certs.d/{private.host}/ca.crt", str(refused.exception))
        with open(os.path.join(folder, "ca.crt"), "w") as f, open(private.path("ca.crt")) as ca:
            f.write(ca.read())
        with self.assertRaises(Failed) as refused:
            c.nodevirt("image", "import", name)
        self.assertIn("wants a login", str(refused.exception))
        # The login, in a Secret.
        login = base64.b64encode(b"demo:secret").decode()
        c.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wrong"}, "type": "kubernetes.io/dockerconfigjson",
                 "stringData": {".dockerconfigjson": json.dumps({"auths": {private.host: {"auth": base64.b64encode(b"demo:no").decode()}}})}})
        c.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}, "type": "kubernetes.io/dockerconfigjson",
                 "stringData": {".dockerconfigjson": json.dumps({"auths": {private.host: {"auth": login}}})}})
        c.apply(image(vm("private", image=name, running=True), imagePullSecret="wrong"))
        self.wait_told("private", "wants a login", "imagePullSecret")
        c.kubectl("delete", "vm", "private")
        c.apply(image(vm("private", image=name, running=True), imagePullSecret="login"))
        c.wait_running("private")
        # The login, in this instance's own configuration.
        c.kubectl("delete", "vm", "private")
        with open(os.path.join(c.data, "registries/auth.json"), "w") as f:
            json.dump({"auths": {private.host: {"auth": login}}}, f)
        self.addCleanup(os.remove, os.path.join(c.data, "registries/auth.json"))
        c.nodevirt("image", "import", f"another/name:1={name}")


if __name__ == "__main__":
    cluster.main()
