"""Where texts repeat items of evaluation sets: spans in code points, with the item and how much of it stands there.

Seeds (see `eval_index`) that stand in a text and belong to one item, at most `GAP` units apart, make a chain; they only
tell where to compare. An item that is not twice `ENOUGH` long counts when it stands there whole: at most `EDITS` of its
units left out or added, at most `LACKING` of them left out. Those left out at its ends count twice, for there stands
what a question is about and what it asks. Of an item a passage counts: two pieces, one of the text and one of the item,
whose units in common less two for each edit are `ENOUGH`; phrases of its genre far apart are none.

A hash of 64 bits decides what a seed is: of a billion units and a million seeds one in 20,000 corpora has a false one,
and one seed makes no span.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .eval_index import SEED, EvalIndex
from .shingles import Folded, folded, role_table

__all__ = ["SPANS", "eval_overlaps"]

GAP = (16, 8)
"""Most units between two seeds of a chain: characters, words."""
ENOUGH = (30, 13)
"""Units of a passage that counts: 13 words as in GPT-3 (arXiv:2005.14165, appendix C)."""
EDITS = (0.2, 0.15)
"""Most units of a whole item left out or added, as a share of its units. A replaced one is both, so one character of 14
may be another, but no word of 13."""
LACKING = 0.13
"""Most units of a whole item left out or replaced, those at its ends counted twice, as a share of its units: one of 14
or 15 characters."""

SPANS = pa.schema(
    [
        ("text", pa.int64()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("set", pa.string()),
        ("row", pa.int64()),
        ("field", pa.string()),
        ("covered_units", pa.int64()),
        ("item_units", pa.int64()),
    ]
)
"""A span: number of the text, code points from start to end, the item, its units covered by the span and in all."""


def eval_overlaps(texts: Sequence[str | None] | pa.Array, index: EvalIndex) -> pa.Table:
    """The spans of `texts` that repeat an item of the index, schema SPANS, ascending by text, start and item.

    >>> from seimai.pipeline import EvalItem, build_eval_index
    >>> item = EvalItem("quiz", 0, "question", "What is the capital of the smallest country in the southern half?")
    >>> index = build_eval_index([item])
    >>> page = "Quiz! WHAT is the capital of\\nthe smallest country in the southern half (2024)?"
    >>> eval_overlaps([page], index).select(["start", "end", "covered_units"]).to_pylist()
    [{'start': 6, 'end': 70, 'covered_units': 12}]
    """
    from .text_kernels import as_strings

    array = as_strings(texts)
    found = [table for part in folded(array) for table in _of_slice(part, array, index)]
    table = pa.concat_tables([SPANS.empty_table(), *found])
    return table.sort_by([(name, "ascending") for name in ("text", "start", "end", "set", "row", "field")])


def _of_slice(part: Folded, array: pa.Array, index: EvalIndex) -> Iterator[pa.Table]:
    """The spans of some folded texts, first those of items in characters, then those in words."""
    from .seed_kernels import chain_finds, find_seeds, judge_chains
    from .shingle_kernels import units_of_texts

    for kind in np.unique(index.kinds):
        modes = np.full(part.last - part.first, kind, np.uint8)
        units, ends, kinds = units_of_texts(part.codes, part.offsets, modes, *role_table())
        texts, places, seeds = find_seeds(units, ends, kinds, np.array(SEED), index.seeds, index.table, index.sieve)
        counts = index.starts[seeds + 1] - index.starts[seeds]
        postings = np.repeat(index.starts[seeds] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        owners = index.owners[postings]
        mine = index.kinds[owners] == kind
        keys = (np.repeat(texts, counts) * len(index.items) + owners)[mine]
        places, in_item = np.repeat(places, counts)[mine], index.places[postings][mine]
        order = np.lexsort((in_item, places, keys))
        keys, places, in_item = keys[order], places[order], in_item[order]
        most_units = int(index.item_units.max(initial=0))
        first, last, covered = chain_finds(keys, places, in_item, SEED[kind], GAP[kind], most_units)
        text, item = np.divmod(keys[first], len(index.items))
        chains = np.stack([text, item, places[first], places[last] + SEED[kind], covered], axis=1)
        rule = (ENOUGH[kind], EDITS[kind], LACKING)
        held = judge_chains(chains, units, ends, index.units, index.ends, *rule)
        if len(held):
            yield _table(held, part, array, int(kind), index)


def _table(chains: NDArray[np.int64], part: Folded, array: pa.Array, kind: int, index: EvalIndex) -> pa.Table:
    """Chains that count as rows of SPANS."""
    texts, owners, first, stop, covered = chains.T
    start, end = np.empty_like(texts), np.empty_like(texts)
    for text in np.unique(texts):
        mine = texts == text
        begins, ends = _unit_places(part.codes[part.offsets[text] : part.offsets[text + 1]], kind)
        of_code = _code_points(array[part.first + int(text)].as_py())
        start[mine] = of_code[0][begins[first[mine]]]
        end[mine] = of_code[1][ends[stop[mine] - 1] - 1]
    items = [index.items[owner] for owner in owners]
    columns = [
        texts + part.first,
        *(start, end),
        *([item.name for item in items], [item.row for item in items], [item.field for item in items]),
        *(covered, index.item_units[owners]),
    ]
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, SPANS, strict=True)], schema=SPANS)


def _unit_places(codes: NDArray[np.int32], kind: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where every unit of a folded text begins and ends, in its code points; as `units_of_texts` cuts them."""
    from .shingle_kernels import CHAR, COUNTS_BIT, SILENT_BIT, WORD_BIT

    places, roles = role_table()
    role = roles[places[codes >> 8] + (codes & 255)]
    if kind == CHAR:
        counts = np.flatnonzero(role & COUNTS_BIT)
        return counts, counts + 1
    word = np.flatnonzero(role & WORD_BIT)
    between = np.cumsum(role & (WORD_BIT | SILENT_BIT) == 0)[word]
    begins = np.append(True, between[1:] != between[:-1]) if len(word) else np.empty(0, np.bool_)
    return word[begins], word[np.append(begins[1:], True)[: len(word)]] + 1


@lru_cache(maxsize=1)
def _pieces() -> re.Pattern[str]:
    """A code point and all behind it that folding may join to it: marks, half-width ones, jamo that end a syllable."""
    joins = [chr(code) for code in range(0x300, 0x110000) if _may_join(chr(code))]
    ranges = []
    for _, run in itertools.groupby(enumerate(joins), lambda pair: ord(pair[1]) - pair[0]):
        held = [character for _, character in run]
        ranges.append(f"{held[0]}-{held[-1]}")
    return re.compile(f"(?s:.)[{''.join(ranges)}]*")


def _may_join(character: str) -> bool:
    first = unicodedata.normalize("NFKD", character)[0]
    return unicodedata.category(first)[0] == "M" or 0x1160 <= ord(first) <= 0x11FF


def _code_points(text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For every code point of the folded text, where what it came from begins and ends in the text."""
    pieces = _pieces().findall(text)
    ends = np.cumsum([len(piece) for piece in pieces])
    lengths = np.concatenate([np.diff(part.offsets) for part in folded(pa.array(pieces, pa.large_string()))])
    return np.repeat(np.append(0, ends[:-1]), lengths), np.repeat(ends, lengths)
