"""A guest that ticks (ticker.c) and the recorder on this machine that judges its ticks, over its whole life.

The recorder stamps every datagram as the kernel received it. At any time of the run it is a failure when a number comes
twice (two guests of one memory, or one that was set back), when the numbers of two sides interleave (both ran), when the
nonce changes (the guest was started anew instead of moved), and when the guest found a page or a piece of its disk that
is not as it wrote it. A machine with too much to do delivers datagrams out of their order: one that fills a gap of its own
side's numbers within a second is late, not backward.
"""
import array
import json
import os
import shutil
import socket
import struct
import tempfile
import threading
import time

import cluster
from cluster import Failed, run, vm, wait, without_global_pages

SO_TIMESTAMPNS = 35
TICK = struct.Struct("<8I")
MAGIC = 0x4B434954


def compile_ticker(folder):
    out = os.path.join(folder, "ticker")
    run(["cc", "-m32", "-march=i686", "-O2", "-static", "-nostdlib", "-ffreestanding", "-fno-pic", "-no-pie", "-fno-stack-protector",
         "-fno-asynchronous-unwind-tables", "-fno-tree-loop-distribute-patterns", "-o", out,
         os.path.join(os.path.dirname(os.path.abspath(__file__)), "ticker.c")])
    run(["strip", out])
    return out


def import_image(c, name="test/ticker:latest"):
    """A container disk of 2 MiB that begins with the program; the rest is what it writes."""
    folder = tempfile.mkdtemp(prefix="nv-ticker-")
    try:
        with open(compile_ticker(folder), "rb") as f:
            program = f.read()
        os.mkdir(f"{folder}/disk")
        with open(f"{folder}/disk/ticker.raw", "wb") as f:
            f.write(program.ljust(2 << 20, b"\0"))
        run(["umoci", "init", "--layout", f"{folder}/oci"])
        run(["umoci", "new", "--image", f"{folder}/oci:latest"])
        run(["umoci", "insert", "--image", f"{folder}/oci:latest", f"{folder}/disk", "/disk"])
        c.nodevirt("image", "import", f"{name}=oci:{folder}/oci:latest")
    finally:
        shutil.rmtree(folder)


def host_address(c):
    """This machine's address on the link that the nodes are on."""
    node = c.get("nodes")["items"][0]
    ip = [a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"][0]
    for link in json.loads(run(["ip", "-j", "-4", "addr"]).stdout):
        for a in link["addr_info"]:
            if a["local"].rsplit(".", 1)[0] == ip.rsplit(".", 1)[0]:
                return a["local"]
    raise Failed(f"no link towards {ip}")


SCRIPT = """#!/bin/sh
for d in /sys/block/vd*; do
  [ "$(cat $d/serial)" = TICKER ] || continue
  head -c 16384 /dev/${{d##*/}} >/run/ticker; chmod 755 /run/ticker
  /run/ticker {host} {port} {pause_us} {pages} {step} /dev/${{d##*/}} </dev/null >/dev/null 2>&1 &
  echo ticks
done
"""


class Judge:
    """Pure: every tick is heard in the order of arrival."""

    def __init__(self):
        self.times, self.numbers = array.array("d"), array.array("L")
        self.sides = []          # stays: [address, first number, last number, time of the last], in the order of numbers
        self.seen, self.late = bytearray(), 0
        self.stood = []          # [begin, end] of times in which this machine let nobody run
        self.nonce, self.last, self.faults, self.failures = None, None, (0, 0, 0), []

    def hear(self, now, side, tick):
        magic, nonce, number, memory, memory_faults, disk, disk_faults, disk_errors = tick
        if magic != MAGIC:
            return
        if self.nonce is None:
            self.nonce = nonce
        elif nonce != self.nonce:
            return self._fail(f"at {now:.4f} {side}: tick {number} of another process: the guest was started anew")
        if number >= 8 * len(self.seen):
            self.seen += bytes(number // 8 + 4096 - len(self.seen))
        if self.seen[number // 8] >> number % 8 & 1:
            return self._fail(f"at {now:.4f} {side}: tick {number} comes twice, at last after tick {self.last[0]}; {self.sides[-3:]}")
        self.seen[number // 8] |= 1 << number % 8
        if self.last is not None and number < self.last[0]:
            return self._judge_late(now, side, number)
        if self.last is not None and (memory < self.last[1] or disk < self.last[2]):
            self._fail(f"at {now:.4f} {side}: generations {memory}, {disk} after {self.last[1:]}")
        if self.faults != (memory_faults, disk_faults, disk_errors):
            self.faults = (memory_faults, disk_faults, disk_errors)
            self._fail(f"at {now:.4f} {side}: faults in memory {memory_faults}, on disk {disk_faults}, of the disk {disk_errors}")
        if not self.sides or self.sides[-1][0] != side:
            # An address may be given again, but not at once.
            for old in self.sides[:-1]:
                if old[0] == side and now - old[3] < 1:
                    self._fail(f"at {now:.4f}: {side} ticks beside {self.sides[-1][0]}")
            self.sides.append([side, number, number, now])
        self.sides[-1][2:] = [number, now]
        self.last = (number, memory, disk)
        self.times.append(now)
        self.numbers.append(number)

    def _judge_late(self, now, side, number):
        self.late += 1
        higher = now
        for i in range(len(self.numbers) - 1, -1, -1):
            if self.numbers[i] < number:
                break
            higher = self.times[i]
        stays = [i for i, s in enumerate(self.sides) if s[1] <= number <= s[2]]
        if stays:
            good = self.sides[stays[0]][0] == side
        else:  # between two stays, or before the first: the end of one, or the beginning of the next
            after = next(i for i, s in enumerate(self.sides) if s[1] > number)
            if self.sides[after][0] == side:
                self.sides[after][1], good = number, True
            elif after and self.sides[after - 1][0] == side:
                self.sides[after - 1][2], good = number, True
            else:
                good = False
        if not good or now - higher > 1:
            self._fail(f"at {now:.4f} {side}: tick {number} {now - higher:.3f} s after a later one; {self.sides[-3:]}")

    def _fail(self, text):
        if len(self.failures) < 20:
            self.failures.append(text)

    def side(self):
        """The address of the pod that was heard last."""
        return self.sides[-1][0] if self.sides else None

    def check(self, case):
        case.assertFalse(self.failures, "\n".join(self.failures))

    def memory_lost(self):
        """Nothing is wrong but that words of the guest's memory are older than the rest."""
        return bool(self.failures) and self.faults[1:] == (0, 0) and all("faults in memory" in f for f in self.failures)

    def gap(self, since=0.0):
        """The longest time without a tick that ended after `since` (time.time()), in ms, and the ticks lost in it."""
        worst, lost = 0.0, 0
        for begin, end in self.stood:
            if end > since:
                print(f"(for {end - begin:.1f} s nothing ran on this machine)", flush=True)
        for i in range(len(self.times) - 1, 0, -1):
            if self.times[i] < since:
                break
            if self.times[i] - self.times[i - 1] > worst:
                worst, lost = self.times[i] - self.times[i - 1], self.numbers[i] - self.numbers[i - 1] - 1
        return worst * 1000, lost


class Recorder(Judge):
    def __init__(self, c, pause_us=1000, pages=1024, step=4):
        super().__init__()
        self.c, self.pause_us, self.pages, self.step = c, pause_us, pages, step
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 20)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
        except PermissionError:
            pass
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.settimeout(0.2)
        self.socket.bind((host_address(c), 0))
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def machine(self, name, **kw):
        """A machine whose guest ticks to this recorder."""
        host, port = self.socket.getsockname()
        script = SCRIPT.format(host=host, port=port, pause_us=self.pause_us, pages=self.pages, step=self.step)
        out = without_global_pages(vm(name, strategy=kw.pop("strategy", "Always"), user_data=script, **kw))
        spec = out["spec"]["template"]["spec"]
        spec["domain"]["devices"]["disks"].append({"name": "ticker", "disk": {"bus": "virtio"}, "serial": "TICKER"})
        spec["volumes"].append({"name": "ticker", "containerDisk": {"image": "test/ticker:latest"}})
        return out

    def close(self):
        self.stopped.set()
        self.thread.join()
        self.socket.close()

    def _run(self):
        alive = time.time()
        while not self.stopped.is_set():
            now = time.time()
            if now - alive > 1:  # it wakes five times in a second
                self.stood.append((alive, now))
            alive = now
            try:
                data, ancillary, _, sender = self.socket.recvmsg(256, 64)
            except TimeoutError:
                continue
            if len(data) != TICK.size:
                continue
            now = time.time()
            for level, kind, value in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
                    seconds, nanos = struct.unpack("qq", value)
                    now = seconds + nanos / 1e9
            self.hear(now, sender[0], TICK.unpack(data))

    def goes_on(self, ticks=50, timeout=60):
        """Waits for so many ticks from now on, and for one more whole generation of the disk."""
        began = len(self.numbers)
        disk = self.last[2] if self.last else 0
        wait("the guest ticks", lambda: len(self.numbers) - began >= ticks and self.last[2] >= disk + 2, timeout)
