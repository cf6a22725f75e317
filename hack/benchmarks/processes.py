"""What processes use, and whose they are."""
import os, re


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    # own and waited-for children
    return sum(int(fields[i]) for i in (11, 12, 13, 14)) / os.sysconf("SC_CLK_TCK")


def cpu_of_children(pid):
    """Of those that have ended: the monitor reaps what libvirtd leaves behind."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return sum(int(fields[i]) for i in (13, 14)) / os.sysconf("SC_CLK_TCK")


def processes():
    out = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                argv = [a.decode(errors="replace") for a in f.read().split(b"\0")[:-1]]
            with open(f"/proc/{pid}/stat") as f:
                parent = int(f.read().rsplit(")", 1)[1].split()[1])
            out[int(pid)] = (argv, parent, os.readlink(f"/proc/{pid}/ns/pid"))
        except OSError:
            pass
    return {p: v for p, v in out.items() if v[0]}


def split(c):
    """(pods: {pid namespace: [pids but QEMU, with sandbox parents]}, control: [pids of what `up` started])."""
    procs = processes()
    own = os.readlink("/proc/self/ns/pid")
    qemus = set(c.qemu_pids())
    namespaces = {procs[q][2] for q in qemus if q in procs}
    pods = {n: [p for p, (_, _, ns) in procs.items() if ns == n and p not in qemus] for n in namespaces}
    for ns, pids in pods.items():
        for p in list(pids):
            parent = procs[p][1]
            while parent in procs and procs[parent][2] == own and any("bwrap" in a or c.data in a for a in procs[parent][0][:1] + procs[parent][0]) \
                    and os.path.basename(procs[parent][0][0]) not in ("nodevirt",):
                if parent not in pids:
                    pids.append(parent)
                parent = procs[parent][1]
    in_pods = {p for pids in pods.values() for p in pids} | qemus
    control = [p for p, (argv, _, ns) in procs.items() if p not in in_pods and ns == own and
               os.path.basename(argv[0]) in ("nodevirt", "exe") and any(c.data in a for a in argv)]
    return pods, control
