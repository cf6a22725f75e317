"""Fifty migrations there and back of a guest under load: every tick is judged, every page and its disk are checked."""
import statistics

import cluster
from migrating import Moves

TIMES = 50


class MigrationLoad(Moves):
    def test_fifty_times_there_and_back(self):
        recorder = self.ticking("busy", pages=2048, step=8)
        outages, lost = [], 0
        for number in range(TIMES):
            outage, gone = self.moves_on("busy", f"m{number}", recorder)
            outages.append(outage)
            lost += gone
            recorder.check(self)
        outages.sort()
        print(f"{TIMES} migrations: outage median {statistics.median(outages):.0f} ms, longest {outages[-1]:.0f} ms, {lost} ticks lost "
              f"of {len(recorder.numbers)}", flush=True)
        self.assertLessEqual(len(self.cluster.get("vmim")["items"]), 6)  # five finished ones are kept


if __name__ == "__main__":
    cluster.main()
