"""A table of counts as a gigabyte of Japanese would give: `python bench/grown_counts.py OUT.arrow`, about 3 minutes.

Repeating text adds no new pre-token, so the table is grown from the real one of the `ja_*` files in data/text:

- Curve: distinct pre-tokens grow with n^0.84 (research/tokenizer.md 4.2), 18 million at a gigabyte. Where V types grow
  so, V * prod((j - 0.84) / j, j < k) of them are seen k times or more (Pitman-Yor), which the table printed first
  compares with the real counts. The commonest take their real counts, scaled, where those are lower.
- Pre-tokens: the real ones by rank; for the rest the head (kanji or katakana) of one real pre-token, in one case
  of seven with the head of a second, and the hiragana tail of a third, all drawn at random from the distinct ones.
"""

import re
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather
import pyarrow.json
from numpy.typing import NDArray

from seimai.tokenizer import split_ranges
from seimai.tokenizer.counts import count
from seimai.tokenizer.split import split_pattern

TYPES, BYTES, EXPONENT = 18_000_000, 1_000_000_000, 0.84
EXACT = 1000
BATCH = 4_000_000
SEED = 1
SECOND_HEAD = 1 / 7
CHECKED = (1, 2, 4, 7, 13, 43)


def read_texts(paths: list[Path]) -> pa.ChunkedArray:
    """Column `text` of JSON lines in zstd."""
    tables = []
    for path in paths:
        with pa.input_stream(str(path), compression="zstd") as stream:
            options = pyarrow.json.ReadOptions(block_size=1 << 26)
            tables.append(pyarrow.json.read_json(stream, read_options=options).select(["text"]))
    return pa.concat_tables(tables)["text"].cast(pa.large_string())


def real_counts(texts: pa.ChunkedArray) -> pa.Table:
    """Pre-tokens of the texts, the commonest first."""
    table = count(pa.table({"text": texts}).to_batches(max_chunksize=256), split_pattern()).select(
        ["pretoken", "count"]
    )
    return table.sort_by([("count", "descending"), ("pretoken", "ascending")])


def share_at_least(most: int) -> NDArray[np.float64]:
    """Share of types that are seen 1, 2, … `most` times or more."""
    j = np.arange(1, most)
    return np.concatenate([[1.0], np.cumprod((j - EXPONENT) / j)])


def curve(n_types: int) -> NDArray[np.int64]:
    """Count of every rank, falling, 1 at the last."""
    shares = share_at_least(EXACT)
    ranks = np.arange(1, n_types + 1) / n_types
    counts = np.searchsorted(-shares, -ranks, side="right").astype(np.int64)
    first = int(np.searchsorted(ranks, shares[-1]))
    # Beyond the exact part the product is k^-0.84 times what it is at the last k.
    counts[:first] = EXACT * (shares[-1] / ranks[:first]) ** (1 / EXPONENT)
    return counts


def parts(words: list[str]) -> tuple[pa.Array, pa.Array]:
    """Heads and tails of the Japanese phrases among the words."""
    before_tail = f"[{_class(split_ranges.KANJI)}{_class(split_ranges.KATAKANA)}]+"
    head = re.compile(f"^({before_tail})([{_class(split_ranges.HIRAGANA)}]*)$")
    found = [match.groups() for match in map(head.match, words) if match]
    heads, tails = zip(*found, strict=True)
    return pa.array(heads, pa.large_string()), pa.array(tails, pa.large_string())


def grow(words: pa.Array, n_types: int) -> pa.Array:
    """The words and behind them others made of their parts, each once, `n_types` in all."""
    heads, tails = parts(words.to_pylist())
    random, nothing = np.random.default_rng(SEED), pa.scalar("", pa.large_string())
    while len(words) < n_types:
        first, second, tail = (random.integers(0, len(heads), BATCH) for _ in range(3))
        seconds = pc.if_else(pa.array(random.random(BATCH) < SECOND_HEAD), heads.take(pa.array(second)), nothing)
        firsts, last = heads.take(pa.array(first)), tails.take(pa.array(tail))
        made = pc.binary_join_element_wise(firsts, seconds, last, nothing)
        made = made.filter(pc.less_equal(pc.utf8_length(made), 32))
        words = pc.unique(pa.chunked_array([words, made]))
        print(f"{len(words):,} words", file=sys.stderr)
    return words[:n_types]


def table(texts: pa.ChunkedArray, n_types: int = TYPES, n_bytes: int = BYTES) -> pa.Table:
    """The grown table, sorted by bytes."""
    real = real_counts(texts)
    report(real)
    words = grow(real["pretoken"].cast(pa.large_string()).combine_chunks(), n_types)
    counts = curve(n_types)
    real_bytes = pc.sum(pc.binary_length(texts)).as_py()
    scaled = real["count"].to_numpy() * n_bytes // real_bytes
    counts[: len(scaled)] = np.minimum(counts[: len(scaled)], np.maximum(scaled, 1))
    grown = pa.table([words.cast(pa.large_binary()), pa.array(counts)], names=["pretoken", "count"])
    return grown.take(pc.sort_indices(grown, [("pretoken", "ascending")])).combine_chunks()


def report(real: pa.Table) -> None:
    """The curve against the counts it is to follow."""
    counts, shares = real["count"].to_numpy(), share_at_least(EXACT)
    print(f"{'seen at least':>14} {'real types':>12} {'curve':>12}   of {len(counts):,}")
    for k in CHECKED:
        print(f"{k:14} {int((counts >= k).sum()):12,} {round(len(counts) * shares[k - 1]):12,}")


def _class(ranges: str) -> str:
    ends = [[chr(int(code, 16)) for code in item.split("-")] for item in ranges.split()]
    return "".join("-".join(re.escape(end) for end in pair) for pair in ends)


def main(data: Path, out: Path) -> None:
    """Grow the table of data/text/ja_*.jsonl.zst and write it as uncompressed Arrow."""
    texts = read_texts(sorted((data / "text").glob("ja_*.jsonl.zst")))
    grown = table(texts)
    n_bytes = pc.sum(pc.multiply(pc.binary_length(grown["pretoken"]).cast(pa.int64()), grown["count"])).as_py()
    print(f"{grown.num_rows:,} types, {grown['pretoken'].nbytes / 1e6:.0f} MB distinct, {n_bytes / 1e6:,.0f} MB in all")
    pyarrow.feather.write_feather(grown, out, compression="uncompressed")


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[2] / "shared" / "data"
    main(root, Path(sys.argv[1]))
