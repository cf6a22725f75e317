"""What the tests of the person's tools share: files of a test's own, commands that must fail, tunnels."""
import json, os, re, shutil, subprocess, tempfile

import cluster
from cluster import Failed, program, run, vm


class Tools(cluster.Case):
    nodes = 2

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="nv-tools-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def file(self, name, text, mode=0o644):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def fails(self, *argv, code=None, **kw):
        """stderr of a command that must fail."""
        done = run(list(argv), check=False, env=kw.pop("env", self.cluster.env), **kw)
        self.assertNotEqual(done.returncode, 0, f"{argv} succeeded: {done.stdout}")
        if code is not None:
            self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def start_guest(self, name="guest", **kw):
        self.cluster.apply(vm(name, running=True, **kw))
        self.cluster.wait_running(name)
        self.cluster.wait_console(name, "login:", 240)  # on a busy machine too

    def uid(self, name):
        return self.cluster.get("vmi", name)["metadata"]["uid"]


class Proxy:
    """`virtctl vnc NAME --proxy-only`; a context manager. Two programs that speak KubeVirt's API can be tried."""

    def __init__(self, case, name, *flags, virtctl=None):
        self.process = subprocess.Popen([virtctl or program("virtctl"), "vnc", name, "--proxy-only", *flags],
                                        env=case.cluster.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        case.addCleanup(self.__exit__)
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"vnc --proxy-only said nothing: {self.process.communicate()[1]}")
        self.port = json.loads(line)["port"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


class Forward:
    """`virtctl port-forward` on a free port; a context manager that gives the port."""

    def __init__(self, case, place, ports):
        self.process = subprocess.Popen([program("virtctl"), "port-forward", place, ports], env=case.cluster.env,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        line = self.process.stdout.readline()
        return int(re.search(r":(\d+) to port", line).group(1))

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
