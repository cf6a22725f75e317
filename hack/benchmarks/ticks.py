"""Hears the ticks of load_guest.c on the host, stamped by its kernel when they arrive."""
import array, bisect, socket, struct, threading, time

SO_TIMESTAMPNS, SO_RCVBUFFORCE = 35, 33
PAGE = 4096


class Lost(RuntimeError):
    """A guest does not tick any more."""


class Guest:
    """One guest, told by the nonce of its ticks. Stamps are seconds of the host's real-time clock."""

    def __init__(self, recorder, nonce):
        self.recorder, self.nonce, self.peer, self.fault = recorder, nonce, None, None
        self.at, self.number, self.pages = array.array("d"), array.array("I"), array.array("Q")
        self.moves = []      # stamps of first ticks from another address

    def take(self, stamp, number, pages, peer):
        if self.number and number <= self.number[-1]:
            if peer[0] != self.peer[0]:
                self.fault = f"tick {number} from {peer} after {self.number[-1]} from {self.peer}: two guests"
            return           # overtaken on the way
        if self.peer and peer[0] != self.peer[0]:
            self.moves.append(stamp)
        self.peer = peer
        self.at.append(stamp); self.number.append(number); self.pages.append(pages)

    def order(self, write_mib, set_mib, fill_mib=0):
        """What the guest does from now on: MiB per second, into a working set of MiB; `fill_mib` of noise before that."""
        words = struct.pack("=III", round(write_mib * 256 / 1000), set_mib * 256, fill_mib * 256)
        self.recorder.socket.sendto(words, self.peer)

    def _range(self, begin, end):
        return bisect.bisect_left(self.at, begin), bisect.bisect_right(self.at, end)

    def moved_after(self, begin):
        """The stamp of the first tick from another address after `begin`; None: none yet."""
        return next((at for at in self.moves if at > begin), None)

    def wait_move(self, begin, seconds=30):
        """The stamp of the first tick from another address after `begin`."""
        for _ in range(int(seconds / 0.05)):      # not by the clock: whoever stops all programs for a while stops this one, too
            if at := self.moved_after(begin):
                return at
            time.sleep(0.05)
        raise Lost(f"no tick from the target within {seconds} s; {time.time() - self.at[-1]:.1f} s since the last one")

    def outage(self, begin, end):
        """The longest time without a tick, seconds, and that before the first tick at the target (None: it did not move)."""
        first, last = self._range(begin, end)
        ticks = self.at[first:last]
        gaps = [(b - a, b) for a, b in zip(ticks, ticks[1:])]
        moved = self.moved_after(begin)
        return max(gaps, default=(0, 0))[0], next((g for g, b in gaps if b == moved), None)

    def writes(self, begin, end):
        """MiB per second that the guest wrote."""
        first, last = self._range(begin, end)
        if last - first < 2:
            return 0.0
        return (self.pages[last - 1] - self.pages[first]) * PAGE / (1 << 20) / (self.at[last - 1] - self.at[first])


class Recorder:
    """Records from the moment it is made, at a port of its own of one of the host's addresses."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.socket.bind((address, 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.guests, self.handed_out = {}, set()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopped.wait(0.03):      # in batches: the stamps are the kernel's
            while True:
                try:
                    data, ancillary, _, peer = self.socket.recvmsg(64, 64)
                except BlockingIOError:
                    break
                except OSError:
                    continue         # a guest's node refused an answer
                if len(data) != 16 or not ancillary:
                    continue
                seconds, nanos = struct.unpack("=qq", ancillary[0][2][:16])
                nonce, number, low, high = struct.unpack("=IIII", data)
                guest = self.guests.get(nonce)
                if guest is None:
                    guest = self.guests[nonce] = Guest(self, nonce)
                guest.take(seconds + nanos / 1e9, number, low | high << 32, peer)

    def next_guest(self, timeout=240):
        """The next one that begins to tick."""
        deadline = time.monotonic() + timeout
        while True:
            for nonce, guest in list(self.guests.items()):
                if nonce not in self.handed_out and len(guest.at) > 100:
                    self.handed_out.add(nonce)
                    return guest
            if time.monotonic() > deadline:
                raise RuntimeError(f"no guest ticks within {timeout} s")
            time.sleep(0.05)

    def close(self):
        self.stopped.set()
        self.thread.join()
        self.socket.close()
