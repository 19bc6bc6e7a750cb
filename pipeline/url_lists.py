"""Lists of hosts, addresses, words and expressions in; the categories of a URL out, at a million look-ups a second.

Hosts and addresses are kept as sorted 64-bit hashes, ten bytes an entry: a URL that is not listed is taken for one of n
entries with odds of n / 2**64 for each domain it lies in, 1 in 6 million million at 3 million entries.
"""

import gzip
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from seimai.config import Section
from seimai.errors import ConfigError

from .wordlists import ListConfig, WordList, count_list, open_list

__all__ = [
    *("VERSION", "UrlListConfig", "UrlLists", "UrlListsConfig"),
    *("open_url_lists", "url_categories", "url_list_digests"),
]

VERSION = 1

ListKind = Literal["domains", "urls", "expressions", "words", "substrings"]
UT1_KINDS: tuple[ListKind, ...] = ("domains", "urls", "expressions")
BLOCK_BYTES = 4 << 20
BUCKET_ENTRIES = 4


class UrlListConfig(Section):
    """A list of one category: [gates.urls.lists.<category>]."""

    path: str
    """File with one entry a line, UTF-8, also gzipped (.gz); lines with # are comments."""
    kind: ListKind = "domains"
    """domains: hosts with all below them. urls: host and path, with all below. words: whole words anywhere in a URL.
    substrings: anywhere in it. expressions: regular expressions in RE2's syntax, over the URL in lower case."""
    min_hits: int = Field(default=1, ge=1)
    """Words or substrings a URL must have."""


class UrlListsConfig(Section):
    """Section [gates.urls]: lists of URLs by category."""

    ut1: list[str] = []
    """Folders laid out as UT1's: <category>/domains, urls and expressions, or <category>.domains; also gzipped."""
    lists: dict[str, UrlListConfig] = {}
    """Single lists by category."""
    drop: list[str] = []
    """Categories whose pages are not read; the others are columns only."""

    @property
    def given(self) -> bool:
        """Whether there is any list."""
        return bool(self.ut1 or self.lists)


class Hashes(NamedTuple):
    """Sorted hashes, each with its category's number, and where each bucket, an equal stretch of all hashes, begins."""

    hashes: NDArray[np.uint64]
    categories: NDArray[np.uint16]
    buckets: NDArray[np.int32]


class UrlLists(NamedTuple):
    """All lists of a config, ready to be asked."""

    categories: tuple[str, ...]
    hosts: Hashes
    paths: Hashes
    words: tuple[tuple[int, WordList, int], ...]
    expressions: tuple[tuple[int, str], ...]


class _Entry(NamedTuple):
    category: str
    kind: ListKind
    path: Path
    min_hits: int


def open_url_lists(config: UrlListsConfig) -> UrlLists:
    """The lists of a config, loaded once a process while their files stay the same.

    Raises ConfigError, one line with the remedy: a folder or file is missing or has no entry, an expression is not
    RE2's, `drop` names a category no list has.
    """
    entries = _entries(config)
    stamps = tuple((entry.path.stat().st_size, entry.path.stat().st_mtime_ns) for entry in entries)
    return _opened(tuple(entries), stamps)


def url_list_digests(config: UrlListsConfig) -> list[list[str]]:
    """Category, kind and SHA-256 of every list, for fingerprints."""
    open_url_lists(config)
    return [
        [entry.category, entry.kind, _digest(entry.path, entry.path.stat().st_mtime_ns)] for entry in _entries(config)
    ]


def url_categories(urls: Sequence[str | None] | pa.Array, lists: UrlLists) -> pa.Array:
    """The categories of each URL, sorted: list<string>, empty where it is in none, null where it is null.

    A host lies in every domain that is a suffix of it at a dot; an address in every one that is a beginning of it at a
    slash, without scheme, port and www.; case counts nowhere.
    """
    from .text_kernels import as_strings
    from .url_kernels import find_listed

    array = as_strings(urls)
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    text = np.frombuffer(data if data is not None else b"", np.uint8)
    for part in (ends, text):
        part.setflags(write=False)
    present = array.is_valid().to_numpy(zero_copy_only=False)
    hosts, paths = lists.hosts, lists.paths
    found = find_listed(text, ends, present, hosts.hashes, hosts.buckets, paths.hashes, paths.buckets)
    pairs = [*_pairs(*found[:2], hosts), *_pairs(*found[2:], paths)]
    lowered = pc.utf8_lower(array) if lists.words or lists.expressions else array
    for category, words, min_hits in lists.words:
        row = np.flatnonzero(count_list(lowered, words)[0] >= min_hits)
        pairs.append(row << 16 | category)
    for category, expression in lists.expressions:
        hit = pc.fill_null(pc.match_substring_regex(lowered, expression), False)
        pairs.append(np.flatnonzero(hit.to_numpy(zero_copy_only=False)) << 16 | category)
    every = np.unique(np.concatenate(pairs)) if pairs else np.empty(0, np.int64)
    list_ends = np.searchsorted(every, np.arange(len(array) + 1, dtype=np.int64) << 16).astype(np.int32)
    names = pa.array(lists.categories, pa.string()).take(pa.array(every & 0xFFFF))
    return pa.ListArray.from_arrays(pa.array(list_ends), names, mask=pa.array(~present))


def _pairs(urls: NDArray[np.int64], places: NDArray[np.int64], table: Hashes) -> Iterator[NDArray[np.int64]]:
    """url << 16 | category of every hit; a hash stands once for each of its categories."""
    while len(urls):
        yield urls << 16 | table.categories[places]
        following = places + 1
        inside = following < len(table.hashes)
        urls, places, following = urls[inside], places[inside], following[inside]
        same = table.hashes[following] == table.hashes[places]
        urls, places = urls[same], following[same]


def _entries(config: UrlListsConfig) -> list[_Entry]:
    """Every list file of a config."""
    entries = [
        _Entry(category, entry.kind, Path(entry.path), entry.min_hits)
        for category, entry in sorted(config.lists.items())
    ]
    for folder in map(Path, config.ut1):
        if not folder.is_dir():
            raise ConfigError(f"gates.urls.ut1: {folder} is no folder; give one with <category>/domains files")
        found = [entry for path in sorted(folder.rglob("*")) if (entry := _ut1_entry(folder, path)) is not None]
        if not found:
            raise ConfigError(
                f"gates.urls.ut1: {folder} has no <category>/domains, urls or expressions; give UT1's folder"
            )
        entries += found
    for entry in entries:
        if not entry.path.is_file():
            raise ConfigError(f"gates.urls.lists.{entry.category}: {entry.path} is no file; give one entry a line")
    known = sorted({entry.category for entry in entries})
    for category in config.drop:
        if category not in known:
            raise ConfigError(f"gates.urls.drop: no list of {category!r}; known: {', '.join(known) or 'none'}")
    return entries


def _ut1_entry(folder: Path, path: Path) -> _Entry | None:
    """The entry of a file laid out as UT1's, None for any other; a link is left out, as UT1 has them as aliases."""
    name = path.name.removesuffix(".gz")
    category, _, kind = name.rpartition(".")
    if path.parent != folder:
        category = path.parent.relative_to(folder).as_posix() if not category else ""
    if not path.is_file() or path.parent.is_symlink() or not category or kind not in UT1_KINDS:
        return None
    return _Entry(category, kind, path, 1)


@lru_cache(maxsize=2)
def _opened(entries: tuple[_Entry, ...], stamps: tuple[tuple[int, int], ...]) -> UrlLists:
    categories = tuple(sorted({entry.category for entry in entries}))
    numbers = {category: number for number, category in enumerate(categories)}
    words, expressions = [], []
    for entry in entries:
        if entry.kind in ("words", "substrings"):
            whole = entry.kind == "words"
            automaton = open_list(ListConfig(path=str(entry.path), whole_latin=whole, ignore_case=True))
            words.append((numbers[entry.category], automaton, entry.min_hits))
        elif entry.kind == "expressions":
            expressions += [(numbers[entry.category], expression) for expression in _expressions(entry.path)]
    return UrlLists(
        categories,
        _hashes([entry for entry in entries if entry.kind == "domains"], numbers, backwards=True),
        _hashes([entry for entry in entries if entry.kind == "urls"], numbers, backwards=False),
        tuple(words),
        tuple(expressions),
    )


def _hashes(entries: Sequence[_Entry], numbers: Mapping[str, int], *, backwards: bool) -> Hashes:
    """The hashes of all lines of some files."""
    from .url_kernels import hash_lines

    hashes, categories = [np.empty(0, np.uint64)], [np.empty(0, np.uint16)]
    for entry in entries:
        found = np.concatenate([hash_lines(block, backwards) for block in _blocks(entry.path)])
        found.sort()  # in place: a list of millions stands in memory once
        found = found[np.append(True, found[1:] != found[:-1])[: len(found)]]
        if len(found) == 0:
            raise ConfigError(f"{entry.path}: has no entry; give one a line, or leave the list out")
        hashes.append(found)
        categories.append(np.full(len(found), numbers[entry.category], np.uint16))
    every, of = (
        (hashes[1], categories[1]) if len(entries) == 1 else (np.concatenate(hashes), np.concatenate(categories))
    )
    if len(entries) > 1:
        order = np.argsort(every, kind="stable")
        every, of = every[order], of[order]
    n_buckets = max(1, len(every) // BUCKET_ENTRIES)
    borders = -(-(np.arange(n_buckets, dtype=np.int64) << 32) // n_buckets)  # upper halves, rounded up
    buckets = np.append(np.searchsorted(every, borders.astype(np.uint64) << np.uint64(32)), len(every)).astype(np.int32)
    return Hashes(every, of, buckets)


def _blocks(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The bytes of a file in blocks of whole lines."""
    rest = b""
    try:
        with _open(path) as file:
            while block := file.read(BLOCK_BYTES):
                block = rest + block
                cut = block.rfind(b"\n") + 1
                rest = block[cut:]
                yield np.frombuffer(block[:cut], np.uint8)
    except (OSError, EOFError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); give a text file, or a whole .gz") from error
    yield np.frombuffer(rest, np.uint8)


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _expressions(path: Path) -> list[str]:
    """The expressions of a file, each tried."""
    text = b"".join(block.tobytes() for block in _blocks(path)).decode("utf-8", "replace")
    lines = [line.strip().lower() for line in text.splitlines()]
    for number, line in enumerate(lines, 1):
        if line and not line.startswith("#"):
            try:
                pc.match_substring_regex(pa.array(["x"]), line)
            except pa.ArrowInvalid as error:
                raise ConfigError(
                    f"{path}, line {number}: not an expression of RE2 ({error}); mend or drop it"
                ) from None
    return [line for line in lines if line and not line.startswith("#")]


@lru_cache(maxsize=256)
def _digest(path: Path, mtime_ns: int) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
