#!/usr/bin/env python3
"""Kills the API server at its failpoints and at any moment: what it had answered is there afterwards,
revisions only grow, and nothing is there twice. Usage: crash.py SERVER"""
import http.client, json, os, re, signal, subprocess, sys, tempfile, threading, time

SERVER = sys.argv[1]
MAPS = "/api/v1/namespaces/default/configmaps"


class Server:
    def __init__(self, folder, failpoints=""):
        tokens = os.path.join(folder, "tokens")
        with open(tokens, "w") as f:
            f.write('secret,admin,1,"system:masters"\n')
        env = dict(os.environ, NODEVIRT_FAILPOINTS=failpoints)
        self.log = open(os.path.join(folder, "log"), "w+")
        self.process = subprocess.Popen([SERVER, "--data-dir", os.path.join(folder, "data"), "--listen", "127.0.0.1:0", "--token-file", tokens],
                                        stderr=self.log, env=env)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            text = open(self.log.name).read()
            found = re.search(r"listening on 127.0.0.1:(\d+)", text)
            if found and "INFO apiserver ready" in text:
                self.port = int(found[1])
                return
            if self.process.poll() is not None:
                return
            time.sleep(0.01)
        raise SystemExit("the server does not get ready:\n" + text)

    def call(self, method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            c.request(method, path, json.dumps(body) if body is not None else None,
                      {"Authorization": "Bearer secret", "Content-Type": "application/json"})
            r = c.getresponse()
            return r.status, json.loads(r.read())
        finally:
            c.close()


def write_until_dead(server, worker, acknowledged, lock):
    i = 0
    while True:
        name = f"w{worker}-{i}"
        try:
            status, o = server.call("POST", MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"i": str(i)}})
        except (OSError, http.client.HTTPException, ValueError):
            return
        assert status == 201, o
        with lock:
            acknowledged[name] = int(o["metadata"]["resourceVersion"])
        i += 1


def attempt(failpoints, kill_after):
    with tempfile.TemporaryDirectory(prefix="conformance-crash") as folder:
        Server_first = Server(folder)          # bootstrapped, so that the failpoint counts our writes
        Server_first.process.terminate()
        Server_first.process.wait(10)
        server = Server(folder, failpoints)
        acknowledged, lock = {}, threading.Lock()
        workers = [threading.Thread(target=write_until_dead, args=(server, n, acknowledged, lock)) for n in range(4)]
        for w in workers:
            w.start()
        if kill_after:
            time.sleep(kill_after)
            server.process.send_signal(signal.SIGKILL)
        server.process.wait(30)
        for w in workers:
            w.join()
        assert acknowledged, "nothing was written before the end"
        again = Server(folder)
        _, listed = again.call("GET", MAPS)
        there = {o["metadata"]["name"]: int(o["metadata"]["resourceVersion"]) for o in listed["items"]}
        for name, revision in acknowledged.items():
            assert there.get(name) == revision, f"{name} was acknowledged at {revision}, and is {there.get(name)}"
        revision = int(listed["metadata"]["resourceVersion"])
        assert revision >= max(there.values()), "the revision went back"
        assert len(set(there.values())) == len(there), "two objects have one revision"
        again.process.terminate()
        again.process.wait(10)
        print(f"{failpoints or 'kill -9'}: {len(acknowledged)} acknowledged writes kept")


attempt("apiserver-before-commit=kill@40", None)
attempt("apiserver-after-commit=kill@40", None)
attempt("", 0.5)
