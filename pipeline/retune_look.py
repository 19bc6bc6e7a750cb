"""What another config would keep: columns and old decisions in, the table of old by new and every rule's effect out.

Parts are read one after the other in a few threads and only sums are kept of them, but for the documents that share a
cluster and that no rule, or one rule alone, drops: those compete for their cluster, and 60 bytes of each are held.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial, reduce
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .decide import DUPLICATE, IN_INDEX, SURVIVOR_KEYS, former_members, survivors
from .gates import GATES
from .judge import FORMER, judge, read_columns, read_some
from .order import Entry, read_entries
from .presets import QualityConfig

__all__ = ["BYTES_PER_TOKEN", "Effect", "Look", "Size", "look"]

BYTES_PER_TOKEN: Mapping[str, float] = {"ja": 4.6, "en": 4.4}
"""UTF-8 bytes of a token, for estimates: vocabularies of 32,768 on held-out text (docs/log.md, host cap)."""
OTHER_BYTES_PER_TOKEN = 4.0

KEPT = "kept"
ROWS_AT_ONCE = 16_384
_SIZES = ("n_chars", "n_bytes")


class Size(NamedTuple):
    """An amount of documents."""

    documents: int = 0
    chars: int = 0
    bytes: int = 0

    def plus(self, other: "Size") -> "Size":
        """Both together.

        >>> Size(1, 10, 30).plus(Size(2, 20, 60)).minus(Size(1, 10, 30))
        Size(documents=2, chars=20, bytes=60)
        """
        return Size(*(mine + its for mine, its in zip(self, other, strict=True)))

    def minus(self, other: "Size") -> "Size":
        """What is left without the other."""
        return Size(*(mine - its for mine, its in zip(self, other, strict=True)))

    def tokens(self, lang: str) -> int:
        """Estimated tokens, from bytes."""
        return round(self.bytes / BYTES_PER_TOKEN.get(lang, OTHER_BYTES_PER_TOKEN))


class Effect(NamedTuple):
    """What one rule does under the new config.

    `first`: documents it is the first reason of; `breaks`: documents that break it; `alone`: documents that nothing
    else drops; `back`: what the corpus would gain without it, once copies are dropped.
    """

    lang: str
    reason: str
    first: int
    breaks: int
    alone: Size
    back: Size


@dataclass(frozen=True, slots=True)
class Look:
    """The old decisions beside the new ones.

    `moves`: documents by language, old and new verdict (a reason, or "kept"); `old` and `new`: what is kept by
    language; `effects`: every rule that a document breaks now, by language and number of documents, without the gates.
    """

    documents: int
    moves: Mapping[tuple[str, str, str], int]
    old: Mapping[str, Size]
    new: Mapping[str, Size]
    effects: Sequence[Effect]

    def crossed(self) -> dict[str, tuple[int, int, int, int]]:
        """By language: kept by both, only by the old, only by the new, by neither."""
        table: dict[str, list[int]] = {}
        for (lang, old, new), count in self.moves.items():
            table.setdefault(lang, [0, 0, 0, 0])[2 * (old != KEPT) + (new != KEPT)] += count
        return {lang: (row[0], row[1], row[2], row[3]) for lang, row in sorted(table.items())}


@dataclass(slots=True)
class _Sums:
    """What is kept of the parts."""

    moves: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    old: dict[str, Size] = field(default_factory=dict)
    new: dict[str, Size] = field(default_factory=dict)
    first: Counter[tuple[str, str]] = field(default_factory=Counter)
    breaks: Counter[tuple[str, str]] = field(default_factory=Counter)
    alone: dict[tuple[str, str], Size] = field(default_factory=dict)
    back: dict[tuple[str, str], Size] = field(default_factory=dict)
    rivals: list[pa.Table] = field(default_factory=list)

    def take(self, other: "_Sums") -> None:
        for name in ("moves", "first", "breaks"):
            getattr(self, name).update(getattr(other, name))
        for name in ("old", "new", "alone", "back"):
            mine = getattr(self, name)
            for key, size in getattr(other, name).items():
                mine[key] = mine.get(key, Size()).plus(size)
        self.rivals += other.rivals


def look(
    run: Path, quality: Mapping[str, QualityConfig], keep: int | Literal["rehydrate"], *, clusters: Path | None = None
) -> Look:
    """Decide again without writing, and compare with the decisions of the run.

    `clusters`: a run directory whose clusters count instead of the run's own. A million documents take some seconds.
    """
    entries = list(read_entries(run / "state" / "order.arrow"))
    sums = _Sums()
    each = partial(_of_parts, run=run, quality=quality, clusters=clusters or run)
    with ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 16)) as pool:
        for found in pool.map(each, _together(entries)):
            sums.take(found)
    rivals = [table for table in sums.rivals if len(table)]
    if rivals:
        sums.take(_of_rivals(pa.concat_tables(rivals), keep))
    # A rule that is never the first may still be broken.
    broken = [key for key in sums.breaks if key[1] not in GATES]
    broken.sort(key=lambda key: (key[0], -sums.first[key], -sums.breaks[key], key[1]))
    effects = [
        Effect(*key, sums.first[key], sums.breaks[key], sums.alone.get(key, Size()), sums.back.get(key, Size()))
        for key in broken
    ]
    total = sum(sums.moves.values())
    return Look(total, dict(sorted(sums.moves.items())), _sorted(sums.old), _sorted(sums.new), effects)


def _sorted(sizes: Mapping[str, Size]) -> dict[str, Size]:
    return dict(sorted(sizes.items()))


def _together(entries: list[Entry]) -> Iterator[list[Entry]]:
    """Neighbouring parts with some ten thousand documents: comparing has a price for each call, not for each row."""
    gathered: list[Entry] = []
    for entry in entries:
        gathered.append(entry)
        if sum(one.rows for one in gathered) >= ROWS_AT_ONCE:
            yield gathered
            gathered = []
    if gathered:
        yield gathered


def _read(entry: Entry, run: Path, quality: Mapping[str, QualityConfig], clusters: Path) -> pa.Table:
    """Everything a look needs of a part; the old verdict is `was`."""
    part = read_columns(run, entry.part, quality, clusters=False)
    shared = read_some(clusters / "clusters" / f"{entry.part}.parquet", ["cluster", "cluster_size", FORMER])
    was = read_some(run / "decisions" / f"{entry.part}.parquet", ["reason"])["reason"]
    columns = {name: table[name] for table in (part, shared) for name in table.column_names}
    return pa.table({**columns, "was": was})


def _of_parts(entries: list[Entry], run: Path, quality: Mapping[str, QualityConfig], clusters: Path) -> _Sums:
    """The sums of some parts, but for what is decided among copies."""
    part = pa.concat_tables([_read(entry, run, quality, clusters) for entry in entries], promote_options="permissive")
    was, rows = part["was"], len(part)
    verdicts = judge(part, quality)
    langs = pc.fill_null(part["lang"], "").combine_chunks().dictionary_encode()
    old = pc.fill_null(was, KEPT).combine_chunks().dictionary_encode()
    names = (*verdicts.names, KEPT)
    new = np.where(verdicts.first < 0, len(verdicts.names), verdicts.first)
    single = verdicts.counts <= 1
    in_cluster = pc.fill_null(pc.greater(part["cluster_size"], 1), False).to_numpy()
    rival, settled = single & in_cluster, ~(single & in_cluster)
    sums = _Sums()
    lang_names, old_names = langs.dictionary.to_pylist(), old.dictionary.to_pylist()
    lang_codes, old_codes = langs.indices.to_numpy(), old.indices.to_numpy()
    sizes = np.stack([pc.fill_null(part[name], 0).to_numpy() for name in _SIZES])
    table = _Table(lang_names, lang_codes, sizes)
    # A rival's new verdict is known only beside the other members of its cluster, unless a rule drops it.
    known = settled | (verdicts.first >= 0)
    for (lang, before, after), size in table.by(known, (old_names, old_codes), (names, new)).items():
        sums.moves[lang, before, after] += size.documents
    for (lang, before), size in table.by(np.ones(rows, bool), (old_names, old_codes)).items():
        if before == KEPT:
            sums.old[lang] = size
    for (lang, after), size in table.by(known, (names, new)).items():
        sums.first[lang, after] += size.documents
        if after == KEPT:
            sums.new[lang] = size
    for (lang, reason), size in table.by(verdicts.counts == 1, (names, new)).items():
        sums.alone[lang, reason] = size
    for (lang, reason), size in table.by((verdicts.counts == 1) & settled, (names, new)).items():
        sums.back[lang, reason] = size
    owner = np.repeat(np.arange(rows), verdicts.counts)
    spread = _Table(lang_names, lang_codes[owner], sizes[:, owner])
    for (lang, reason), size in spread.by(np.ones(len(owner), bool), (names, verdicts.codes)).items():
        sums.breaks[lang, reason] += size.documents
    sums.rivals.append(_rivals(part, old, pa.array(names, pa.string()).take(pa.array(new)), rival))
    return sums


class _Table(NamedTuple):
    """Documents to be counted by their language and other codes."""

    lang_names: Sequence[str]
    langs: NDArray[np.int32]
    sizes: NDArray[np.int64]
    """Characters and bytes, shape (2, documents)."""

    def by(
        self, where: NDArray[np.bool_], *codes: tuple[Sequence[str], NDArray[np.int32]]
    ) -> dict[tuple[str, ...], Size]:
        """The sizes of the chosen documents by language and names, those of no documents left out."""
        key, shape = self.langs[where].astype(np.int64), [self.lang_names]
        for names, numbers in codes:
            key = key * len(names) + numbers[where]
            shape.append(names)
        total = int(np.prod([len(names) for names in shape]))
        counts = np.bincount(key, minlength=total)
        # Sums of float64 are exact below 2^53 characters.
        chars, n_bytes = (np.bincount(key, weights=size[where], minlength=total) for size in self.sizes)
        found = {}
        for at in np.flatnonzero(counts).tolist():
            place = np.unravel_index(at, [len(names) for names in shape])
            labels = tuple(names[int(code)] for names, code in zip(shape, place, strict=True))
            found[labels] = Size(int(counts[at]), int(chars[at]), int(n_bytes[at]))
        return found


def _rivals(part: pa.Table, old: pa.DictionaryArray, new: pa.Array, where: NDArray[np.bool_]) -> pa.Table:
    columns = {name: part[name] for name in ("cluster", "quality", "n_chars", "date", "id", "n_bytes", "cluster_size")}
    columns |= {"lang": pc.fill_null(part["lang"], ""), "old": old.cast(pa.string()), "new": new}
    columns |= {FORMER: pa.array(former_members(part))}
    columns["quality"] = columns["quality"].cast(pa.float32())
    return pa.table(columns).filter(pa.array(where))


def _of_rivals(rivals: pa.Table, keep: int | Literal["rehydrate"]) -> _Sums:
    """The sums over members of clusters: the first that pass survive, and again with one rule less."""
    rivals = rivals.sort_by(list(SURVIVOR_KEYS)).combine_chunks()
    cluster = _codes(rivals["cluster"])[1]
    begins = np.flatnonzero(np.concatenate([[True], cluster[1:] != cluster[:-1]]))
    lengths = np.diff(np.append(begins, len(cluster)))
    places = survivors(rivals["cluster_size"], keep) - former_members(rivals)
    lost_to = np.where(places > 0, 0, 2).astype(np.int32)
    lang_names, langs = _codes(rivals["lang"])
    old, (new_names, new) = _codes(rivals["old"]), _codes(rivals["new"])
    table = _Table(lang_names, langs, np.stack([pc.fill_null(rivals[name], 0).to_numpy() for name in _SIZES]))
    sums = _Sums()

    def surviving(passed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        before: NDArray[np.int64] = np.cumsum(passed) - passed
        rank: NDArray[np.int64] = before - np.repeat(before[begins], lengths)
        return np.asarray(passed & (rank < places))

    passed = new == new_names.index(KEPT) if KEPT in new_names else np.zeros(len(new), bool)
    kept = surviving(passed)
    fates = (DUPLICATE, KEPT, IN_INDEX), np.where(kept, np.int32(1), lost_to)
    for (lang, before, after), size in table.by(passed, old, fates).items():
        sums.moves[lang, before, after] += size.documents
        sums.first[lang, after] += size.documents
    for (lang,), size in table.by(kept).items():
        sums.new[lang] = size
    for (lang, after), size in table.by(passed & ~kept, fates).items():
        sums.breaks[lang, after] += size.documents
        sums.alone[lang, after] = sums.back[lang, after] = size
    asked = np.unique(langs[~passed].astype(np.int64) * len(new_names) + new[~passed]).tolist()
    for lang, reason in (divmod(key, len(new_names)) for key in asked):
        back = surviving(passed | ((new == reason) & (langs == lang)))
        # A cluster may be of several languages: whoever gives way counts against the rule.
        gained, lost = (reduce(Size.plus, table.by(where).values(), Size()) for where in (back & ~kept, kept & ~back))
        sums.back[lang_names[lang], new_names[reason]] = gained.minus(lost)
    return sums


def _codes(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int32]]:
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
