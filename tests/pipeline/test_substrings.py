"""Repeated passages against plain Python, whatever the pieces, the memory and the texts."""

import random
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.errors import RunError
from seimai.pipeline import substrings
from seimai.pipeline.substrings import find_repeats, repeated_substrings

SIZE = 20
Spans = set[tuple[int, int, int, bool]]


def plain(texts: list[str], size: int) -> Spans:
    """By a dictionary of all windows."""
    places: dict[str, list[tuple[int, int]]] = {}
    for number, text in enumerate(texts):
        for start in range(len(text) - size + 1):
            places.setdefault(text[start : start + size], []).append((number, start))
    twice = [where for where in places.values() if len(where) > 1]
    covered = {(n, start + k) for where in twice for n, start in where for k in range(size)}
    origin = {(where[0][0], where[0][1] + k) for where in twice for k in range(size)}
    return _runs(covered, False) | _runs(covered - origin, True)


def _runs(places: set[tuple[int, int]], cut: bool) -> Spans:
    found: Spans = set()
    for number, start in sorted(places):
        if (number, start - 1) not in places:
            end = start
            while (number, end) in places:
                end += 1
            found.add((number, start, end, cut))
    return found


def as_set(table: pa.Table) -> Spans:
    """Rows as tuples, all different."""
    rows = [(row["text"], row["start"], row["end"], row["cut"]) for row in table.to_pylist()]
    assert len(set(rows)) == len(rows)
    return set(rows)


def repeating(seed: int) -> list[str]:
    """Texts that share passages, some of them next to each other, some overlapping themselves."""
    generator = random.Random(seed)
    passages = ["".join(generator.choices("精米は白い。abc 𠮷", k=generator.randrange(15, 60))) for _ in range(5)]
    texts = ["".join(generator.choices([*passages, "ラーメン", "x"], k=generator.randrange(0, 6))) for _ in range(12)]
    return [*texts, "ab" * 40, "", "精米" * 15]


@pytest.mark.parametrize("seed", range(12))
def test_against_a_dictionary_of_windows(seed: int) -> None:
    texts = repeating(seed)
    assert as_set(repeated_substrings(texts, min_chars=SIZE)) == plain(texts, SIZE)


@given(st.lists(st.text("ab", max_size=60), max_size=6))
@settings(max_examples=60, deadline=None)
def test_texts_of_two_letters(texts: list[str]) -> None:
    assert as_set(repeated_substrings(texts, min_chars=SIZE)) == plain(texts, SIZE)


@pytest.mark.parametrize("memory_bytes", [2_000, 60_000])
def test_pieces_and_memory_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory_bytes: int) -> None:
    texts = repeating(3) + repeating(3)[:4]
    monkeypatch.setattr("seimai.pipeline.text_kernels.SLICE_BYTES", 300)
    pieces = list(enumerate([texts[:5], texts[5:6], texts[6:]]))
    firsts = [0, 5, 6]
    found: Spans = set()
    for number, table in find_repeats(tmp_path, read, pieces, map, min_chars=SIZE, memory_bytes=memory_bytes):
        found |= {(firsts[number] + text, start, end, cut) for text, start, end, cut in as_set(table)}
    assert found == plain(texts, SIZE)


def read(texts: list[str]) -> Iterator[pa.Array]:
    """A piece, two texts at a time."""
    for first in range(0, len(texts), 2):
        yield pa.array(texts[first : first + 2], pa.large_string())


def test_what_is_cut_still_stands_once() -> None:
    texts = repeating(5)
    spans = [span for span in as_set(repeated_substrings(texts, min_chars=SIZE)) if span[3]]
    kept = list(texts)
    for number, start, end, _ in sorted(spans, reverse=True):
        kept[number] = kept[number][:start] + kept[number][end:]
    counts = Counter(text[k : k + SIZE] for text in texts for k in range(len(text) - SIZE + 1))
    twice = {window for window, count in counts.items() if count > 1}
    left = {text[k : k + SIZE] for text in kept for k in range(len(text) - SIZE + 1)}
    assert spans
    assert twice <= left


def test_null_texts_and_nothing() -> None:
    assert len(repeated_substrings([])) == 0
    assert len(repeated_substrings([None, "", "a" * 19], min_chars=SIZE)) == 0
    with pytest.raises(ValueError, match="min_chars = 19"):
        repeated_substrings(["a"], min_chars=19)


def test_a_lost_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joined = substrings._join_range

    def losing(*arguments: object) -> int:
        (tmp_path / "keys-000000-0000").unlink(missing_ok=True)
        return int(partial(joined, *arguments)())  # type: ignore[arg-type]

    monkeypatch.setattr(substrings, "_join_range", losing)
    with pytest.raises(RunError, match="has 0 files keys"):
        list(find_repeats(tmp_path, read, [(0, ["a" * 50])], map, min_chars=SIZE, memory_bytes=10_000))
