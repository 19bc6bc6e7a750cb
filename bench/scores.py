"""Personal data and URL lists, right and fast: `python bench/scores.py` (1 minute).

Personal data: precision and recall on the labelled cases of tests/pipeline/pii_cases.txt, by kind, and MB/s over the
running text below SEIMAI_DATA (default ../shared/data). URL lists: three million made domains, their memory, and
look-ups a second: a look-up is one URL with all domains it lies in. CPU time of one core, best of three. Exit code 1
when a goal is missed.
"""

import platform
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.json
from extraction_pages import DATA

from seimai.pipeline.pii import find_pii
from seimai.pipeline.url_lists import UrlListConfig, UrlListsConfig, open_url_lists, url_categories

CASES = Path(__file__).resolve().parents[1] / "tests" / "pipeline" / "pii_cases.txt"
TEXTS = ("ja_wikipedia_kyoto", "ja_aozora", "en_wikipedia_kyoto", "en_books")
PRECISION_GOAL = RECALL_GOAL = 0.99
TEXT_GOAL = 100.0
"""MB of UTF-8 a second and core over text with few numbers."""
DOMAINS = 3_000_000
MEMORY_GOAL_MIB, LOOKUP_GOAL = 300.0, 1e6


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of the best of three runs."""
    found = []
    for _ in range(3):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def cases() -> bool:
    """Print precision and recall by kind; whether the goals hold."""
    right, wrong, missed = Counter[str](), Counter[str](), Counter[str]()
    n_cases = 0
    for line in CASES.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        n_cases += 1
        text = re.sub(r"⟦\w+:(.*?)⟧", r"\1", line)
        wanted = Counter(re.findall(r"⟦(\w+):(.*?)⟧", line))
        found = Counter((r["kind"], text[r["start"] : r["end"]]) for r in find_pii([text]).to_pylist())
        for counts, finds in ((right, wanted & found), (wrong, found - wanted), (missed, wanted - found)):
            for (kind, _), number in finds.items():
                counts[kind] += number
    print(f"\n{f'{n_cases} cases':12}{'found':>7}{'wrong':>7}{'missed':>8}{'precision':>11}{'recall':>8}")
    holds = True
    for kind in sorted(right | wrong | missed):
        precision, recall = (
            right[kind] / (right[kind] + wrong[kind] or 1),
            right[kind] / (right[kind] + missed[kind] or 1),
        )
        print(f"{kind:12}{right[kind]:7}{wrong[kind]:7}{missed[kind]:8}{precision:11.3f}{recall:8.3f}")
        holds &= precision >= PRECISION_GOAL and recall >= RECALL_GOAL
    return holds


def texts() -> bool:
    """Print the speed over running text; whether the goal holds."""
    print(f"\n{'personal data':24}{'MB':>6}{'MB/s':>8}{'found':>7}")
    holds = True
    for name in TEXTS:
        with pa.input_stream(DATA / "text" / f"{name}.dev.jsonl.zst", compression="zstd") as stream:
            array = pyarrow.json.read_json(stream)["text"].cast(pa.large_string()).combine_chunks()
        megabytes = sum(len(text.as_buffer()) for text in array) / 1e6
        rate = megabytes / seconds(lambda array=array: find_pii(array))  # type: ignore[misc]
        print(f"{name:24}{megabytes:6.1f}{rate:8.0f}{len(find_pii(array)):7}", flush=True)
        holds &= rate >= TEXT_GOAL
    return holds


def lists() -> bool:
    """Print memory and speed of the URL lists; whether the goals hold."""
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small", Path(folder) / "large"
        small.write_text("a.com\n")
        with large.open("w") as file:
            file.writelines(f"site{n * 7919 % 10_000_019}.host{n % 977}.example{n % 31}.com\n" for n in range(DOMAINS))
        url_categories(["x"], open_url_lists(UrlListsConfig(lists={"x": UrlListConfig(path=str(small))})))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        opened = open_url_lists(UrlListsConfig(lists={"x": UrlListConfig(path=str(large))}))
        loading = time.process_time() - start
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    numbers = range(0, 2 * DOMAINS, 20)
    made = [f"https://www.site{n * 7919 % 10_000_019}.host{n % 977}.example{n % 31}.com/page?n={n}" for n in numbers]
    urls = pa.array(made, pa.large_string())
    rate = len(urls) / seconds(lambda: url_categories(urls, opened))
    print(f"\n{DOMAINS:,} domains: read in {loading:.2f} s, {grown:.0f} MiB more at the peak; {rate:,.0f} look-ups/s,")
    print(f"each of four domains; a false hit has odds of {4 * DOMAINS / 2**64:.0e}")
    return grown < MEMORY_GOAL_MIB and rate >= LOOKUP_GOAL


def main() -> int:
    """Print the tables; 1 when a goal is missed."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyarrow", "numba", "numpy"))
    print(f"{platform.platform()}, Python {platform.python_version()}, {packages}")
    find_pii(["compiled 03-1234-5678, a@b.jp"])
    listed = lists()  # first: the peak of memory is the process's
    right, fast = cases(), texts()
    print(f"goals: cases {'yes' if right else 'NO'}, text {'yes' if fast else 'NO'}, lists {'yes' if listed else 'NO'}")
    return int(not (right and fast and listed))


if __name__ == "__main__":
    sys.exit(main())
