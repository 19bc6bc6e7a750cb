"""Speed of MinHash signatures on one core: `python bench/minhash.py FILE.jsonl.zst…`, datasketch beside ours.

Ours is timed from text to signature, folding included. datasketch gets ready shingle hashes in one `update_batch` a
document, so its row is the permutations alone; the last column is what folding and hashing by Python would add to it.
"""

import sys
import time
import unicodedata
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.json
import xxhash
from datasketch import MinHash

from seimai.pipeline.shingles import minhash, shingle_hashes

NUM_PERM, SIZE, SAMPLE_BYTES = 128, 5, 4_000_000


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """Least CPU time of some runs."""
    best = float("inf")
    for _ in range(times):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def python_hashes(text: str, lang: str) -> list[int]:
    """What a user of datasketch writes: fold, cut, hash."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    if lang == "ja":
        units = [c for c in folded if c.isalnum()]
        return [xxhash.xxh32_intdigest("".join(units[k : k + SIZE]).encode()) for k in range(len(units) - SIZE + 1)]
    words = folded.split()
    return [xxhash.xxh32_intdigest(" ".join(words[k : k + SIZE]).encode()) for k in range(len(words) - SIZE + 1)]


def all_python_hashes(texts: list[str], lang: str) -> list[list[int]]:
    """The hashes of all texts."""
    return [python_hashes(text, lang) for text in texts]


def datasketch_rows(hashes: list[list[int]]) -> None:
    """One signature a document; copies share the permutations, as datasketch's `bulk` does."""
    model = MinHash(NUM_PERM, scheme="affine32", hashfunc=lambda h: h)
    for row in hashes:
        model.copy().update_batch(row)


def main(paths: list[str]) -> None:
    """One line a file: MB of UTF-8 per second, ours over all of it, datasketch over its first megabytes."""
    minhash(["compiles the kernels first"])
    print(f"{'file':36} {'ours':>10} {'datasketch':>12} {'ratio':>7} {'with text':>10} {'ratio':>7}")
    for path in paths:
        with pa.input_stream(path, compression="zstd") as stream:
            texts = pyarrow.json.read_json(stream)["text"].cast(pa.large_string()).combine_chunks()
        lang = Path(path).name.partition("_")[0]
        sizes = np.cumsum([len(text.as_buffer()) for text in texts])
        sample = texts[: int(np.searchsorted(sizes, SAMPLE_BYTES))].to_pylist()
        sample_bytes = sum(len(text.encode()) for text in sample)
        hashes = [shingle_hashes(text, size=SIZE, lang=lang).tolist() for text in sample]

        ours = sizes[-1] / 1e6 / seconds(partial(minhash, texts, num_perm=NUM_PERM, size=SIZE, lang=lang))
        peer_s = seconds(partial(datasketch_rows, hashes), 1)
        python_s = seconds(partial(all_python_hashes, sample, lang), 1)
        alone, whole = sample_bytes / 1e6 / peer_s, sample_bytes / 1e6 / (peer_s + python_s)
        print(f"{Path(path).name:36} {ours:10.1f} {alone:12.2f} {ours / alone:7.1f} {whole:10.2f} {ours / whole:7.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
