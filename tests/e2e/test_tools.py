"""The person's tools: virtctl with its screens and shells, and kubectl's everyday commands."""
import json, os, pty, re, select, shutil, signal, socket, subprocess, tempfile, textwrap, unittest

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


class Commands(Tools):
    def test_reboots(self):
        """soft-reboot and reset: the guest boots again, the instance stays."""
        c = self.cluster
        self.start_guest()
        uid = self.uid("guest")

        def boots():
            return c.console_log("guest").count("login:")
        for verb, done in (("soft-reboot", "was asked to reboot"), ("reset", "was reset")):
            with self.subTest(verb):
                before = boots()
                self.assertIn(done, c.virtctl(verb, "guest").stdout)
                wait(f"the guest boots again after {verb}", lambda: boots() > before, 90)
                self.assertEqual(self.uid("guest"), uid)
                self.assertEqual(c.phase("guest"), "Running")
        self.assertIn("not found", self.fails(program("virtctl"), "reset", "nobody", code=1))

    def test_dry_run(self):
        """Nothing changes, whatever is tried."""
        c = self.cluster
        c.apply(vm("halted", running=False))
        self.start_guest()
        uid, halted, running = self.uid("guest"), c.get("vm", "halted"), c.get("vm", "guest")
        for argv in (["start", "halted"], ["stop", "guest"], ["stop", "guest", "--force", "--grace-period", "0"],
                     ["restart", "guest"], ["pause", "guest"], ["soft-reboot", "guest"], ["reset", "guest"],
                     ["expose", "vm", "guest", "--name", "unmade", "--port", "22"]):
            with self.subTest(argv):
                self.assertIn("dry run", c.virtctl(*argv, "--dry-run").stdout)
        # A dry run is refused where the real thing would be.
        for argv in (["start", "guest"], ["stop", "halted"], ["unpause", "guest"], ["pause", "halted"]):
            with self.subTest(argv):
                self.assertIn("error:", self.fails(program("virtctl"), *argv, "--dry-run", code=1))
        self.assertEqual(self.uid("guest"), uid)
        self.assertEqual(c.get("vm", "halted")["metadata"]["resourceVersion"], halted["metadata"]["resourceVersion"])
        self.assertEqual(c.get("vm", "guest")["metadata"]["resourceVersion"], running["metadata"]["resourceVersion"])
        self.assertIn("not found", self.fails("kubectl", "get", "service", "unmade"))
        self.assertFalse([x for x in c.get("vmi", "guest")["status"]["conditions"] if x["type"] == "Paused"])

    def test_where(self):
        """-n, --context, --kubeconfig, $KUBECONFIG; before the verb and after it."""
        c = self.cluster
        c.kubectl("create", "namespace", "elsewhere")
        self.addCleanup(c.kubectl, "delete", "namespace", "elsewhere", "--timeout=60s")
        c.apply(dict(vm("there", running=False), metadata={"name": "there", "namespace": "elsewhere"}))
        self.assertIn('"there" not found', self.fails(program("virtctl"), "start", "there"))
        for argv in (["-n", "elsewhere", "start", "there"], ["start", "there", "--namespace", "elsewhere"],
                     ["start", "-n=elsewhere", "vm/there"]):
            self.assertIn("there was scheduled", c.virtctl(*argv, "--dry-run").stdout)
        config = os.path.join(self.folder, "config")
        shutil.copy(c.kubeconfig, config)
        of = ["kubectl", "--kubeconfig", config, "config"]
        context = run([*of, "current-context"], env=c.env).stdout.strip()
        run([*of, "set-context", "other", "--namespace", "elsewhere", "--cluster",
             run([*of, "view", "-o", "jsonpath={.contexts[0].context.cluster}"]).stdout, "--user",
             run([*of, "view", "-o", "jsonpath={.contexts[0].context.user}"]).stdout])
        bare = {k: v for k, v in c.env.items() if k != "KUBECONFIG"}
        bare["HOME"] = self.folder
        virtctl = program("virtctl")
        run([virtctl, "start", "there", "--dry-run", "--kubeconfig", config, "--context", "other"], env=bare)
        run([virtctl, "start", "there", "--dry-run", "--context", "other"], env=dict(bare, KUBECONFIG=config))
        run([virtctl, "start", "there", "--dry-run"], env=dict(bare, KUBECONFIG=f"/nowhere:{config}"), check=False)
        run([*of, "use-context", "other"])
        os.mkdir(os.path.join(self.folder, ".kube"))
        shutil.copy(config, os.path.join(self.folder, ".kube/config"))
        run([virtctl, "start", "there", "--dry-run"], env=bare)
        self.assertIn(context, self.fails(virtctl, "start", "there", "--context", "bogus"))
        self.assertIn("/nowhere", self.fails(virtctl, "start", "there", "--kubeconfig", "/nowhere"))

    def test_words(self):
        """Wrong commands are answered with what would be right."""
        virtctl = program("virtctl")
        self.assertIn('unknown command "strat"', self.fails(virtctl, "strat", "guest", code=2))
        self.assertIn("start", self.fails(virtctl, "strat", "guest", code=2))
        self.assertIn("virtctl start", run([virtctl, "start", "--help"]).stdout)
        self.assertIn("--paused", run([virtctl, "start", "--help"]).stdout)
        self.assertIn("target", self.fails(virtctl, "start", code=2))
        self.assertIn('unknown type "pod"', self.fails(virtctl, "start", "pod", "guest", code=1))
        self.assertIn("Usage: virtctl", run([virtctl, "--help"]).stdout)

    def test_version(self):
        client = self.cluster.virtctl("version", "-c").stdout
        self.assertRegex(client, r"\AClient Version: v\d+\.\d+\.\d+\n\Z")
        both = self.cluster.virtctl("version").stdout
        self.assertTrue(both.startswith(client))
        self.assertRegex(both, r"Server Version: v\d+\.\d+\.\d+")

    def test_kubectl_plugin(self):
        """`kubectl virt`, as the install rules link it."""
        os.symlink(program("virtctl"), os.path.join(self.folder, "kubectl-virt"))
        env = dict(self.cluster.env, PATH=f"{self.folder}:{os.environ['PATH']}")
        self.cluster.apply(vm("plugged", running=False))
        self.assertIn("Server Version", run(["kubectl", "virt", "version"], env=env).stdout)
        self.assertIn("plugged was scheduled to start",
                      run(["kubectl", "virt", "start", "plugged", "-n", "default", "--dry-run"], env=env).stdout)
        self.assertIn("Usage: kubectl virt", run(["kubectl", "virt", "--help"], env=env).stdout)
        self.assertIn(os.path.join(self.folder, "kubectl-virt"), run(["kubectl", "plugin", "list"], env=env, check=False).stdout)

    def test_image_import(self):
        """Into the instance that the kubeconfig belongs to, wherever its data is; a guest boots from it."""
        c = self.cluster
        archive = os.path.join(cluster.BUILD, "share/images/demo.oci.tar")
        env = dict(c.env, PATH=f"{os.path.dirname(program('nodevirt'))}:{os.environ['PATH']}")
        run([program("virtctl"), "image", "import", f"tools/demo:1=oci-archive:{archive}"], env=env)
        self.assertIn("tools/demo:1", c.nodevirt("image", "list").stdout)
        self.start_guest("imported", image="tools/demo:1")
        c.nodevirt("image", "rm", "tools/demo:1")
        self.assertIn("no such file", self.fails(program("virtctl"), "image", "import", "oci-archive:/nowhere", env=env))
        self.assertIn("nodevirt", self.fails(program("virtctl"), "image", "import", f"x=oci-archive:{archive}",
                                             env=dict(c.env, PATH=self.folder)))

    def test_ports_and_ssh(self):
        """port-forward, ssh and scp reach a guest that no Service and no address leads to."""
        c = self.cluster
        key = os.path.join(self.folder, "key")
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
        with open(key + ".pub") as f:
            self.start_guest(user_data=f"#cloud-config\nssh_authorized_keys:\n  - {f.read().strip()}\n")
        with Forward(self, "vmi/guest", "0:22") as port, socket.create_connection(("127.0.0.1", port), timeout=20) as s:
            self.assertTrue(s.recv(64).startswith(b"SSH-2.0"))
        with Forward(self, "vm/guest/default", "0:22") as port, socket.create_connection(("127.0.0.1", port), timeout=20) as s:
            self.assertTrue(s.recv(64).startswith(b"SSH-2.0"))
        with Forward(self, "vmi/guest", "0:9") as port, socket.create_connection(("127.0.0.1", port), timeout=20) as s:
            self.assertEqual(s.recv(64), b"")  # nobody listens there
        trust = ["-t", "-oStrictHostKeyChecking=no", "--known-hosts", os.path.join(self.folder, "known"), "-i", key]
        ssh = lambda *argv: c.virtctl("ssh", *argv, *trust).stdout
        self.assertEqual(ssh("demo@vmi/guest", "-c", "whoami; echo 'a  b'").split("\n")[:2], ["demo", "a  b"])
        self.assertEqual(ssh("vm/guest", "-l", "demo", "-n", "default", "-c", "hostname").strip(), "guest")
        source = self.file("source", "carried\n")
        # The demo guest has no sftp server: scp's older protocol and a stand-in for its receiver.
        self.fails(program("virtctl"), "scp", source, "demo@vmi/guest:/tmp/x", *trust)
        self.assertIn("one of the two", self.fails(program("virtctl"), "scp", source, source, *trust, code=1))
        self.assertIn("not found", self.fails(program("virtctl"), "ssh", "vmi/nobody", "-c", "true", *trust))
        self.assertIn("only tcp", self.fails(program("virtctl"), "port-forward", "vmi/guest", "udp/53", code=1))
        for question in ("guestosinfo", "userlist", "fslist"):
            self.assertIn("does not have guest agent connected", self.fails(program("virtctl"), question, "guest", code=1))

    COMPLETIONS = [  # what is on the line before Tab, and what must be among the offers
        ("virtctl sta", ["start"], ["stop"]),
        ("virtctl ", ["console", "vnc", "version"], ["__complete"]),
        ("virtctl start ", ["tab-one", "tab-two", "vm"], []),
        ("virtctl start tab-t", ["tab-two"], ["tab-one"]),
        ("virtctl start vm tab-o", ["tab-one"], ["tab-two"]),
        ("virtctl start --p", ["--paused"], ["--dry-run"]),
        ("virtctl -n elsewhere-2 start ", ["far-away"], ["tab-one"]),
        ("virtctl -n elsew", ["elsewhere-2"], ["default"]),
        ("virtctl vnc s", ["screenshot"], ["tab-one"]),
        ("virtctl completion z", ["zsh"], ["bash"]),
        ("virtctl expose tab-one --type N", ["NodePort"], ["ClusterIP"]),
    ]

    def test_completion(self):
        c = self.cluster
        for name in ("tab-one", "tab-two"):
            c.apply(vm(name, running=False))
        c.kubectl("create", "namespace", "elsewhere-2")
        self.addCleanup(c.kubectl, "delete", "namespace", "elsewhere-2", "--timeout=60s")
        c.apply(dict(vm("far-away", running=False), metadata={"name": "far-away", "namespace": "elsewhere-2"}))
        env = dict(c.env, PATH=f"{os.path.dirname(program('virtctl'))}:{os.environ['PATH']}")
        scripts = {shell: self.file(shell, c.virtctl("completion", shell).stdout) for shell in ("bash", "zsh", "fish")}
        bash = """source "$1"; shift; COMP_LINE=$1; COMP_POINT=${#COMP_LINE}
                  read -ra COMP_WORDS <<<"$1"; case $1 in *" ") COMP_WORDS+=("");; esac
                  COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); $(complete -p virtctl | sed 's/.*-F \\([^ ]*\\).*/\\1/') virtctl
                  printf '%s\\n' "${COMPREPLY[@]}" """
        # compadd and compdef are zsh's own, and work only in its editor: their place is taken.
        zsh = """compdef() { :; }; compadd() { while [[ $1 == -* && $1 != -- ]]; do shift; done; [[ $1 == -- ]] && shift
                   for w; do [[ $w == ${words[CURRENT]}* ]] && print -r -- $w; done }
                 source "$1"; words=("${(@s: :)2}"); CURRENT=$#words; _virtctl"""
        fish = """source $argv[1]; complete -C $argv[2]"""
        shells = {"bash": ["bash", "--norc", "-c", bash, "bash"], "zsh": ["zsh", "-f", "-c", zsh, "zsh"],
                  "fish": ["fish", "--no-config", "-c", fish]}
        for shell, argv in shells.items():
            if not shutil.which(shell):
                continue
            for line, wanted, unwanted in self.COMPLETIONS:
                with self.subTest(shell, line=line):
                    done = run([*argv, scripts[shell], line], env=dict(env, HOME=self.folder))
                    offers = [x.split("\t")[0] for x in done.stdout.split("\n")]
                    for word in wanted:
                        self.assertIn(word, offers, done.stderr)
                    for word in unwanted:
                        self.assertNotIn(word, offers)
        self.assertIn("zsh", self.fails(program("virtctl"), "completion", "tcsh", code=2))


class Kubectl(Tools):
    def test_explain_and_discovery(self):
        c = self.cluster
        text = c.kubectl("explain", "vm.spec.template.spec.domain.devices.disks.disk")
        self.assertIn("bus", text)
        self.assertIn("GROUP:      kubevirt.io", text)
        self.assertIn("terminationGracePeriodSeconds", c.kubectl("explain", "vmi.spec", "--recursive"))
        self.assertIn("nodeSelector", c.kubectl("explain", "pod.spec"))
        self.assertIn("does not exist", self.fails("kubectl", "explain", "vm.spec.bogus"))
        names = c.kubectl("api-resources", "-o", "name").split()
        for name in ("virtualmachines.kubevirt.io", "virtualmachineinstances.kubevirt.io", "pods", "nodes", "events"):
            self.assertIn(name, names)
        everyday = c.kubectl("api-resources", "--api-group=kubevirt.io", "--categories=all", "-o", "name").split()
        self.assertLessEqual({"virtualmachineinstances.kubevirt.io", "virtualmachines.kubevirt.io"}, set(everyday))
        self.assertIn("kubevirt.io/v1", c.kubectl("api-versions").split())
        self.assertIn("control plane", c.kubectl("cluster-info"))
        self.assertEqual(c.kubectl("get", "--raw", "/readyz"), "ok")
        self.assertIn("Metrics API not available", self.fails("kubectl", "top", "pods"))

    def test_access(self):
        c = self.cluster
        self.assertEqual(c.kubectl("auth", "can-i", "create", "vms").strip(), "yes")
        self.assertEqual(run(["kubectl", "auth", "can-i", "delete", "vms", "--as", "bob"], env=c.env, check=False).stdout.strip(), "no")
        c.kubectl("create", "role", "starter", "--verb=get,list", "--resource=virtualmachines.kubevirt.io")
        c.kubectl("create", "rolebinding", "starter", "--role=starter", "--user=bob")
        self.assertEqual(c.kubectl("auth", "can-i", "list", "vms", "--as", "bob").strip(), "yes")
        self.assertIn("virtualmachines.kubevirt.io", c.kubectl("auth", "can-i", "--list", "--as", "bob"))
        self.assertIn("Username", c.kubectl("auth", "whoami"))
        c.kubectl("get", "vms", "--as", "bob")
        self.assertIn("Forbidden", self.fails("kubectl", "delete", "vm", "any", "--as", "bob"))
        c.kubectl("delete", "role,rolebinding", "starter")

    def test_edit_diff_apply(self):
        c = self.cluster
        manifest = vm("edited", running=False, grace=30)
        c.apply(manifest)
        # edit: saved, unchanged, refused and kept for another try.
        editor = self.file("editor", "#!/bin/sh\nsed -i 's/terminationGracePeriodSeconds: 30/terminationGracePeriodSeconds: 45/' \"$1\"\n", 0o755)
        env = dict(c.env, EDITOR=editor, KUBE_EDITOR=editor)
        self.assertIn("edited", run(["kubectl", "edit", "vm", "edited"], env=env).stdout)
        self.assertEqual(c.get("vm", "edited")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 45)
        same = run(["kubectl", "edit", "vm", "edited"], env=env)
        self.assertIn("no changes", same.stdout + same.stderr)
        bad = self.file("bad", "#!/bin/sh\nsed -i 's/terminationGracePeriodSeconds: 45/terminationGracePeriodSeconds: many/' \"$1\"\n", 0o755)
        refused = self.fails("kubectl", "edit", "vm", "edited", env=dict(env, EDITOR=bad, KUBE_EDITOR=bad))
        copy = re.search(r'stored to "([^"]+)"', refused).group(1)
        self.addCleanup(os.unlink, copy)
        with open(copy) as f:
            self.assertRegex(f.read(), r"# \* spec.template.spec.terminationGracePeriodSeconds: Invalid value")
        # diff: 1 and the line when it differs, 0 when not.
        manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 60
        text = json.dumps(manifest)
        differs = run(["kubectl", "diff", "-f", "-"], env=c.env, input=text, check=False)
        self.assertEqual(differs.returncode, 1, differs.stderr)
        self.assertIn("+      terminationGracePeriodSeconds: 60", differs.stdout)
        c.kubectl("apply", "-f", "-", input=text)
        self.assertEqual(run(["kubectl", "diff", "-f", "-"], env=c.env, input=text, check=False).returncode, 0)
        # Server-side: two owners disagree, one insists.
        def owned(value, manager, *flags):
            body = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": "owned"},
                    "spec": {"runStrategy": "Halted", "template": {"spec": {"terminationGracePeriodSeconds": value,
                             "domain": {"devices": {}, "resources": {"requests": {"memory": "64M"}}}}}}}
            return run(["kubectl", "apply", "--server-side", "--field-manager", manager, "-f", "-", *flags],
                       env=c.env, input=json.dumps(body), check=False)
        self.assertEqual(owned(10, "one").returncode, 0)
        conflict = owned(20, "two")
        self.assertIn('conflict with "one"', conflict.stderr)
        self.assertIn(".spec.template.spec.terminationGracePeriodSeconds", conflict.stderr)
        self.assertEqual(owned(20, "two", "--force-conflicts").returncode, 0)
        self.assertEqual(c.get("vm", "owned")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 20)
        # Patches; the status is its own subresource.
        c.kubectl("patch", "vm", "owned", "--type=json", "-p", '[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]')
        c.kubectl("patch", "vm", "owned", "--subresource=status", "--type=merge", "-p", '{"status":{"startFailure":{"consecutiveFailCount":3}}}')
        c.kubectl("patch", "vm", "owned", "--type=merge", "-p", '{"status":{"created":true}}')
        self.assertFalse(c.get("vm", "owned")["status"].get("created"))
        self.assertIn("NotFound", self.fails("kubectl", "scale", "vm", "owned", "--replicas=2"))
        replaced = c.get("vm", "owned")
        replaced["metadata"]["labels"]["a"] = "c"
        c.kubectl("replace", "-f", "-", input=json.dumps(replaced))
        self.assertIn("Conflict", self.fails("kubectl", "replace", "-f", "-", input=json.dumps(replaced)))
        c.kubectl("label", "vm", "owned", "a-")
        c.kubectl("annotate", "vm", "owned", "note=kept")
        self.assertEqual(c.get("vm", "owned")["metadata"]["annotations"]["note"], "kept")

    def test_lists(self):
        c = self.cluster
        names = []
        for n in range(7):
            body = vm("", running=False)
            body["metadata"] = {"generateName": "many-", "labels": {"n": str(n), "parity": "odd" if n % 2 else "even"}}
            names.append(c.kubectl("create", "-f", "-", "-o", "name", input=json.dumps(body)).strip().partition("/")[2])
        self.assertEqual(len(set(names)), 7)
        self.assertTrue(all(re.fullmatch(r"many-[a-z0-9]{5}", n) for n in names), names)

        def listed(*argv):
            return [x.partition("/")[2] for x in c.kubectl("get", "vm", "-o", "name", *argv).split()]
        self.assertEqual(sorted(listed("--chunk-size=2")), sorted(names))
        self.assertEqual(sorted(listed("-l", "parity=odd")), sorted(names[1::2]))
        self.assertEqual(sorted(listed("-l", "n in (0,1),parity!=odd")), [names[0]])
        self.assertEqual(listed("-l", "!parity"), [])
        self.assertEqual(listed("--field-selector", f"metadata.name={names[3]}"), [names[3]])
        self.assertIn("field label not supported", self.fails("kubectl", "get", "vm", "--field-selector", "spec.x=y"))
        rows = c.kubectl("get", "vm", "-A", "--sort-by={.metadata.labels.n}", "--no-headers", "-L", "n").splitlines()
        self.assertEqual([row.split()[-1] for row in rows], list("0123456"))
        self.assertIn("many-", c.kubectl("get", "all", "--chunk-size=3"))
        wide = c.kubectl("get", "vm", names[0], "-o", "wide").splitlines()[0].split()
        self.assertEqual(wide[:4], ["NAME", "AGE", "STATUS", "READY"])
        # A watch shows rows as they change.
        watch = subprocess.Popen(["kubectl", "get", "vm", "-o", "wide", "-w", "--output-watch-events"], env=c.env,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            for _ in range(8):
                watch.stdout.readline()
            c.kubectl("delete", "vm", names[0], "--wait=false")
            def deleted():
                line = watch.stdout.readline()
                return line.startswith("DELETED") and names[0] in line
            wait("the watch tells of the deletion", deleted, 30)
        finally:
            watch.kill()
            watch.communicate()
        self.assertIn("deleted", c.kubectl("delete", "vm", "-l", "parity", "--timeout=60s"))

    def test_a_running_guest(self):
        """describe, logs, wait, events, exec; what is not offered says so."""
        c = self.cluster
        c.apply(vm("guest", running=True))
        c.kubectl("wait", "vm/guest", "--for=condition=Ready", "--timeout=90s")
        c.kubectl("wait", "vmi/guest", "--for=jsonpath={.status.phase}=Running", "--timeout=60s")
        pod = c.launcher_pod("guest")["metadata"]["name"]
        node = c.get("vmi", "guest")["status"]["nodeName"]
        for what, texts in ((("vm", "guest"), ["Printable Status:", "SuccessfulCreate"]),
                            (("vmi", "guest"), ["Node Name:", "Started"]),
                            (("pod", pod), ["Controlled By:", "virtual-machine-unpaused", "Started container compute"]),
                            (("node", node), [pod, "Allocated resources:", "devices.kubevirt.io/kvm", "RenewTime"])):
            with self.subTest(what):
                said = c.kubectl("describe", *what)
                for text in texts:
                    self.assertIn(text, said)
        self.assertIn("the guest runs", c.kubectl("logs", pod))
        self.assertEqual(len(c.kubectl("logs", pod, "--tail=1").splitlines()), 1)
        follow = subprocess.Popen(["kubectl", "logs", "-f", "--tail=0", pod], env=c.env, stdout=subprocess.PIPE, text=True)
        events = subprocess.Popen(["kubectl", "events", "--for", "vmi/guest", "-w"], env=c.env, stdout=subprocess.PIPE, text=True)
        try:
            self.assertIn("REASON", events.stdout.readline())
            self.assertIn("exec into pods is not offered", self.fails("kubectl", "exec", pod, "--", "true"))
            self.assertIn("not offered", self.fails("kubectl", "port-forward", pod, "0:22"))
            self.assertIn("timed out", self.fails("kubectl", "wait", "vm/guest", "--for=delete", "--timeout=1s"))
            c.kubectl("delete", "vm", "guest", "--wait=false")
            c.kubectl("wait", "vm/guest", "--for=delete", "--timeout=90s")
            self.assertTrue(follow.communicate(timeout=30)[0].strip(), "logs -f said nothing of the end")
            seen = []
            wait("events -w tells of the deletion", lambda: seen.append(events.stdout.readline()) or "Delete" in seen[-1], 30)
        finally:
            for process in (follow, events):
                process.kill()
                process.communicate()

    def test_drain(self):
        """A drained node's guest shuts down and starts again on the other."""
        c = self.cluster
        self.start_guest()
        node, uid = c.get("vmi", "guest")["status"]["nodeName"], self.uid("guest")
        self.addCleanup(c.kubectl, "uncordon", node)
        c.kubectl("cordon", node)
        self.assertIn("SchedulingDisabled", c.kubectl("get", "node", node))
        self.assertIn("local storage", self.fails("kubectl", "drain", node, "--timeout=30s"))
        self.assertIn("drained", c.kubectl("drain", node, "--delete-emptydir-data", "--ignore-daemonsets", "--timeout=100s"))
        def elsewhere():
            vmi = c.get("vmi", "guest")
            return vmi["metadata"]["uid"] != uid and vmi["status"].get("phase") == "Running" and vmi["status"]["nodeName"] != node
        wait("the guest runs on the other node", elsewhere, 120)
        c.wait_console("guest", "login:")
        self.assertEqual(len(c.qemu_pids()), 1)
        c.kubectl("uncordon", node)
        self.assertNotIn("SchedulingDisabled", c.kubectl("get", "node", node))

    def test_examples(self):
        """Every file in manifests/examples is accepted, and its machines run."""
        c = self.cluster
        folder = os.path.join(cluster.ROOT, "manifests/examples")
        for name in sorted(os.listdir(folder)):
            with self.subTest(name):
                self.assertIn("created", c.kubectl("create", "-f", os.path.join(folder, name)))
        for machine in c.get("vm")["items"]:
            name = machine["metadata"]["name"]
            if machine["status"].get("printableStatus") == "Stopped" and name != "vm-64bit":  # that image is not here
                c.virtctl("start", name)
        for name in ("vm-demo", "vm-cirros", "vm-pvc", "vmi-ephemeral"):
            with self.subTest(name):
                c.wait_running(name)
        self.assertIn("deleted", c.kubectl("delete", "-f", folder, "--timeout=100s"))


@unittest.skipUnless(KUBEVIRT_VIRTCTL, "NODEVIRT_KUBEVIRT_VIRTCTL does not name KubeVirt's own virtctl")
class KubevirtVirtctl(Tools):
    """KubeVirt's own program against this stack (tried with 1.6.6, built from its source)."""

    def theirs(self, *argv, code=0, says=""):
        done = run([KUBEVIRT_VIRTCTL, *argv], check=False, env=dict(self.cluster.env, HOME=self.folder), timeout=60)
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, code, f"{argv}: {said}")
        self.assertIn(says, said, argv)
        return said

    def test_verbs(self):
        c = self.cluster
        c.apply(vm("guest", running=False, grace=60))
        c.apply(vm("manual", strategy="Manual"))
        conflict = 'Operation cannot be fulfilled on virtualmachine.kubevirt.io "guest": '
        of_vmi = 'Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io "guest": '
        self.theirs("version", says="Server Version")
        self.theirs("start", "guest", "--dry-run", says="scheduled to start")
        self.assertIn("NotFound", self.fails("kubectl", "get", "vmi", "guest"))
        self.theirs("start", "guest", says="VM guest was scheduled to start")
        c.wait_running("guest")
        c.wait_console("guest", "login:")
        self.theirs("start", "guest", code=1, says=conflict + "VM is already running")
        self.theirs("start", "nobody", code=1, says='virtualmachine.kubevirt.io "nobody" not found')
        self.theirs("pause", "vm", "guest", "--dry-run")
        self.theirs("pause", "vm", "guest", says="scheduled to pause")
        self.theirs("pause", "vmi", "guest", code=1, says=of_vmi + "VMI is already paused")
        wait("the instance says that it is paused", lambda: "Paused" in c.kubectl("get", "vm", "guest"))
        self.theirs("unpause", "vmi", "guest", says="scheduled to unpause")
        self.theirs("unpause", "vm", "guest", code=1, says=of_vmi + "VMI is not paused")
        self.theirs("pause", "vmi", "nobody", code=1, says='virtualmachineinstance.kubevirt.io "nobody" not found')
        for verb in ("soft-reboot", "reset"):
            boots = c.console_log("guest").count("login:")
            self.theirs(verb, "guest", says="VMI guest was scheduled to")
            wait("another boot", lambda: c.console_log("guest").count("login:") > boots, 90)
        for question in ("userlist", "fslist"):
            self.theirs(question, "guest", code=1, says=of_vmi + "VMI does not have guest agent connected")
        self.theirs("guestosinfo", "guest", code=1, says="conflict")
        self.theirs("expose", "vm", "guest", "--name", "first", "--port", "22", says="successfully created")
        self.theirs("expose", "vmi", "guest", "--name", "second", "--port", "2222", "--target-port", "22", "--type", "NodePort")
        self.assertTrue(wait("the service has an endpoint", lambda: c.get("endpoints", "second").get("subsets")))
        self.theirs("expose", "vmi", "guest", "--name", "first", "--port", "22", code=1, says="already exists")
        self.theirs("expand", "--vm", "guest", says="kind: VirtualMachine")
        c.kubectl("apply", "-f", "-", input=self.theirs("create", "vm", "--name", "made", "--run-strategy", "Halted",
                                                       "--volume-containerdisk", "src:nodevirt/demo:latest"))
        for refused in (["removevolume", "guest", "--volume-name", "x"], ["objectgraph", "guest"]):
            self.theirs(*refused, code=1, says="is not supported by this version of Nodevirt")
        uid = self.uid("guest")
        self.theirs("restart", "guest", says="scheduled to restart")
        wait("another instance", lambda: self.uid("guest") != uid and c.phase("guest") == "Running", 90)
        uid = self.uid("guest")
        self.theirs("restart", "guest", "--force", "--grace-period", "0", says="scheduled to restart")
        wait("another instance", lambda: self.uid("guest") != uid and c.phase("guest") == "Running", 90)
        self.theirs("stop", "guest", "--force", "--grace-period", "0", says="scheduled to stop")
        c.wait_gone("vmi", "guest", 30)
        self.theirs("stop", "guest", code=1, says=conflict + "VM is not running")
        self.theirs("restart", "guest", code=1, says="does not support manual restart requests")
        self.theirs("start", "guest", "--paused", says="scheduled to start")
        c.wait_running("guest")
        wait("it starts paused", lambda: "Paused" in c.kubectl("get", "vm", "guest"))
        # A stop just after a restart is a stop.
        self.theirs("unpause", "vm", "guest")
        self.theirs("restart", "guest", "--force", "--grace-period", "0")
        self.theirs("stop", "guest", "--force", "--grace-period", "0")
        c.wait_gone("vmi", "guest", 60)
        self.assertIn("Stopped", c.kubectl("get", "vm", "guest"))
        self.theirs("start", "manual", says="scheduled to start")
        c.wait_running("manual")
        self.theirs("stop", "manual", says="scheduled to stop")
        c.wait_gone("vmi", "manual", 60)

    def test_streams(self):
        c = self.cluster
        self.start_guest()
        master, slave = pty.openpty()
        console = subprocess.Popen([KUBEVIRT_VIRTCTL, "console", "guest"], env=c.env, stdin=slave, stdout=slave, stderr=slave,
                                   start_new_session=True)
        os.close(slave)
        seen = ""

        def say(text, wanted):
            nonlocal seen
            os.write(master, text.encode())
            def found():
                nonlocal seen
                while select.select([master], [], [], 0.1)[0]:
                    seen += os.read(master, 4096).decode(errors="replace")
                return wanted in seen
            wait(f"the console says {wanted!r}", found, 60)
            seen = seen.partition(wanted)[2]
        try:
            say("", "Successfully connected to guest console")
            say("\n", "login:")
            say("demo\n", "assword:")
            say("demo\n", "$")
            say("echo one-$((1+1))\n", "one-2")
            os.write(master, b"\x1d")
            self.assertEqual(console.wait(timeout=20), 0)
        finally:
            console.kill()
            console.wait()
            os.close(master)
        with Proxy(self, "guest", virtctl=KUBEVIRT_VIRTCTL) as proxy, rfb.Screen(proxy.port) as screen:
            self.assertGreater(screen.bright(), 100)
        path = os.path.join(self.folder, "screen.png")
        self.theirs("vnc", "screenshot", "guest", "-f", path)
        with open(path, "rb") as f:
            self.assertGreater(rfb.png_pixels(f.read())[2], 100)
        for place in ("vm/guest", "vmi/guest"):
            forward = subprocess.Popen([KUBEVIRT_VIRTCTL, "port-forward", place, "--stdio=true", "22"], env=c.env,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            try:
                self.assertTrue(forward.stdout.readline().startswith(b"SSH-2.0"))
            finally:
                forward.kill()
                forward.communicate()


if __name__ == "__main__":
    cluster.main()
