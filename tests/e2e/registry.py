"""A container registry of the tests' own, on a loopback port: plain, or with TLS and a login."""
import crypt, json, os, shutil, socket, subprocess, tempfile

from cluster import free_port, run, wait


class Registry:
    def __init__(self, tls=False, login=None):
        self.folder = tempfile.mkdtemp(prefix="nv-registry-", dir="/var/tmp")
        self.port = free_port()
        self.host = f"localhost:{self.port}"
        self.process = None
        http = {"addr": f"127.0.0.1:{self.port}"}
        config = {"version": "0.1", "log": {"level": "info"}, "http": http,
                  "storage": {"filesystem": {"rootdirectory": os.path.join(self.folder, "data")}}}
        if tls:
            self.make_certificates()
            http["tls"] = {"certificate": self.path("server.crt"), "key": self.path("server.key")}
        if login:
            with open(self.path("htpasswd"), "w") as f:
                f.write(f"{login[0]}:{crypt.crypt(login[1], crypt.mksalt(crypt.METHOD_BLOWFISH))}\n")
            config["auth"] = {"htpasswd": {"realm": "test", "path": self.path("htpasswd")}}
        self.login = login
        with open(self.path("config.yml"), "w") as f:
            json.dump(config, f)          # YAML takes JSON
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def path(self, name):
        return os.path.join(self.folder, name)

    def make_certificates(self):
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        run(["openssl", "req", "-x509", *key, "-days", "2", "-subj", "/CN=test", "-keyout", self.path("ca.key"), "-out", self.path("ca.crt")])
        run(["openssl", "req", *key, "-subj", "/CN=localhost", "-keyout", self.path("server.key"), "-out", self.path("server.csr")])
        with open(self.path("names"), "w") as f:
            f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        run(["openssl", "x509", "-req", "-in", self.path("server.csr"), "-CA", self.path("ca.crt"), "-CAkey", self.path("ca.key"),
             "-days", "2", "-extfile", self.path("names"), "-out", self.path("server.crt")])

    def start(self):
        self.log = open(self.path("log"), "ab")
        self.process = subprocess.Popen(["docker-registry", "serve", self.path("config.yml")], stdout=self.log, stderr=self.log)

        def answers():
            if self.process.poll() is not None:
                raise RuntimeError(f"the registry ended: {self.said()}")
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0
        wait("the registry answers", answers, 20)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.log.close()

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def said(self):
        with open(self.path("log"), errors="replace") as f:
            return f.read()

    def push(self, archive, name):
        """`archive` as localhost:PORT/name. Returns the manifest's digest."""
        digest = self.path("digest")
        creds = ["--dest-creds", ":".join(self.login)] if self.login else []
        run(["skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", *creds, "--digestfile", digest,
             f"oci-archive:{archive}", f"docker://{self.host}/{name}"])
        with open(digest) as f:
            return f.read().strip()

    def blobs_served(self):
        return sum(1 for line in self.said().splitlines() if "/blobs/sha256:" in line and "http.request.method=GET" in line
                   and "response completed" in line)
