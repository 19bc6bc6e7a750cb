"""What a user names (paths, globs, URLs) in; sorted archives with source keys and the parts to read them in out."""

import glob
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import BinaryIO, Protocol

from pydantic import Field

from seimai.config import Section
from seimai.errors import InputError

from .coalesce import Member
from .credentials import refuse_credentials
from .fetch_config import Access, FetchConfig, access_of
from .fetch_http import FetchError
from .fetch_list import chosen, is_list, list_address, listed_places, months
from .fetch_remote import filesystem_of, look_at, matches_of, open_remote
from .rows import FieldsConfig, row_kind

__all__ = [
    "UNKNOWN",
    "InputConfig",
    "Part",
    "Ranges",
    "Source",
    "ask_for_contact",
    "find_sources",
    "open_source",
    "parts_of",
    "source_key",
    "wanted_bytes",
]

UNKNOWN = -1
"""Size of an archive that nobody has looked at yet."""
ROW_PARTS = 8
"""Parts of a file of lines: each reads the file from its beginning, because rows are numbered from there."""
NO_ACCESS = Access()
NO_FETCH = FetchConfig()
_LIMITED_HOST = "commoncrawl.org"


class InputConfig(Section):
    """Section [input]: the archives of a run and how they are cut into parts."""

    paths: list[str] = []
    """WARC or WET files: paths, globs, fsspec or http(s) URLs, a crawl's name (CC-MAIN-2024-51, CC-NEWS-2024-05,
    CC-NEWS-2024-09..2024-11) or a list of paths (warc.paths.gz); `--input` wins over them."""
    root: str = ""
    """Folder that source keys are relative to; empty: from `crawl-data/` on, else the file's name."""
    name: str = ""
    """Name of the source in every document; empty: the crawl's snapshot name."""
    contact: str = ""
    """Mail address or page put into the User-Agent; required for commoncrawl.org."""
    part_bytes: int = Field(default=4 << 20, ge=1)
    """Compressed bytes of an archive in one part, the unit of work and of resuming; a whole dump wants 64 MiB."""
    max_record_bytes: int = Field(default=16 << 20, ge=1024)
    """Bytes of a record that are read; the rest is cut and the page marked as truncated."""
    fields: FieldsConfig = FieldsConfig()
    """What stands where in files of rows."""


@dataclass(frozen=True, slots=True)
class Source:
    """One archive: its key (the same wherever it lies), where it lies, its size, and a stamp that tells changes.

    `copy` is the path of a local copy of a remote archive, while there is one. `ranges` (start, stop, members) are
    what a plan wants of the archive; none: all of it.
    """

    key: str
    place: str
    size: int
    stamp: str
    access: Access = NO_ACCESS
    copy: str = ""
    ranges: "Ranges | None" = None

    @property
    def key_hash(self) -> str:
        """First 16 hex digits of the key's BLAKE2b, which begin the names of its parts."""
        return blake2b(self.key.encode(), digest_size=8).hexdigest()


class Ranges(Protocol):
    """Some ranges of an archive, in order, with the records that are wanted of each."""

    def __iter__(self) -> Iterator[tuple[int, int, tuple[Member, ...]]]: ...


@dataclass(frozen=True, slots=True)
class Part:
    """The members of an archive that start in [start, stop); of them only `members`, where a plan names some."""

    source: Source
    start: int
    stop: int
    members: tuple[Member, ...] = ()

    @property
    def name(self) -> str:
        """File name of the part in a run directory."""
        return f"{self.source.key_hash}-{self.start:013d}"


def source_key(place: str, root: str = "") -> str:
    """The key of an archive: its path under the root or snapshot, the same for a local copy, https and s3.

    >>> source_key("https://data.commoncrawl.org/crawl-data/CC-MAIN-2024-51/warc/x.warc.gz")
    'crawl-data/CC-MAIN-2024-51/warc/x.warc.gz'
    >>> source_key("/copies/x.warc.gz"), source_key("/copies/a/x.warc.gz", root="/copies")
    ('x.warc.gz', 'a/x.warc.gz')
    """
    path = place if "://" in place else os.path.abspath(place)
    folder = root if not root or "://" in root else os.path.abspath(root)
    if folder and path.startswith(folder.rstrip("/") + "/"):
        return path[len(folder.rstrip("/")) + 1 :]
    found = re.search(r"(?:^|/)(crawl-data/.+)$", path)
    return found.group(1) if found else path.rstrip("/").rsplit("/", 1)[-1]


def find_sources(config: InputConfig, names: Sequence[str] = (), fetch: FetchConfig = NO_FETCH) -> list[Source]:
    """Every archive named, sorted by key, each looked at: it must exist, hold bytes and be a WARC.

    Remote archives that only a list names are not looked at: their size is UNKNOWN until they are fetched.
    Raises InputError, one line: the name, what is wrong with it, and the remedy.
    """
    wanted = list(names) or config.paths
    if not wanted:
        raise InputError("no input: give --input PATH_OR_GLOB or [input] paths in the config")
    access = access_of(fetch, config.contact)
    found: dict[str, Source] = {}
    for name in wanted:
        refuse_credentials(name, InputError)
    wanted = [each for name in wanted for each in months(name)]
    places = [(place, is_list(name)) for name in wanted for place in _named(name, access, fetch)]
    keys = (source_key(place, config.root) for place, _ in places)
    kept = chosen(keys, sample=fetch.sample, seed=fetch.seed, limit=fetch.limit)
    for place, listed in places:
        key = source_key(place, config.root)
        if key not in kept or (key in found and found[key].place == place):
            continue
        if listed and "://" in place:
            source = Source(key, place, UNKNOWN, "", access)
        else:
            source = _look(place, config, access)
        other = found.get(source.key)
        unknown = other is not None and UNKNOWN in (other.size, source.size)
        if other is not None and other.place != source.place and (unknown or not _same(other, source)):
            raise InputError(
                f"{other.place} and {source.place} have the same source key {source.key!r} but different content; "
                "set input.root to the folder above both"
            )
        found.setdefault(source.key, source)
    return [found[key] for key in sorted(found)]


def parts_of(source: Source, part_bytes: int) -> Iterator[Part]:
    """The parts of an archive, in order; a plain archive (without compression) is one, a plan's range is one."""
    if source.ranges is not None:
        bare = replace(source, ranges=None)  # a task needs its own part's records only
        for start, stop, members in source.ranges:
            yield Part(bare, start, stop, members)
        return
    if source.stamp.startswith("plain"):
        yield Part(source, 0, source.size)
        return
    if row_kind(source.key) not in ("", "parquet"):
        part_bytes = max(part_bytes, -(-source.size // ROW_PARTS))
    for start in range(0, source.size, part_bytes):
        yield Part(source, start, min(start + part_bytes, source.size))


def wanted_bytes(source: Source) -> int:
    """Bytes that a run asks for of an archive: all of it (maybe UNKNOWN), or its ranges."""
    return source.size if source.ranges is None else sum(stop - start for start, stop, _ in source.ranges)


def open_source(source: Source, span: tuple[int, int] | None = None) -> BinaryIO:
    """The archive's bytes, seekable; `span` is what will be read for certain.  Raises InputError when it is gone."""
    place = source.copy if source.copy and os.path.exists(source.copy) else source.place
    try:
        return open_remote(place, source.access, source.size, span) if "://" in place else open(place, "rb")
    except FileNotFoundError:
        raise InputError(f"{source.place}: was there when the run began and is gone; put it back") from None


def _named(name: str, access: Access, fetch: FetchConfig) -> list[str]:
    """The places of the archives that a name stands for."""
    if not is_list(name):
        return _expand(name)
    address, _ = list_address(name, fetch)
    ask_for_contact(address, access)
    return listed_places(name, fetch, access)


def ask_for_contact(place: str, access: Access) -> None:
    """Raise InputError for an address of Common Crawl when nobody to write to is named."""
    host = place.split("/")[2] if "://" in place else ""
    if (host == _LIMITED_HOST or host.endswith("." + _LIMITED_HOST)) and not access.contact:
        raise InputError(f"{place}: set input.contact (--set input.contact=you@example.org): Common Crawl asks for it")


def _expand(name: str) -> list[str]:
    if "://" in name:
        if name.startswith(("http://", "https://")):
            return [name]
        if not glob.has_magic(filesystem_of(name)[1]):
            return [name]
        try:
            matches = matches_of(name)
        except OSError as error:
            raise _unreached(name, error) from None
    elif glob.has_magic(name) and not os.path.exists(name):
        matches = sorted(match for match in glob.glob(name, recursive=True) if os.path.isfile(match))
    else:
        return [name]
    if not matches:
        raise InputError(f"{name}: no file matches; check the pattern (quote it, so that the shell leaves it alone)")
    return matches


def _look(place: str, config: InputConfig, access: Access) -> Source:
    remote = "://" in place
    ask_for_contact(place, access)
    try:
        size, stamp = _remote_stat(place, access) if remote else _local_stat(place)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{place}: no such file; check --input") from None
    except PermissionError:
        raise InputError(f"{place}: not readable; check its permissions") from None
    if size == 0:
        raise InputError(f"{place}: is empty; fetch it again or leave it out")
    # Workers of a cluster may stand in another folder.
    whole = place if remote else os.path.abspath(place)
    source = Source(source_key(place, config.root), whole, size, stamp, access)
    with open_source(source, (0, min(4096, size))) as file:
        head = file.read(4096)
    if kind := row_kind(source.key):
        if kind == "parquet" and not head.startswith(b"PAR1"):
            raise InputError(f"{place}: is not a Parquet file; leave it out, or name it after what it is")
        return source
    if head.startswith(b"WARC/"):
        return replace(source, stamp=f"plain {stamp}")
    if not _gzipped_warc(head):
        raise InputError(
            f"{place}: is not a WARC or WET archive, nor named as .jsonl, .parquet, .txt or .xml; leave it out"
        )
    return source


def _gzipped_warc(head: bytes) -> bool:
    """Whether a file that begins so is worth reading: a gzip member of WARC, or gzip damaged at its very start."""
    if not head.startswith(b"\x1f\x8b"):
        return False
    inflater = zlib.decompressobj(31)
    try:
        first = inflater.decompress(head, 64)
        return first.startswith(b"WARC/") or not (first or inflater.eof)  # its header may be longer than what we have
    except zlib.error:
        return True


def _local_stat(place: str) -> tuple[int, str]:
    if os.path.isdir(place):
        raise InputError(f"{place}: is a folder; name its archives, for example '{place.rstrip('/')}/*.warc.gz'")
    stat = os.stat(place)
    return stat.st_size, f"{stat.st_size} {stat.st_mtime_ns}"


def _remote_stat(place: str, access: Access) -> tuple[int, str]:
    try:
        remote = look_at(place, access)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreached(place, error) from None
    return remote.size, f"{remote.size} {remote.tag}"


def _unreached(place: str, error: OSError) -> InputError:
    """What to say of an address that did not answer."""
    if isinstance(error, FetchError | PermissionError):
        return InputError(str(error))
    return InputError(f"{place}: cannot be reached: {error}; check the address and the network")


def _same(a: Source, b: Source) -> bool:
    if a.size != b.size:
        return False
    with open_source(a) as file_a, open_source(b) as file_b:
        while block := file_a.read(1 << 20):
            if block != file_b.read(len(block)):
                return False
    return True
