"""The person's tools: virtctl with its screens and shells, and kubectl's everyday commands."""
import json, os, re, shutil, signal, subprocess, tempfile, textwrap, unittest

import cluster
import rfb
from cluster import Failed, program, run, vm, wait

KUBEVIRT_VIRTCTL = os.environ.get("NODEVIRT_KUBEVIRT_VIRTCTL", "")  # KubeVirt's own program, where it is at hand


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
        self.cluster.wait_console(name, "login:")

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


class Screens(Tools):
    def test_screen(self):
        c = self.cluster
        self.start_guest()
        with Proxy(self, "guest") as proxy:
            with rfb.Screen(proxy.port) as screen:
                self.assertGreater(screen.width, 300)
                self.assertGreater(screen.height, 200)
                wait("something is to be seen", lambda: screen.bright() > 100, 30)
                # A second viewer takes the screen over; the first is told and ends.
                with Proxy(self, "guest") as second:
                    with rfb.Screen(second.port) as other:
                        self.assertGreater(other.bright(), 100)
                        with self.assertRaises(OSError):
                            screen.picture()
                        # Who preserves the session is refused, and the second goes on.
                        with Proxy(self, "guest", "--preserve-session") as third:
                            with self.assertRaises(OSError):
                                rfb.Screen(third.port)
                            self.assertIn("somebody else", third.process.communicate(timeout=20)[1])
                        self.assertGreater(other.bright(), 100)
            # The same proxy takes one viewer after another.
            with rfb.Screen(proxy.port) as again:
                self.assertGreater(again.bright(), 100)

        path = os.path.join(self.folder, "screen.png")
        c.virtctl("vnc", "screenshot", "guest", "-f", path)
        with open(path, "rb") as f:
            width, height, bright = rfb.png_pixels(f.read())
        self.assertGreater(width, 300)
        self.assertGreater(height, 200)
        self.assertGreater(bright, 100)
        self.viewers()
        self.real_viewer()

        # A port that is taken, a viewer that does not exist, a guest that does not run.
        with Proxy(self, "guest") as proxy:
            self.assertIn("Address already in use", self.fails(program("virtctl"), "vnc", "guest", "--proxy-only",
                                                               "--port", str(proxy.port)))
        self.assertIn("/no/viewer", self.fails(program("virtctl"), "vnc", "guest", "--vnc-path", "/no/viewer"))
        self.assertIn("no VNC viewer found in PATH", self.fails(program("virtctl"), "vnc", "guest",
                                                                env=dict(c.env, PATH=self.folder)))
        self.assertIn('no virtual machine or instance "nobody"', self.fails(program("virtctl"), "vnc", "nobody"))

    def viewers(self):
        """Every viewer that KubeVirt's users have is found in PATH, and started with what it expects."""
        client = textwrap.dedent(f"""\
            #!{shutil.which('python3')}
            import sys
            sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})
            sys.dont_write_bytecode = True
            import rfb
            with rfb.Screen(int(sys.argv[-1].rsplit(":", 1)[1])) as screen:
                print(sys.argv[0].rsplit("/", 1)[1], sys.argv[1].rsplit(":", 1)[0], screen.bright() > 100)
            """)
        table = [("remote-viewer", "vnc://127.0.0.1", []), ("vncviewer", "127.0.0.1", []),
                 ("xtigervncviewer", "127.0.0.1", ["--vnc-type", "tiger"]),
                 ("vncviewer", "127.0.0.1", ["--vnc-type", "real"])]
        for name, argument, flags in table:
            with self.subTest(name, flags=flags):
                path = self.file(name, client, 0o755)
                done = run([program("virtctl"), "vnc", "guest", *flags], timeout=60,
                           env=dict(self.cluster.env, PATH=self.folder))
                self.assertEqual(done.stdout.strip(), f"{name} {argument} True", done.stderr)
                os.unlink(path)

    def real_viewer(self):
        """TigerVNC on an X server without a monitor shows the guest's screen."""
        viewer = shutil.which("xtigervncviewer")
        if not viewer or not shutil.which("Xvfb"):
            return
        read, write = os.pipe()
        x = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24", "-fbdir", self.folder],
                             pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(write)
        try:
            with os.fdopen(read) as f:
                display = f.readline().strip()
            self.assertTrue(display, "Xvfb did not start")
            shown = subprocess.Popen([program("virtctl"), "vnc", "guest", "--vnc-path", viewer, "--vnc-type", "tiger"],
                                     env=dict(self.cluster.env, DISPLAY=f":{display}", HOME=self.folder),
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
            try:
                def seen():
                    with open(os.path.join(self.folder, "Xvfb_screen0"), "rb") as f:
                        return rfb.xwd_pixels(f.read())[2] > 100
                wait("the viewer's window shows the guest", seen, 30)
            finally:
                os.killpg(shown.pid, signal.SIGKILL)  # the viewer is in its group
                shown.communicate()
        finally:
            x.terminate()
            x.wait()


if __name__ == "__main__":
    cluster.main()
