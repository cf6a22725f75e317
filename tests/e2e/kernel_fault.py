"""Whether a guest that is silent has an inner fault: QEMU before 9.0 loses pages of emulated guests (docs/migration.md), and their
kernels panic, or tell of what cannot be."""
import glob
import json
import os
import re
import socket

from cluster import Console, Failed, wait


def _registers(path):
    """(instruction pointer, privilege level, whether it waits for an interrupt)"""
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")   # the path is longer than an address may be
            with s.makefile("rw") as monitor:
                monitor.readline()
                for command, arguments in (("qmp_capabilities", {}), ("human-monitor-command", {"command-line": "info registers"})):
                    monitor.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
                    monitor.flush()
                    while "return" not in (answer := json.loads(monitor.readline())):
                        pass
    finally:
        os.close(folder)
    at = re.search(r"[ER]IP=([0-9a-f]+) .*CPL=(\d).*HLT=(\d)", answer["return"])
    return int(at[1], 16), int(at[2]), at[3] == "1"


def _panicked(cluster, uid):
    """The guest runs, and its kernel goes round in one place and nowhere else, as Linux does after a panic."""
    seen = []
    for path in glob.glob(f"{cluster.data}/nodes/*/pods/*/volumes/kubernetes.io~empty-dir/private/{uid}/qmp"):
        try:
            wait("the processor's state", lambda: seen.append(_registers(path)) or len(seen) >= 10)
            break
        except OSError:   # the socket of a pod that was left
            continue
    print(f"the guest's processor: {seen}", flush=True)
    places, levels, halted = zip(*seen) if seen else ((0,), (3,), (True,))
    return max(places) - min(places) < 256 and set(levels) == {0} and not any(halted)


def kernel_fault(cluster, name):
    """What the guest's kernel says of it, or nothing: then the guest is silent for another reason."""
    if _panicked(cluster, cluster.get("vmi", name)["metadata"]["uid"]):
        return "a panic"
    try:
        with Console(cluster, name) as console:
            console.login("root")
            told = re.search(r".*(Oops|BUG:|is not a head|general protection).*", console.run("dmesg"))
            return told and told[0].strip()
    except (Failed, OSError, TimeoutError) as e:
        print(f"the guest's console: {e}", flush=True)
