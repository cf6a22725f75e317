"""The link between two nodes: shaped with tc, and its bytes over time."""
import os, threading, time

import cluster as C


class Link:
    """Of a cluster with two nodes. Shapes what leaves each node; the guest's ticks (UDP) have a class of their own beside
    it, so that no queue of the link shows as an outage, or hides one."""

    def __init__(self, netns, host_links):
        self.netns, self.host_links = netns, host_links     # by node: the namespace, the host's end of the link

    def shape(self, bytes_per_second):
        self.clear()
        if not bytes_per_second:
            return
        burst = max(65536, int(bytes_per_second / 250))
        for ns in self.netns.values():
            def tc(*words):
                C.run(["ip", "netns", "exec", ns, "tc", *words])
            tc("qdisc", "add", "dev", "eth0", "root", "handle", "1:", "htb", "default", "2", "r2q", "1000")
            for klass in ("1:1", "1:2"):
                tc("class", "add", "dev", "eth0", "parent", "1:", "classid", klass, "htb", "rate", "40gbit", "burst", "1m", "cburst", "1m")
            tc("qdisc", "add", "dev", "eth0", "parent", "1:2", "handle", "20:", "tbf", "rate", f"{int(bytes_per_second * 8)}bit",
               "burst", str(burst), "latency", "60ms")
            tc("filter", "add", "dev", "eth0", "parent", "1:", "protocol", "ip", "u32", "match", "ip", "protocol", "17", "0xff",
               "flowid", "1:1")

    def clear(self):
        for ns in self.netns.values():
            C.run(["ip", "netns", "exec", ns, "tc", "qdisc", "del", "dev", "eth0", "root"], check=False)


class Meter:
    """Bytes that left a node, every 10 ms, from `start` to `stop`."""

    def __init__(self, link, node):
        # What leaves the node comes in at the host's end.
        self.path = f"/sys/class/net/{link.host_links[node]}/statistics/rx_bytes"
        self.points = []
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()

    def _run(self):
        fd = os.open(self.path, os.O_RDONLY)
        try:
            while True:
                self.points.append((time.time(), int(os.pread(fd, 32, 0))))
                if self.stopped.wait(0.01):
                    return
        finally:
            os.close(fd)

    def total(self):
        return self.points[-1][1] - self.points[0][1]

    def throughput(self, low=0.05, high=0.95):
        """Bytes per second between two shares of all bytes: the transfer without its beginning and its end."""
        first, total = self.points[0][1], self.total()
        begin = next(p for p in self.points if p[1] - first >= low * total)
        end = next(p for p in self.points if p[1] - first >= high * total)
        return (end[1] - begin[1]) / max(end[0] - begin[0], 1e-3)

    def rates(self, window, begin, end):
        """Bytes per second over windows of so many seconds."""
        out, at = [], None
        for t, b in self.points:
            if t < begin or t > end:
                continue
            if at is None:
                at = (t, b)
            elif t - at[0] >= window:
                out.append((b - at[1]) / (t - at[0]))
                at = (t, b)
        return out
