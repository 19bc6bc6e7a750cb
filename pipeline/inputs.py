"""What a user names (paths, globs, URLs) in; sorted archives with source keys and the parts to read them in out."""

import glob
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, BinaryIO

from pydantic import Field

from seimai.config import Section
from seimai.errors import InputError

__all__ = ["InputConfig", "Part", "Source", "find_sources", "open_source", "parts_of", "source_key"]

_LIMITED_HOST = "commoncrawl.org"


class InputConfig(Section):
    """Section [input]: the archives of a run and how they are cut into parts."""

    paths: list[str] = []
    """WARC or WET files: paths, globs, fsspec or http(s) URLs; `--input` wins over them."""
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


@dataclass(frozen=True, slots=True)
class Source:
    """One archive: its key (the same wherever it lies), where it lies, its size, and a stamp that tells changes."""

    key: str
    place: str
    size: int
    stamp: str
    contact: str = ""

    @property
    def key_hash(self) -> str:
        """First 16 hex digits of the key's BLAKE2b, which begin the names of its parts."""
        return blake2b(self.key.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Part:
    """The members of an archive that start in [start, stop)."""

    source: Source
    start: int
    stop: int

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


def find_sources(config: InputConfig, names: Sequence[str] = ()) -> list[Source]:
    """Every archive named, sorted by key, each looked at: it must exist, hold bytes and be a WARC.

    Raises InputError, one line: the name, what is wrong with it, and the remedy.
    """
    wanted = list(names) or config.paths
    if not wanted:
        raise InputError("no input: give --input PATH_OR_GLOB or [input] paths in the config")
    found: dict[str, Source] = {}
    for place in (place for name in wanted for place in _expand(name)):
        source = _look(place, config)
        other = found.get(source.key)
        if other is not None and other.place != source.place and not _same(other, source):
            raise InputError(
                f"{other.place} and {source.place} have the same source key {source.key!r} but different content; "
                "set input.root to the folder above both"
            )
        found.setdefault(source.key, source)
    return [found[key] for key in sorted(found)]


def parts_of(source: Source, part_bytes: int) -> Iterator[Part]:
    """The parts of an archive, in order; a plain archive (without compression) is one."""
    if source.stamp.startswith("plain"):
        yield Part(source, 0, source.size)
        return
    for start in range(0, source.size, part_bytes):
        yield Part(source, start, min(start + part_bytes, source.size))


def open_source(source: Source) -> BinaryIO:
    """The archive's bytes, seekable.  Raises InputError when it is gone."""
    try:
        if "://" not in source.place:
            return open(source.place, "rb")
        filesystem, path = _filesystem(source.place, source.contact)
        opened: BinaryIO = filesystem.open(path, "rb", block_size=4 << 20, cache_type="readahead")
        return opened
    except FileNotFoundError:
        raise InputError(f"{source.place}: was there when the run began and is gone; put it back") from None


def _expand(name: str) -> list[str]:
    if "://" in name:
        filesystem, path = _filesystem(name, "")
        if not glob.has_magic(path) or name.startswith(("http://", "https://")):
            return [name]
        matches = sorted(str(filesystem.unstrip_protocol(match)) for match in filesystem.glob(path))
    elif glob.has_magic(name) and not os.path.exists(name):
        matches = sorted(match for match in glob.glob(name, recursive=True) if os.path.isfile(match))
    else:
        return [name]
    if not matches:
        raise InputError(f"{name}: no file matches; check the pattern (quote it, so that the shell leaves it alone)")
    return matches


def _look(place: str, config: InputConfig) -> Source:
    remote = "://" in place
    host = place.split("/")[2] if remote else ""
    if (host == _LIMITED_HOST or host.endswith("." + _LIMITED_HOST)) and not config.contact:
        raise InputError(f"{place}: set input.contact (--set input.contact=you@example.org): Common Crawl asks for it")
    try:
        size, stamp = _remote_stat(place, config.contact) if remote else _local_stat(place)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{place}: no such file; check --input") from None
    except PermissionError:
        raise InputError(f"{place}: not readable; check its permissions") from None
    if size == 0:
        raise InputError(f"{place}: is empty; fetch it again or leave it out")
    # Workers of a cluster may stand in another folder.
    whole = place if remote else os.path.abspath(place)
    source = Source(source_key(place, config.root), whole, size, stamp, config.contact)
    with open_source(source) as file:
        head = file.read(4096)
    if head.startswith(b"WARC/"):
        return Source(source.key, whole, size, f"plain {stamp}", config.contact)
    if not _gzipped_warc(head):
        raise InputError(f"{place}: is not a WARC or WET archive; leave it out")
    return source


def _gzipped_warc(head: bytes) -> bool:
    """Whether a file that begins so is worth reading: a gzip member of WARC, or gzip damaged at its very start."""
    if not head.startswith(b"\x1f\x8b"):
        return False
    try:
        return zlib.decompressobj(31).decompress(head, 64).startswith(b"WARC/")
    except zlib.error:
        return True


def _local_stat(place: str) -> tuple[int, str]:
    if os.path.isdir(place):
        raise InputError(f"{place}: is a folder; name its archives, for example '{place.rstrip('/')}/*.warc.gz'")
    stat = os.stat(place)
    return stat.st_size, f"{stat.st_size} {stat.st_mtime_ns}"


def _remote_stat(place: str, contact: str) -> tuple[int, str]:
    filesystem, path = _filesystem(place, contact)
    try:
        info = filesystem.info(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{place}: cannot be reached: {error}; check the address and the network") from None
    if not info.get("size"):
        raise InputError(f"{place}: the server does not tell its size; download the file first")
    tag = info.get("ETag") or info.get("etag") or info.get("mtime") or info.get("LastModified") or ""
    return int(info["size"]), f"{info['size']} {tag}"


def _filesystem(place: str, contact: str) -> tuple[Any, str]:
    import fsspec

    from seimai import __version__

    options: dict[str, Any] = {}
    if place.startswith(("http://", "https://")):
        agent = f"seimai/{__version__}" + (f" ({contact})" if contact else "")
        options = {"client_kwargs": {"headers": {"User-Agent": agent}}}
    try:
        filesystem, path = fsspec.core.url_to_fs(place, **options)
    except (ImportError, ValueError) as error:
        raise InputError(f"{place}: {error}") from None
    return filesystem, str(path)


def _same(a: Source, b: Source) -> bool:
    if a.size != b.size:
        return False
    with open_source(a) as file_a, open_source(b) as file_b:
        while block := file_a.read(1 << 20):
            if block != file_b.read(len(block)):
                return False
    return True
