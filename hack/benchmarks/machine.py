"""Starting, running and idling machines, against plain `virsh create`."""
import datetime, glob, os, re, statistics, subprocess, threading, time

import cluster as C
from benchmarks import processes as P
from benchmarks.warm import warm

ROUNDS, MANY, INSTANCES, IDLE_SECONDS = 10, 20, 10, 60


def utc_seconds(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc).timestamp()


def pod_log(c):
    """Of the only pod there is. Read from its file: a client that asks again and again would take the processor
    from what is measured."""
    logs = glob.glob(f"{c.data}/nodes/*/pods/*/containers/compute/log")
    if not logs:
        return ""
    with open(logs[0], errors="replace") as f:
        return f.read()


def resumed_at(c):
    m = re.search(r"^(?:\S+ )?(\d{4}-\S+Z) INFO virt-launcher .*[Rr]esumed", pod_log(c), re.M)
    return utc_seconds(m.group(1)) if m else None


def start(c, virsh, out):
    c.apply(C.vm("bench", running=False))
    ours, theirs = [], []
    for i in range(ROUNDS):
        warm()
        started = time.time()
        c.kubectl("patch", "vm", "bench", "--type", "merge", "-p", '{"spec":{"running":true}}')
        ours.append(C.wait("RESUME", lambda: resumed_at(c), 60) - started)
        if i == 0:
            out["start_breakdown"] = breakdown(c, started)
        c.kubectl("patch", "vm", "bench", "--type", "merge", "-p", '{"spec":{"running":false}}')
        c.virtctl("stop", "bench", "--force", "--grace-period", "0", check=False)
        c.wait_gone("vmi", "bench")
        C.wait("the pod's files gone", lambda: not pod_log(c))
        path, name = virsh.domain(f"s{i}")
        warm()
        theirs.append(virsh.create(path))
        virsh.destroy(name)
    c.kubectl("delete", "vm", "bench")
    a, b = statistics.median(ours), statistics.median(theirs)
    out["start"] = {"ours_s": ours, "virsh_s": theirs, "ours_median": a, "virsh_median": b, "ratio": a / b, "allowed": 1.6}
    print(f"start: patch to RESUME {a:.3f} s, virsh create {b:.3f} s, ratio {a / b:.2f} (at most 1.6)")


def breakdown(c, started):
    """Where the first start spent its time: the log lines of the launcher, relative to the command."""
    lines = []
    for m in re.finditer(r"^(?:\S+ )?(\d{4}-\S+Z) INFO (virt-launcher\S*) (.*)$", pod_log(c), re.M):
        lines.append([round(utc_seconds(m.group(1)) - started, 4), m.group(2), m.group(3)[:100]])
    for line in lines:
        print("   ", *line)
    return lines


def start_many(c, n, prefix):
    for i in range(n):
        c.apply(C.vm(f"{prefix}{i}", running=True))
    for i in range(n):
        c.wait_running(f"{prefix}{i}", 180)


def stop_all(c):
    C.run(["kubectl", "delete", "vm", "--all", "--wait=false"], env=c.env)
    C.wait("all gone", lambda: not c.get("vmi")["items"] and not c.qemu_pids(), 240)


def memory(c, out):
    start_many(c, INSTANCES, "mem")
    time.sleep(35)    # start-up garbage is not what is measured: every 30 s the programs give back what they do not use
    pods, control = P.split(c)
    per_pod = [sum(P.pss_kib(p) for p in pids) / 1024 for pids in pods.values()]
    parts = {}
    procs = P.processes()
    for pids in pods.values():
        for p in pids:
            parts.setdefault(os.path.basename(procs[p][0][0]), []).append(P.pss_kib(p) / 1024)
    control_parts = {" ".join(procs[p][0][1:2]) + f"[{p}]": P.pss_kib(p) / 1024 for p in control}
    out["memory"] = {"per_pod_MiB": per_pod, "parts_MiB": {k: statistics.mean(v) for k, v in parts.items()},
                     "control_MiB": control_parts, "control_sum_MiB": sum(control_parts.values()), "allowed": [25, 40]}
    print(f"memory: {statistics.mean(per_pod):.1f} MiB PSS a pod (at most 25): "
          + ", ".join(f"{k} {statistics.mean(v):.1f}" for k, v in parts.items()))
    print(f"        what `up` started: {sum(control_parts.values()):.1f} MiB (at most 40): "
          + ", ".join(f"{k} {v:.1f}" for k, v in control_parts.items()))


def idle(c, out):
    pods, control = P.split(c)
    pids = control + [p for v in pods.values() for p in v]
    before = {p: P.cpu_seconds(p) for p in pids}
    time.sleep(IDLE_SECONDS)
    used = {p: P.cpu_seconds(p) - before[p] for p in pids if os.path.exists(f"/proc/{p}")}
    control_part, pod_part = (sum(used.get(p, 0) for p in s) for s in (control, [p for v in pods.values() for p in v]))
    share = (control_part + pod_part) / IDLE_SECONDS * 100
    out["idle"] = {"percent_of_a_core": share, "control_s": control_part, "pods_s": pod_part, "guests": len(pods), "allowed": 1}
    print(f"idle: {share:.2f} % of a core with {len(pods)} guests (at most 1): programs {control_part:.2f} s, pods {pod_part:.2f} s "
          f"in {IDLE_SECONDS} s")


def many(c, virsh, out):
    items = [C.vm(f"many{i}", running=True) for i in range(MANY)]
    _, control = P.split(c)
    before = {p: P.cpu_seconds(p) for p in control}
    watch = subprocess.Popen(["kubectl", "get", "vmi", "-w", "-o", 'jsonpath={.metadata.name} {.status.phase}{"\\n"}'],
                             env=c.env, stdout=subprocess.PIPE, text=True)
    time.sleep(1)     # one watch that is under way; asking again and again would take the processor from what is measured
    started = time.time()
    c.apply({"apiVersion": "v1", "kind": "List", "items": items})
    running = set()
    timer = threading.Timer(300, watch.kill); timer.start()
    for line in watch.stdout:
        name, _, phase = line.strip().partition(" ")
        if phase == "Running":
            running.add(name)
        if len(running) == MANY:
            break
    ours = time.time() - started
    timer.cancel(); watch.kill(); watch.wait()
    if len(running) != MANY:
        raise C.Failed(f"{len(running)} of {MANY} run after 300 s")
    pods, control = P.split(c)
    procs = P.processes()
    parts = {procs[p][0][1]: P.cpu_seconds(p) - before.get(p, 0) for p in control}
    for p in (p for pids in pods.values() for p in pids if p in procs):
        name = os.path.basename(procs[p][0][0])
        if name.startswith("virt-launcher"):
            parts[name] = parts.get(name, 0) + P.cpu_seconds(p) - (P.cpu_of_children(p) if name.endswith("monitor") else 0)
    cpu = sum(parts.values())
    stop_all(c)
    domains = [virsh.domain(f"m{i}") for i in range(MANY)]
    started = time.time()
    for path, _ in domains:
        C.run(["virsh", "-q", "-c", virsh.uri, "create", path], env=virsh.env)
    theirs = time.time() - started
    for _, name in domains:
        virsh.destroy(name)
    out["many"] = {"vms": MANY, "ours_s": ours, "virsh_s": theirs, "ratio": ours / theirs, "cpu_ms_per_vm": cpu / MANY * 1000,
                   "cpu_parts_ms_per_vm": {k: v / MANY * 1000 for k, v in parts.items()},
                   "allowed": [1.5, 150]}
    print(f"many: {MANY} VMs {ours:.2f} s, {MANY} x virsh create {theirs:.2f} s, ratio {ours / theirs:.2f} (at most 1.5); "
          f"{cpu / MANY * 1000:.0f} ms of our programs per VM (at most 150): "
          + ", ".join(f"{k} {v / MANY * 1000:.0f}" for k, v in parts.items()))


def up(c, out):
    times = []
    for _ in range(5):
        c.nodevirt("down", "--keep-guests")
        started = time.time()
        done = threading.Event()
        first = []

        def poll():
            while not done.is_set():
                if subprocess.run(["curl", "-ksf", "-m", "1", f"https://127.0.0.1:{c.port}/readyz"],
                                  capture_output=True).returncode == 0:
                    first.append(time.time() - started)
                    return
        thread = threading.Thread(target=poll); thread.start()
        c.up()
        thread.join(10); done.set()
        times.append(first[0])
    out["up"] = {"seconds": times, "median": statistics.median(times), "allowed": 0.5}
    print(f"up: {statistics.median(times):.2f} s to serving on an existing data directory (at most 0.5)")
