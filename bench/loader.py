"""Tokens a second of the loader beside others': `python bench/loader.py [--peers PYTHON] [--large]`, about 2 minutes.

One core, batches of 16 rows of 2,048 tokens from the same tokens (uint16, log-normal documents), ours with packing,
provenance and document bounds; below it all that the loader's thread does for the loop, down to FlexAttention's block
lists. `--peers` names the Python of an environment with torch, litdata and mosaicml-streaming.
`--large` adds 10 million documents (1 GB on the disk, 5 minutes): in 10,000 shards, the first batch of step 0 and of a
step far away; in 100 shards, counts of tokens under `where` expressions. Exit code 1 where a goal is missed.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seimai.files import canonical_json, merkle_root, sha256_file
from seimai.model.loader import to_batch
from seimai.model.order import Order
from seimai.model.shards import open_tokens
from seimai.model.where import where_mask

ROWS, ROW_TOKENS = 16, 2048
GOALS = {700: 90e6, 60: 30e6}


def write_tokens(folder: Path, mean_tokens: int, shards: int, documents: int) -> np.ndarray:
    """A folder as `seimai encode` writes it; returns all tokens in order."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    described, names, lengths, values = [], [], [], []
    for number in range(shards):
        length = np.maximum(random.lognormal(np.log(mean_tokens) - 0.5, 1.0, documents), 3).astype(np.int64)
        tokens = random.integers(0, 50_000, int(length.sum()), dtype=np.uint16)
        offsets = pa.array(np.concatenate([[0], np.cumsum(length)]), pa.int64())
        column = pa.LargeListArray.from_arrays(offsets, pa.array(tokens))
        _arrow(folder / f"tokens-{number:05d}.arrow", pa.record_batch([column], ["tokens"]))
        quality = pa.array(random.random(documents).astype(np.float32))
        ranks = pa.array(random.integers(0, 4, documents))
        pq.write_table(pa.table({"quality": quality, "cluster_rank": ranks}), folder / f"docs-{number:05d}.parquet")
        names += [f"tokens-{number:05d}.arrow", f"docs-{number:05d}.parquet"]
        described.append({"tokens": names[-2], "docs": names[-1], "documents": documents})
        lengths.append(length)
        if number * documents < 1_000_000:
            values.append(tokens)
    n_tokens = np.concatenate(lengths)
    codes = [np.zeros(len(n_tokens), np.uint8), np.zeros(len(n_tokens), np.uint16)]
    columns = [n_tokens.astype(np.uint32), *codes, (np.arange(len(n_tokens)) % 2).astype(np.uint16)]
    _arrow(folder / "index.arrow", pa.record_batch([pa.array(each) for each in columns], _INDEX))
    files = [
        {"path": name, "bytes": (folder / name).stat().st_size, "sha256": sha256_file(folder / name)}
        for name in [*names, "index.arrow"]
    ]
    manifest = {
        "format": "seimai-tokens/1",
        "tokenizer": {"fingerprint": "00", "vocab_size": 50_000, "bos_id": 0, "eos_id": 1, "pad_id": 2},
        "dtype": "uint16",
        "sources": ["crawl"],
        "langs": ["en", "ja"],
        "shards": described,
        "files": files,
        "merkle_root": merkle_root(str(each["sha256"]) for each in files),
    }
    (folder / "manifest.json").write_text(canonical_json(manifest), encoding="utf-8")
    return np.concatenate(values)


_INDEX = ["n_tokens", "split", "source", "lang"]


def _arrow(path: Path, batch: pa.RecordBatch) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)


def rate(step: Callable[[int], object], steps: int, warm: int = 50) -> float:
    """Tokens a second of CPU time."""
    for number in range(warm):
        step(number)
    began = time.process_time()
    for number in range(warm, steps):
        step(number)
    return (steps - warm) * ROWS * ROW_TOKENS / (time.process_time() - began)


def memmap_loader(tokens: np.ndarray, path: Path) -> Callable[[int], object]:
    """nanoGPT's get_batch: a fresh memmap and random windows, inputs and targets as int64."""
    tokens.tofile(path)

    def step(number: int) -> object:
        data = np.memmap(path, dtype=np.uint16, mode="r")
        starts = np.random.default_rng(number).integers(0, len(data) - ROW_TOKENS - 1, ROWS)
        inputs = np.stack([data[at : at + ROW_TOKENS].astype(np.int64) for at in starts])
        return inputs, np.stack([data[at + 1 : at + 1 + ROW_TOKENS].astype(np.int64) for at in starts])

    return step


PEERS = """
import json, sys, time, numpy as np, logging
logging.disable(logging.CRITICAL)
path, folder, rows, row_tokens, steps = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
tokens = np.fromfile(path, np.uint16)
found = {}
def rate(items):
    coming, began = iter(items), 0.0
    for number in range(steps):
        if number == 20: began = time.process_time()
        for _ in range(rows): next(coming)
    return (steps - 20) * rows * row_tokens / (time.process_time() - began)
import torch
# torchvision is imported for pictures; its wheel for another torch lacks these operators and would not load.
library = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from streaming import MDSWriter, StreamingDataset
with MDSWriter(out=folder + "/mds", columns={"tokens": "ndarray:uint16"}) as out:
    for at in range(0, steps * rows * (row_tokens + 1), row_tokens + 1):
        out.write({"tokens": tokens[at : at + row_tokens + 1]})
found["mosaicml-streaming"] = rate(StreamingDataset(local=folder + "/mds", shuffle=True, batch_size=rows))
from litdata import StreamingDataset as Lit, TokensLoader
from litdata.streaming.cache import Cache
cache = Cache(folder + "/lit", chunk_bytes="64MB", item_loader=TokensLoader(row_tokens + 1))
cap = steps * rows * (row_tokens + 1) // 4
for index, at in enumerate(range(0, 4 * cap, cap)):
    cache[index] = torch.from_numpy(tokens[at : at + cap].copy())
cache.done(); cache.merge()
lit = Lit(folder + "/lit", item_loader=TokensLoader(row_tokens + 1), shuffle=True)
found["litdata"] = rate(lit)
print(json.dumps(found))
"""


def peers(python: Path | None, tokens: Path, folder: Path) -> dict[str, float | None]:
    """Rates of other loaders in their own environment; None for what does not run."""
    names = {"litdata": None, "mosaicml-streaming": None}
    if python is None:
        return dict(names)
    arguments = [str(tokens), str(folder), str(ROWS), str(ROW_TOKENS), "600"]
    done = subprocess.run(
        [python, "-W", "ignore", "-c", PEERS, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1], file=sys.stderr)
        return dict(names)
    return names | json.loads(done.stdout.strip().splitlines()[-1])


def table(root: Path, python: Path | None) -> bool:
    """The loaders beside each other; whether ours met the goals."""
    good = True
    print(f"{'tokens a document':>18} {'loader':22} {'M tokens/s':>11} {'ours is':>8}")
    for mean_tokens, goal in GOALS.items():
        folder = root / str(mean_tokens)
        tokens = write_tokens(folder, mean_tokens, 2, 90_000_000 // mean_tokens // 2)
        order = Order(folder, seed=1, row_tokens=ROW_TOKENS, batch_rows=ROWS)
        ours = rate(order.rows, 2000)
        good &= ours >= goal
        print(f"{mean_tokens:18} {'seimai, packed':22} {ours / 1e6:11.1f} {'':8} goal {goal / 1e6:.0f}")
        whole = rate(lambda step, order=order: to_batch(order.rows(step), step, blocks=True), 300)
        print(f"{mean_tokens:18} {'and tensors, blocks':22} {whole / 1e6:11.1f} {ours / whole:7.1f}x")
        others = {"nanoGPT get_batch": rate(memmap_loader(tokens, root / "tokens.bin"), 1000)}
        for name, found in (others | peers(python, root / "tokens.bin", folder)).items():
            shown = f"{found / 1e6:11.1f} {ours / found:7.1f}x" if found else "  not installed"
            print(f"{mean_tokens:18} {name:22} {shown}")
    return good


def large(root: Path) -> bool:
    """10,000 shards with 10 million documents: seconds to a batch; 100 with as many: a count under an expression."""
    folder = root / "large"
    write_tokens(folder, 20, 10_000, 1000)
    good = True
    for step, goal in ((0, 2.0), (4000, 15.0)):
        began = time.monotonic()
        order = Order(folder, seed=1, row_tokens=ROW_TOKENS, batch_rows=ROWS)
        order.rows(step)
        took = time.monotonic() - began
        good &= took <= goal
        print(f"first batch of step {step:6}: {took:6.2f} s, goal {goal:.0f} s")
    before = _anonymous_mb()
    for step in range(4000, 4400):
        order.rows(step)
    print(f"anonymous memory {before:.0f} MB, and {_anonymous_mb():.0f} MB after 400 steps")
    shutil.rmtree(folder)
    write_tokens(folder, 20, 100, 100_000)
    shards = open_tokens(folder)
    for expression in ("lang == 'ja' and n_tokens > 20", "lang == 'ja' and quality > 0.6 and cluster_rank == 0"):
        began = time.monotonic()
        kept = where_mask(shards, expression)
        count = int(shards.n_tokens[kept].sum(dtype=np.int64))
        took = time.monotonic() - began
        good &= took <= 1.0
        print(f"{count:12,} tokens where {expression}: {took:.2f} s, goal 1 s")
    return good


def _anonymous_mb() -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> int:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--peers", type=Path, help="Python of an environment with litdata and mosaicml-streaming")
    options.add_argument("--large", action="store_true", help="also 10,000 shards with 10 million documents")
    chosen = options.parse_args()
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, pyarrow {pa.__version__}"
    print(f"{platform.machine()}, {os.cpu_count()} cores, {versions}")
    with tempfile.TemporaryDirectory(prefix="seimai-loader-") as name:
        good = table(Path(name), chosen.peers)
        if chosen.large:
            good &= large(Path(name))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
