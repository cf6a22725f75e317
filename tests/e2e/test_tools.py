"""virtctl as a person uses it: screens, reboots, shells, places, ports."""
import os, shutil, signal, socket, subprocess, textwrap

import cluster, rfb
from cluster import program, run, vm, wait
from test_seed import banner
from tools import Forward, Proxy, Tools


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
        with Forward(self, "vmi/guest", "0:22") as port:
            wait("ssh's banner", lambda: banner("127.0.0.1", port).startswith("SSH-2.0"))
        with Forward(self, "vm/guest/default", "0:22") as port:
            wait("ssh's banner", lambda: banner("127.0.0.1", port).startswith("SSH-2.0"))
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


if __name__ == "__main__":
    cluster.main()
