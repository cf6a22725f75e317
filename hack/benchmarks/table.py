"""Write rates x link rates: plain pre-copy and QEMU's own auto-converge by `virsh migrate`, and ours.

A guest that is lost on the way (docs/migration.md: QEMU before 9.0 loses pages of emulated guests) is made anew, and its
migration repeated, TRIES times at most; how often stands beside the figures.

Of migrations shorter than SHORT seconds the median of RUNS is shown, by their total time, with the most throttle of all.
Each side may pause the guest for QEMU's default of 300 ms and has LIMIT seconds; ours may slow the guest down as much as
auto-converge may. The link is shaped; nobody is told its rate. NODEVIRT_BENCH_CELLS="40:60 100:20" runs those alone
(MiB/s written : MiB/s on the link)."""
import os, time

import cluster as C
from benchmarks.ticks import Lost

SET_MIB = 96
WRITES, LINKS = (10, 40, 100), (20, 60, 120)
LIMIT = 120.0
SIDES = ("plain", "auto", "ours")
DOWNTIME_MS = 300
TRIES = 4
RUNS, SHORT = 5, 30.0


def cells():
    named = os.environ.get("NODEVIRT_BENCH_CELLS", "").split()
    return [tuple(int(x) for x in n.split(":")) for n in named] or [(w, l) for w in WRITES for l in LINKS]


def settle(guest, write):
    """Has the guest write, and returns MiB per second that it does."""
    guest.order(write, SET_MIB)
    time.sleep(0.3)
    begin = guest.at[-1]
    C.wait("two seconds of ticks", lambda: guest.at[-1] > begin + 2)
    return guest.writes(begin, begin + 2)


def guests(stage):
    """New ones, and the settings of their migrations."""
    stage.link.clear()
    stage.guests("table", SET_MIB)
    stage.ours.policy(allowAutoConverge=True, maxDowntimeMs=DOWNTIME_MS)


def measured(stage, side, write, link):
    for lost in range(TRIES):
        stage.link.shape(link << 20)
        guest = stage.our_guest if side == "ours" else stage.their_guest
        try:
            with stage.alone(guest):
                return {**one(stage, side, guest, write), "lost": lost}
        except Lost as e:
            print(f"    {side}: {e}", flush=True)
            guests(stage)
    raise C.Failed(f"{side}: the guest was lost {TRIES} times")


def repeated(stage, side, write, link):
    """The median of RUNS where the first is SHORT: near what the link carries a pass more or less is chance."""
    runs = [measured(stage, side, write, link)]
    while runs[0]["ok"] and runs[0]["total_s"] < SHORT and len(runs) < RUNS:
        runs.append(measured(stage, side, write, link))
    middle = sorted(runs, key=lambda r: (not r["ok"], r["total_s"]))[len(runs) // 2]
    return {**middle, "throttle": max(r["throttle"] for r in runs), "lost": sum(r["lost"] for r in runs),
            "all_s": [r["total_s"] if r["ok"] else None for r in runs]}


def one(stage, side, guest, write):
    before = settle(guest, write)
    throttles = [0]
    try:
        if side == "ours":
            run = stage.ours.migrate(timeout=LIMIT + 120)
            throttles.append(run["throttle"])
        else:
            def look(source):
                seen = stage.pair.job(source).get("Auto converge throttle", "0")
                throttles.append(int(seen.split()[0]))
            from benchmarks.migration import FLAGS
            run = stage.pair.migrate(*FLAGS, *(["--auto-converge"] if side == "auto" else []), timeout=LIMIT, look=look)
        end = guest.wait_move(run["began"]) if run["ok"] else run["ended"]
        outage, around = guest.outage(run["began"], end + 0.3)
        if guest.fault:
            raise C.Failed(guest.fault)
        during = guest.writes(run["began"], end)
        return {"ok": run["ok"], "total_s": end - run["began"], "outage_ms": outage * 1000, "around_ms": around and around * 1000,
                "writes_before": before, "writes_during": during, "throttle": max(throttles), "error": run["error"],
                "steered": run.get("steered"), "progress": run.get("progress")}
    finally:
        guest.order(0, SET_MIB)
        if side == "ours":
            stage.ours.settled()


def words(r):
    again = f"  (guests lost before: {r['lost']})" if r["lost"] else ""
    if not r["ok"]:
        return f"not in {r['total_s']:.0f} s, throttle {r['throttle']} %{again}"
    return (f"{r['total_s']:5.1f} s {r['outage_ms']:4.0f} ms  writes {r['writes_during'] / max(r['writes_before'], 0.1) * 100:3.0f} %"
            f" throttle {r['throttle']:2d} %{again}" + (f"  of {', '.join(f'{t:.1f}' if t else 'none' for t in r['all_s'])} s" if len(r["all_s"]) > 1 else ""))


def judge(cell):
    """What is wrong with ours; empty: nothing."""
    wrong = []
    best = min((cell[s]["total_s"] for s in ("plain", "auto") if cell[s]["ok"]), default=None)
    if best is not None and not cell["ours"]["ok"]:
        wrong.append("not converged")
    elif best is not None and cell["ours"]["total_s"] > 1.1 * best:
        wrong.append(f"{cell['ours']['total_s'] / best:.2f} x the best")
    if cell["plain"]["ok"] and cell["ours"]["throttle"] > 0:
        wrong.append("slowed down where plain pre-copy ends")
    return wrong


def run(stage, out):
    stage.tls(True)
    guests(stage)
    out["table"] = rows = []
    print(f"table: working set {SET_MIB} MiB; total, outage, writes during against before, most throttle")
    try:
        for write, link in cells():
            row = {"write_MiB_per_s": write, "link_MiB_per_s": link, **{side: repeated(stage, side, write, link) for side in SIDES}}
            row["wrong"] = judge(row)
            rows.append(row)
            print(f"  writes {write:3d}, link {link:3d} MiB/s")
            for side in SIDES:
                print(f"    {side:5s} {words(row[side])}")
            print(f"    {'ok' if not row['wrong'] else 'MISSED: ' + ', '.join(row['wrong'])}", flush=True)
    finally:
        stage.link.clear()
    missed = [r for r in rows if r["wrong"]]
    print(f"table: {len(rows) - len(missed)} of {len(rows)} cells within the bounds", flush=True)
