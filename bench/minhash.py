"""Speed of MinHash signatures beside datasketch and rensa: `python bench/minhash.py --rensa PYTHON [FILE.jsonl.zst…]`.

PYTHON is the interpreter of an environment that holds rensa. Files are those of the folder `text` under SEIMAI_DATA, or
../shared/data, unless named. From text: every program begins with the text of a document and ends with its signature of
128 permutations of 5-grams; the peers fold and cut as their users do, in Python (NFKC, case, characters of Japanese,
words of English), and hash with their own best; ours folds and cuts in its kernel. From shingles: the peers' part by
itself, strings ready, beside which ours has none. CPU time, best of several; wall time of two threads. Takes two
minutes.

Goals, from text: 20 times datasketch, 10 times rensa, and 1.7 times as fast with two threads, which needs a
machine without other work; leaves with 1 else.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

NUM_PERM, SIZE, PEER_BYTES = 128, 5, 3_000_000
FILES = ("ja_aozora", "ja_wikipedia_kyoto", "en_books", "en_wikipedia_kyoto")
GOALS = {"datasketch": 20.0, "rensa": 10.0, "two threads": 1.7}


def seconds(work: Callable[[], object], times: int, clock: Callable[[], float] = time.process_time) -> float:
    """The least time of some runs."""
    best = float("inf")
    for _ in range(times):
        start = clock()
        work()
        best = min(best, clock() - start)
    return best


def cut(text: str, lang: str) -> list[str]:
    """The shingles of a text, as users of the peers cut them."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    if lang == "ja":
        units = "".join(c for c in folded if c.isalnum())
        return [units[k : k + SIZE] for k in range(len(units) - SIZE + 1)]
    words = folded.split()
    return [" ".join(words[k : k + SIZE]) for k in range(len(words) - SIZE + 1)]


def peer_seconds(sign: Callable[[list[str]], object], texts: list[str], lang: str) -> tuple[float, float]:
    """Seconds from text and seconds from ready shingles."""
    shingles = [cut(text, lang) for text in texts]
    whole = seconds(lambda: [sign(cut(text, lang)) for text in texts], 3)
    return whole, seconds(lambda: [sign(row) for row in shingles], 3)


def rensa_main() -> None:
    """Runs in rensa's environment: the samples come in as JSON, the seconds go out."""
    from rensa import RMinHash  # type: ignore[import-not-found]

    def sign(shingles: list[str]) -> object:
        model = RMinHash(num_perm=NUM_PERM, seed=1)
        model.update(shingles)
        return model.digest()

    found = [peer_seconds(sign, texts, lang) for lang, texts in json.load(sys.stdin)]
    json.dump({"version": version("rensa"), "seconds": found}, sys.stdout)


def datasketch_signer() -> Callable[[list[str]], object]:
    """A signature by datasketch, with the faster of the hash functions its users take."""
    import xxhash
    from datasketch import MinHash

    model = MinHash(NUM_PERM, scheme="affine32", hashfunc=xxhash.xxh32_intdigest)

    def sign(shingles: list[str]) -> object:
        copy = model.copy()  # shares the permutations, as datasketch's bulk does
        copy.update_batch([shingle.encode() for shingle in shingles])
        return copy.hashvalues

    return sign


def two_threads(texts: Any, lang: str) -> float:
    """How many times as fast two threads sign one half each as one thread signs both, by wall time."""
    from concurrent.futures import ThreadPoolExecutor

    from seimai.pipeline.shingles import minhash

    halves = [texts[: len(texts) // 2]] * 2
    with ThreadPoolExecutor(2) as pool:
        both = seconds(lambda: list(pool.map(lambda half: minhash(half, lang=lang), halves)), 7, time.perf_counter)
    return seconds(lambda: [minhash(half, lang=lang) for half in halves], 7, time.perf_counter) / both


def main() -> int:
    """Machine, versions, one row a file, verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rensa", help="python of an environment with rensa")
    options = parser.parse_args()
    data = Path(os.environ.get("SEIMAI_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "text"
    files = options.files or [data / f"{name}.dev.jsonl.zst" for name in FILES]

    import numpy as np
    import pyarrow as pa
    import pyarrow.json

    from seimai.pipeline.shingles import minhash

    columns, samples = [], []
    for path in files:
        with pa.input_stream(str(path), compression="detect") as stream:
            texts = pyarrow.json.read_json(stream)["text"].cast(pa.large_string()).combine_chunks()
        ends = np.cumsum([len(text.as_buffer()) for text in texts])
        columns.append((path.name.partition(".")[0], texts))
        samples.append((path.name[:2], texts[: int(np.searchsorted(ends, PEER_BYTES)) + 1].to_pylist()))
    rensa: dict[str, Any] = {"version": "not given", "seconds": [None] * len(files)}
    if options.rensa:
        peer = [options.rensa, __file__, "--as-rensa"]
        done = subprocess.run(peer, input=json.dumps(samples), capture_output=True, text=True, check=True)
        rensa = json.loads(done.stdout)
    names = ("seimai", "datasketch", "xxhash", "numba", "numpy")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(", ".join(f"{name} {version(name)}" for name in names), f"rensa {rensa['version']}")
    print(f"{'MB/s of UTF-8':20} {'seimai':>8}{'datasketch':>12}{'ratio':>7}{'rensa':>8}{'ratio':>7}", end="")
    print(f" | {'from shingles: datasketch':>26}{'rensa':>8} | {'two threads':>12}")
    missed = []
    sign = datasketch_signer()
    for (name, texts), (lang, some), by_rensa in zip(columns, samples, rensa["seconds"], strict=True):
        minhash(some[:1], lang=lang)
        size, sample_size = texts.nbytes / 1e6, sum(len(text.encode()) for text in some) / 1e6
        ours = size / seconds(lambda texts=texts, lang=lang: minhash(texts, lang=lang), 7)  # type: ignore[misc]
        speeds = {"datasketch": [sample_size / s for s in peer_seconds(sign, some, lang)]}
        if by_rensa:
            speeds["rensa"] = [sample_size / s for s in by_rensa]
        ratios = {peer: ours / speed[0] for peer, speed in speeds.items()}
        ratios["two threads"] = two_threads(texts, lang)
        missed += [f"{name}: {peer} {ratio:.2f}" for peer, ratio in ratios.items() if ratio < GOALS[peer]]
        whole, ready = zip(*(speeds.get(peer, (0.0, 0.0)) for peer in ("datasketch", "rensa")), strict=True)
        print(f"{name:20} {ours:8.0f}{whole[0]:12.2f}{ratios['datasketch']:7.1f}", end="")
        print(f"{whole[1]:8.2f}{ratios.get('rensa', 0.0):7.1f}", end="")
        print(f" | {ready[0]:26.1f}{ready[1]:8.1f} | {ratios['two threads']:12.2f}")
    print("goals missed: " + "; ".join(missed) if missed else "all goals hold: " + str(GOALS))
    return 1 if missed or not options.rensa else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--as-rensa"]:
        rensa_main()
    else:
        raise SystemExit(main())
