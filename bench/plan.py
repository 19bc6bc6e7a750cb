"""How long `seimai plan` takes on an index of a million rows from disk: `bench/plan.py`, about 40 s.

Makes the index (bench/make_index.py) in a temporary folder, plans three choices, and fails above 10 s each.
"""

import platform
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pyarrow as pa
from bench.make_index import make_index
from tests.common_crawl import SNAPSHOT

from seimai.pipeline.fetch_config import FetchConfig, SelectConfig, access_of
from seimai.pipeline.plan import make_plan

ROWS = 1_000_000
GOAL_S = 10.0
CHOICES = {
    "everything": SelectConfig(),
    "Japanese": SelectConfig(languages=["jpn"]),
    "one domain": SelectConfig(domains=["host0000003.jp"]),
}


def main() -> None:
    """Plan, print a table, and leave with 1 when one choice takes too long."""
    print(f"{platform.machine()}, Python {platform.python_version()}, pyarrow {pa.__version__}, {ROWS:,} rows")
    slow = False
    with tempfile.TemporaryDirectory() as folder:
        make_index(Path(folder), rows=ROWS, files=4, archives=40)
        print(f"{'choice':<12}{'records':>12}{'wall s':>9}{'CPU s':>9}{'of the goal':>13}")
        for name, select in CHOICES.items():
            config = FetchConfig(index=folder, select=select)
            wall, cpu = time.perf_counter(), time.process_time()
            plan = make_plan(config, [SNAPSHOT], access_of(config, ""), languages=["ja", "en"])
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            print(f"{name:<12}{plan.n_records:>12,}{wall:>9.2f}{cpu:>9.2f}{wall / GOAL_S:>12.0%}")
            slow |= wall > GOAL_S
    sys.exit(slow)


if __name__ == "__main__":
    main()
