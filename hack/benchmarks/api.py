"""The API server without kubectl, whose start alone takes a tenth of a second of processor time: what is asked for while
something is measured is asked for on connections that stand already."""
import base64, http.client, json, os, ssl, tempfile
from urllib.parse import urlsplit

import cluster as C


class Api:
    def __init__(self, c):
        config = json.loads(C.run(["kubectl", "config", "view", "--raw", "-o", "json"], env=c.env).stdout)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.at = urlsplit(cluster["server"])
        with tempfile.TemporaryDirectory() as folder:
            def file(section, key):
                if key in section:
                    return section[key]
                path = os.path.join(folder, key)
                with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as f:
                    f.write(base64.b64decode(section[key + "-data"]))
                return path
            self.context = ssl.create_default_context(cafile=file(cluster, "certificate-authority"))
            self.context.load_cert_chain(file(user, "client-certificate"), file(user, "client-key"))
        self.connection = self._connect()

    def _connect(self, timeout=60):
        out = http.client.HTTPSConnection(self.at.hostname, self.at.port, context=self.context, timeout=timeout)
        out.connect()
        return out

    def ask(self, method, path, body=None):
        for fresh in (False, True):
            try:
                self.connection.request(method, path, body and json.dumps(body), {"Content-Type": "application/json"})
                answer = self.connection.getresponse()
                text = answer.read()
                break
            except (OSError, http.client.HTTPException):
                if fresh:
                    raise
                self.connection = self._connect()     # it was closed meanwhile
        if answer.status >= 300:
            raise C.Failed(f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text)

    def watch(self, path, timeout):
        """Objects as they change from now on; ends with an error when `timeout` seconds pass without one."""
        version = self.ask("GET", path)["metadata"]["resourceVersion"]
        connection = self._connect(timeout)
        connection.request("GET", f"{path}?watch=true&resourceVersion={version}")
        answer = connection.getresponse()

        def objects():
            try:
                for line in answer:
                    yield json.loads(line)["object"]
            finally:
                connection.close()
        return objects()
