"""Live migration beside plain `virsh migrate` (virsh_pair.py says how that is set up), over one link between two nodes.

    total, outage   20 migrations each: virsh, ours without TLS, ours with TLS; in turns, unshaped. Total: from the moment
                    the source's libvirtd is asked for the job until the first tick from the target. Outage: the longest
                    time between two ticks of the guest (it sends one each millisecond), stamped by the host's kernel.
    throughput      with TLS against virsh, the link shaped to 1 Gbit/s; bytes that left the node, the middle 90 % of them
    processor       of both virt-handlers, per GiB, unshaped with TLS, against two socats that carry as much
    limit           bytes per second on the link against bandwidthPerMigration
    table           table.py

All sides have the same flags: live, p2p, as many connections, one disk's new blocks copied along."""
import contextlib, json, os, statistics, time

import cluster as C
from benchmarks import guest as G, link as L, relay, table
from benchmarks.ours import Ours
from benchmarks.processes import cpu_seconds
from benchmarks.ticks import Recorder
from benchmarks.virsh_pair import NAME, Pair
from benchmarks.warm import warm

ROUNDS = 20
SMALL_MIB, BIG_MIB = 128, 384      # what the guests fill with noise
CONNECTIONS = min(8, os.cpu_count() // 2)                          # as virt-handler asks for (migration/source/requests.cpp)
FLAGS = ("--parallel", "--parallel-connections", str(CONNECTIONS)) if CONNECTIONS > 1 else ()
GBIT = 125_000_000
LIMITS_MIB = (16, 64)


class Stage:
    """A cluster of two nodes, a recorder, and one guest twice: as an instance, and under plain libvirt."""

    def __init__(self, c, domain_xml):
        self.c, self.domain_xml = c, domain_xml
        with open(f"{c.data}/instance.json") as f:
            instance = json.load(f)
        hash_, base = instance["hash"], instance["nodeCIDR"].split("/")[0].rsplit(".", 1)[0]
        names = [n["metadata"]["name"] for n in c.get("nodes")["items"]]
        self.nodes = {n: (f"nodevirt-{hash_}-{n}", f"{base}.{11 + i}") for i, n in enumerate(sorted(names))}
        self.gateway = base + ".1"
        self.link = L.Link({n: ns for n, (ns, _) in self.nodes.items()}, {n: f"nv{hash_}n{i + 1}" for i, n in enumerate(sorted(names))})
        self.recorder = Recorder(self.gateway)
        self.ours = self.pair = None

    def guests(self, name, mib):
        self.end_guests()
        machine = C.vm(name, running=True, memory=G.memory(mib), user_data=G.user_data(self.gateway, self.recorder.port, mib))
        machine["spec"]["template"]["spec"]["domain"]["cpu"] = {"features": [{"name": "pge", "policy": "disable"}]}   # load_guest.c
        self.c.apply(machine)
        self.c.wait_running(name)
        self.our_guest = self.recorder.next_guest()
        C.wait("it can be migrated", lambda: any(x["type"] == "LiveMigratable" and x["status"] == "True"
                                                 for x in self.c.get("vmi", name)["status"]["conditions"]))
        self.ours = Ours(self.c, name)
        self.pair = Pair(self.nodes, self.domain_xml(self.c, name), self.c.qemu_pids()[0], f"{self.c.data}/qemu-capabilities")
        self.their_guest = self.recorder.next_guest()
        # Once there and back: caches of QEMU's capabilities are filled, and both daemons have had a guest.
        self.ours.policy()
        for _ in range(2):
            self.migrate_theirs()
            self.migrate_ours()

    def end_guests(self):
        if self.pair:
            self.pair.close()
        if self.ours:
            self.c.kubectl("delete", "vm", self.ours.name)
            C.wait("gone", lambda: not self.c.qemu_pids() and not self.c.get("vmi")["items"], 90)
        self.pair = self.ours = None

    def tls(self, on):
        self.c.apply({"apiVersion": "kubevirt.io/v1", "kind": "KubeVirt", "metadata": {"name": "kubevirt", "namespace": "kubevirt"},
                      "spec": {"configuration": {"migrations": {"disableTLS": not on}}}})

    @contextlib.contextmanager
    def alone(self, guest):
        """The other guest rests meanwhile: one that is emulated takes half a core for its ticks."""
        if guest is self.our_guest:
            self.pair.at.virsh("suspend", NAME)
        else:
            self.c.virtctl("pause", self.ours.name)
        try:
            warm()
            yield
        finally:
            if guest is self.our_guest:
                self.pair.at.virsh("resume", NAME)
            else:
                self.c.virtctl("unpause", self.ours.name)

    def migrate_ours(self):
        with self.alone(self.our_guest):
            with L.Meter(self.link, self.ours.node) as meter:
                run = self.ours.migrate()
            if not run["ok"]:
                raise C.Failed(f"our migration failed: {run['error']}; {run['steered']}")
            self._look(run, self.our_guest)
            self.ours.settled()
        return run, meter

    def migrate_theirs(self):
        with self.alone(self.their_guest):
            with L.Meter(self.link, self.pair.at.node) as meter:
                run = self.pair.migrate(*FLAGS)
            self._look(run, self.their_guest)
        return run, meter

    def _look(self, run, guest):
        run["total_s"] = guest.wait_move(run["began"]) - run["began"]
        if guest.fault:
            raise C.Failed(guest.fault)
        run["outage_s"], run["around_s"] = guest.outage(run["began"], guest.moved_after(run["began"]) + 0.5)

    def close(self):
        self.link.clear()
        if self.pair:
            self.pair.close()
        self.recorder.close()


def median(runs, key):
    return statistics.median(r[key] for r in runs)


def total_and_outage(stage, out):
    runs = {"virsh": [], "plain": [], "tls": []}
    for _ in range(ROUNDS):
        runs["virsh"].append(stage.migrate_theirs()[0])
        for kind in ("plain", "tls"):
            stage.tls(kind == "tls")
            runs[kind].append(stage.migrate_ours()[0])
    total = {k: median(v, "total_s") for k, v in runs.items()}
    command = {k: statistics.median(r["ended"] - r["began"] for r in v) for k, v in runs.items()}
    outage = {k: median(v, "outage_s") * 1000 for k, v in runs.items()}
    allowed = 1.1 * outage["virsh"] + 20
    out["total"] = {"median_s": total, "until_reported_s": command, "ratio": {k: total[k] / total["virsh"] for k in ("plain", "tls")},
                    "allowed": 1.1}
    out["outage"] = {"median_ms": outage, "allowed_ms": allowed}
    out["migrations"] = {k: [{x: r[x] for x in ("total_s", "outage_s", "around_s")} for r in v] for k, v in runs.items()}
    print(f"total: virsh {total['virsh']:.2f} s, ours without TLS {total['plain']:.2f} s: ratio {total['plain'] / total['virsh']:.2f} "
          f"(at most 1.1), with TLS {total['tls']:.2f} s; until it is reported: {command['virsh']:.2f}, {command['plain']:.2f}, {command['tls']:.2f} s")
    print(f"outage, median of {ROUNDS}: virsh {outage['virsh']:.0f} ms, ours without TLS {outage['plain']:.0f}, with TLS {outage['tls']:.0f} "
          f"(at most {allowed:.0f})", flush=True)


def throughput(stage, out, rounds=3):
    stage.tls(True)
    stage.link.shape(GBIT)
    try:
        ours, theirs = [], []
        for _ in range(rounds):
            theirs.append(stage.migrate_theirs()[1].throughput())
            ours.append(stage.migrate_ours()[1].throughput())
    finally:
        stage.link.clear()
    a, b = statistics.median(ours), statistics.median(theirs)
    out["throughput"] = {"ours": ours, "virsh": theirs, "ratio": a / b, "allowed": 0.95}
    print(f"1 Gbit/s: ours with TLS {a / 1e6:.1f} MB/s, virsh {b / 1e6:.1f} MB/s, ratio {a / b:.3f} (at least 0.95)", flush=True)


def processor(stage, out, rounds=2):
    stage.tls(True)
    ends = list(stage.nodes.values())
    ours, theirs = [], {8192: [], 65536: [], 262144: []}
    for _ in range(rounds):
        handlers = stage.ours.handlers().values()
        before = {p: cpu_seconds(p) for p in handlers}
        run, meter = stage.migrate_ours()
        used = sum(cpu_seconds(p) - before[p] for p in handlers)
        moved = meter.total()
        ours.append({"cpu_s_per_GiB": used / moved * (1 << 30), "MiB_per_s": meter.throughput() / (1 << 20)})
        for block, results in theirs.items():
            results.append(relay.socat_cost(ends, f"{stage.c.data}/pki", moved, block))
    a = median(ours, "cpu_s_per_GiB")
    costs = {block: median(r, "cpu_s_per_GiB") for block, r in theirs.items()}
    best = min(costs.values())
    out["processor"] = {"ours": ours, "socat": theirs, "ratio": a / best, "allowed": 1.3}
    print(f"processor: {a:.2f} s per GiB, socat {best:.2f} (" + ", ".join(f"-b {k}: {v:.2f}" for k, v in costs.items())
          + f"): ratio {a / best:.2f} (at most 1.3); {median(ours, 'MiB_per_s'):.0f} MiB/s", flush=True)


def limit(stage, out):
    stage.tls(True)
    out["limit"] = {}
    for mib in LIMITS_MIB:
        stage.ours.policy(bandwidthPerMigration=f"{mib}Mi")
        run, meter = stage.migrate_ours()
        # From the first byte of the memory to a second before the last step, which has no limit.
        moved = stage.our_guest.moved_after(run["began"])
        begin = next(t for t, b in meter.points if b - meter.points[0][1] > 1 << 20) + 0.2
        rates = [r / (mib << 20) for r in meter.rates(1, begin, moved - 0.5)]
        mean = statistics.mean(rates)
        out["limit"][mib] = {"seconds": rates, "mean": mean, "steered": run["steered"]}
        print(f"limit of {mib} MiB/s: {mean * 100:.1f} % of it on the link, each second {min(rates) * 100:.0f} to {max(rates) * 100:.0f} % "
              "(90 to 110)", flush=True)
    stage.ours.policy()


def run(c, out, wanted, domain_xml):
    stage = Stage(c, domain_xml)
    out["migration"] = mine = {}
    try:
        if {"outage", "limit"} & wanted:
            stage.guests("small", SMALL_MIB)
            stage.ours.policy()
            if "outage" in wanted:
                total_and_outage(stage, mine)
            if "limit" in wanted:
                limit(stage, mine)
        if {"throughput", "processor"} & wanted:
            stage.guests("big", BIG_MIB)
            stage.ours.policy()
            if "processor" in wanted:
                processor(stage, mine)
            if "throughput" in wanted:
                throughput(stage, mine)
        if "table" in wanted:
            table.run(stage, mine)
    finally:
        stage.close()
