"""The whole stack on this machine, in a data directory of its own, for tests with real guests.

    class Boot(cluster.Case):       # one `nodevirt up` for the class
        def test_...(self): self.kubectl("get", "vm")

Nothing here sleeps for a fixed time: `wait` polls a condition and says what it saw when it gives up.
"""
import glob, json, os, re, shutil, signal, socket, subprocess, sys, tempfile, time, unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("NODEVIRT_BUILD_DIR", os.path.join(ROOT, "build/test"))


def program(name):
    for folder in ("standalone", name, "virtctl", "."):
        path = os.path.join(BUILD, folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(f"{name} is not in {BUILD}: build it first")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Failed(AssertionError):
    pass


def run(argv, check=True, input=None, timeout=120, env=None):
    done = subprocess.run(argv, input=input, capture_output=True, text=True, timeout=timeout, env=env)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(argv)} exited with {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def wait(what, condition, timeout=60):
    """Returns the first true value of `condition`; exceptions of it count as false until the end."""
    deadline = time.monotonic() + timeout
    seen = None
    while True:
        try:
            seen = condition()
            if seen:
                return seen
        except (Failed, KeyError, IndexError, FileNotFoundError, json.JSONDecodeError) as e:
            seen = e
        if time.monotonic() > deadline:
            raise Failed(f"not within {timeout} s: {what}; last seen: {seen}")
        time.sleep(0.1)


class Cluster:
    def __init__(self, nodes=1, env=None, data=None, prefix=(), flags=()):
        """`data`: another folder than one made here; `prefix`: words before every `nodevirt`; `flags`: of `nodevirt up`."""
        self.data = data or tempfile.mkdtemp(prefix="nv-e2e-", dir="/var/tmp")
        self.prefix, self.flags = list(prefix), list(flags)
        self.port = free_port()
        self.nodes = nodes
        self.env = dict(os.environ, KUBECONFIG=self.kubeconfig, NODEVIRT_SHARE_DIR=os.path.join(BUILD, "share"))
        self.env.pop("NODEVIRT_FAILPOINTS", None)
        try:
            self.up(env)
        except BaseException:
            self.close()
            raise

    @property
    def kubeconfig(self):
        return os.path.join(self.data, "kubeconfig")

    def nodevirt(self, *args, **kw):
        kw.setdefault("env", self.env)
        return run([*self.prefix, program("nodevirt"), *args, "--data-dir", self.data], **kw)

    def up(self, env=None):
        done = self.nodevirt("up", "--detach", "--nodes", str(self.nodes), "--listen", f"127.0.0.1:{self.port}", *self.flags,
                             env=dict(self.env, **(env or {})))
        self.said = done.stdout
        return done

    def close(self):
        if os.environ.get("NODEVIRT_KEEP"):
            print(f"kept: {self.data}", file=sys.stderr)
            return
        try:
            try:
                stopped = self.nodevirt("down", "--timeout", "60", check=False, timeout=180).returncode == 0
            except subprocess.TimeoutExpired:
                stopped = False
            if not stopped:      # nothing of a test that failed runs on
                self.nodevirt("down", "--force", check=False, timeout=60)
            self.nodevirt("reset", "--yes", check=False, timeout=60)
        finally:
            shutil.rmtree(self.data, ignore_errors=True)

    def kubectl(self, *args, **kw):
        return run(["kubectl", *args], env=self.env, **kw).stdout

    def virtctl(self, *args, **kw):
        return run([program("virtctl"), *args], env=self.env, **kw)

    def get(self, *args):
        return json.loads(self.kubectl("get", *args, "-o", "json"))

    def apply(self, manifest):
        return self.kubectl("apply", "-f", "-", input=manifest if isinstance(manifest, str) else json.dumps(manifest))

    def phase(self, name, ns="default"):
        return self.get("vmi", name, "-n", ns).get("status", {}).get("phase", "")

    def wait_running(self, name, timeout=240):
        return wait(f"vmi {name} runs", lambda: self.phase(name) == "Running" and self.get("vmi", name), timeout)

    def wait_gone(self, kind, name, timeout=120):
        def gone():
            done = run(["kubectl", "get", kind, name], env=self.env, check=False)
            return done.returncode != 0 and "NotFound" in done.stderr
        wait(f"{kind} {name} is gone", gone, timeout)

    def console_log(self, name):
        """Everything that the running instance's serial console has said."""
        uid = self.get("vmi", name)["metadata"]["uid"]
        paths = glob.glob(f"{self.data}/nodes/*/pods/*/volumes/kubernetes.io~empty-dir/private/{uid}/virt-serial0-log")
        with open(paths[0], errors="replace") as f:
            return f.read()

    def wait_console(self, name, text, timeout=240):
        wait(f"console of {name} says {text!r}", lambda: text in self.console_log(name), timeout)

    def launcher_pod(self, name):
        pods = self.get("pods", "-l", f"vm.kubevirt.io/name={name}")["items"]
        return [p for p in pods if p["status"].get("phase") == "Running"][0]

    def qemu_pids(self, uid=""):
        """QEMU processes of this cluster's instances (by the instance's UUID when given)."""
        found = []
        for d in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(d, "rb") as f:
                    argv = f.read().split(b"\0")
            except OSError:
                continue
            if b"qemu-system" in argv[0] and any(uid.encode() in a for a in argv):
                pid = int(d.split("/")[2])
                try:
                    root = os.readlink(f"/proc/{pid}/root")
                    with open(f"/proc/{pid}/mountinfo") as f:
                        if self.data in f.read():
                            found.append(pid)
                except OSError:
                    pass
        return found


class Console:
    """`virtctl console`, driven as a person would; a context manager."""

    def __init__(self, cluster, name):
        self.process = subprocess.Popen([program("virtctl"), "console", name], env=cluster.env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.set_blocking(self.process.stdout.fileno(), False)
        os.set_blocking(self.process.stderr.fileno(), False)
        self.seen = ""
        self.errors = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def _read(self):
        for attribute, pipe in (("seen", self.process.stdout), ("errors", self.process.stderr)):
            data = pipe.read()
            if data:
                setattr(self, attribute, getattr(self, attribute) + data.decode(errors="replace"))

    def expect(self, text, timeout=180):
        """Waits for `text`; what came before it is dropped."""
        def found():
            self._read()
            return text in self.seen
        try:
            wait(f"console says {text!r}", found, timeout)
        except Failed as e:
            raise Failed(f"{e}; console so far: {self.seen[-1500:]!r}; stderr: {self.errors[-500:]!r}")
        before, _, self.seen = self.seen.partition(text)
        return before

    def expect_error(self, text, timeout=180):
        def found():
            self._read()
            return text in self.errors
        wait(f"virtctl console says {text!r}", found, timeout)

    def send(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def login(self, user="demo", password="demo"):
        self.send("\n")
        self.expect("login:")
        self.send(user + "\n")
        self.expect("assword:")
        self.send(password + "\n")
        self.expect("$" if user != "root" else "#")

    def run(self, command):
        """The output of a shell command in the guest."""
        self.send(f"{command}; echo end-of-\"\"output\n")
        return self.expect("end-of-output", 60)


def without_global_pages(machine):
    """For guests that are migrated while they write: their kernel's part of the TLB is emptied with the rest (ticker.c says why)."""
    cpu = machine["spec"]["template"]["spec"]["domain"].setdefault("cpu", {})
    cpu.setdefault("features", []).append({"name": "pge", "policy": "disable"})
    return machine


def vm(name, image="nodevirt/demo:latest", running=None, strategy=None, user_data=None, memory="64M", grace=30, **spec):
    """A machine with the demo guest."""
    disks = [{"name": "containerdisk", "disk": {"bus": "virtio"}}]
    volumes = [{"name": "containerdisk", "containerDisk": {"image": image}}]
    if user_data is not None:
        disks.append({"name": "cloudinit", "disk": {"bus": "virtio"}})
        volumes.append({"name": "cloudinit", "cloudInitNoCloud": {"userData": user_data}})
    template = {"domain": {"devices": {"disks": disks}, "resources": {"requests": {"memory": memory}}},
                "volumes": volumes, "terminationGracePeriodSeconds": grace}
    for key, value in spec.items():
        template[key] = value
    out = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": name},
           "spec": {"template": {"metadata": {"labels": {"app": name}}, "spec": template}}}
    if strategy:
        out["spec"]["runStrategy"] = strategy
    else:
        out["spec"]["running"] = bool(running)
    return out


class Case(unittest.TestCase):
    nodes = 1
    up_env = {}
    up_flags = []

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("needs root: network namespaces and launcher pods")
        cls.cluster = Cluster(nodes=cls.nodes, env=cls.up_env, flags=cls.up_flags)
        try:
            archive = os.path.join(BUILD, "share/images/demo.oci.tar")
            cls.cluster.nodevirt("image", "import", f"nodevirt/demo:latest=oci-archive:{archive}")
            cls.cluster.nodevirt("image", "tag", "nodevirt/demo:latest", "kubevirt/cirros-container-disk-demo:latest")
        except BaseException:
            cls.cluster.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close()

    def tearDown(self):
        result = self._outcome.result
        if any(test is self for test, _ in result.failures + result.errors):
            done = run(["kubectl", "get", "vms,vmis,pods,events", "-A", "-o", "wide"], env=self.cluster.env, check=False)
            print(done.stdout[-6000:], done.stderr[-500:], file=sys.stderr)
            for path in sorted(glob.glob(f"{self.cluster.data}/nodes/*/pods/*/volumes/kubernetes.io~empty-dir/private/*/virt-serial0-log")):
                with open(path, errors="replace") as f:  # what the guests said last: a panic, or nothing
                    print(f"{path}: ...{f.read()[-1500:]}", file=sys.stderr)
        run(["kubectl", "delete", "vms,vmis,services,pvc", "--all", "--timeout=90s"], env=self.cluster.env, check=False)


def main():
    unittest.main()
