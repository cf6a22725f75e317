"""A relay of two socats with TLS between the nodes' namespaces, and what it costs to move bytes through it."""
import os, shutil, socket, subprocess, tempfile, threading, time

import cluster as C
from benchmarks.processes import cpu_seconds

CHUNK = 512 << 10     # as QEMU writes its parallel streams


def socat_cost(nodes, pki, total, block):
    """Processor seconds of both socats per GiB. `nodes`: [(netns, address), (netns, address)], source first; `block`: socat's -b."""
    folder = tempfile.mkdtemp(prefix="nvr-", dir="/tmp")
    (from_ns, _), (to_ns, address) = nodes
    tls = f"cert={pki}/virt-handler-node1.crt,key={pki}/virt-handler-node1.key,cafile={pki}/ca.crt,verify=1"
    sink = socket.socket(socket.AF_UNIX)
    sink.bind(folder + "/sink")
    sink.listen(1)
    port = C.free_port()
    relays = []
    try:
        relays.append(subprocess.Popen(["ip", "netns", "exec", to_ns, "socat", "-b", str(block), f"OPENSSL-LISTEN:{port},reuseaddr,{tls}",
                                        f"UNIX-CONNECT:{folder}/sink"]))
        C.wait("socat listens", lambda: str(port) in C.run(["ip", "netns", "exec", to_ns, "ss", "-ltnH"]).stdout)
        relays.append(subprocess.Popen(["ip", "netns", "exec", from_ns, "socat", "-b", str(block), f"UNIX-LISTEN:{folder}/source",
                                        f"OPENSSL:{address}:{port},commonname=virt-handler,{tls}"]))
        C.wait("socat's socket", lambda: os.path.exists(folder + "/source"))
        source = socket.socket(socket.AF_UNIX)
        source.connect(folder + "/source")
        inward, _ = sink.accept()
        data = os.urandom(CHUNK)
        source.sendall(data)      # the connection stands
        inward.recv(CHUNK, socket.MSG_WAITALL)
        before, began = [cpu_seconds(p.pid) for p in relays], time.time()

        def feed():
            for _ in range(total // CHUNK):
                source.sendall(data)
        feeder = threading.Thread(target=feed)
        feeder.start()
        into, left = bytearray(CHUNK), total // CHUNK * CHUNK
        while left > 0:
            n = inward.recv_into(into)
            if n == 0:
                raise C.Failed("socat ended")
            left -= n
        feeder.join()
        gib = (total // CHUNK * CHUNK) / (1 << 30)
        return {"block": block, "cpu_s_per_GiB": sum(cpu_seconds(p.pid) - b for p, b in zip(relays, before)) / gib,
                "MiB_per_s": gib * 1024 / (time.time() - began)}
    finally:
        for p in relays:
            p.kill(); p.wait()
        sink.close()
        shutil.rmtree(folder, ignore_errors=True)
