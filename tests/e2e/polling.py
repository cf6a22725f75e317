"""Something that is looked at again and again, on a thread of its own, while a test does something else."""
import threading


class Polling:
    """`look` is called every `interval` seconds between enter and exit; what it returns is kept in `seen`, but for None."""

    def __init__(self, interval, look):
        self.interval, self.look, self.seen, self._stop = interval, look, [], threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        while not self._stop.wait(self.interval):
            now = self.look()
            if now is not None:
                self.seen.append(now)
