"""The name of a crawl or a list of paths in; the archives it stands for out, drawn and cut as the config says."""

import gzip
import re
import zlib
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

from seimai.errors import InputError

from .fetch_config import Access, FetchConfig
from .fetch_http import FetchError
from .fetch_remote import copy_place, look_at

__all__ = ["chosen", "is_list", "list_address", "listed_places", "months", "read_place"]

_CRAWL = re.compile(r"CC-MAIN-\d{4}-\d{2}")
_NEWS = re.compile(r"CC-NEWS[-/](\d{4})[-/](0[1-9]|1[0-2])")
_MONTHS = re.compile(rf"{_NEWS.pattern}\.\.(\d{{4}})[-/](0[1-9]|1[0-2])")
_PATH = re.compile(r"(?:[A-Za-z0-9_+=-][A-Za-z0-9_.+=-]*/)*[A-Za-z0-9_+=-][A-Za-z0-9_.+=-]*")
MAX_LIST_BYTES = 256 << 20


def is_list(name: str) -> bool:
    """Whether a name stands for archives listed elsewhere.

    >>> [is_list(name) for name in ("CC-MAIN-2024-51", "CC-NEWS-2024-05", "x/warc.paths.gz", "x.warc.gz")]
    [True, True, True, False]
    """
    return bool(_CRAWL.fullmatch(name) or _NEWS.fullmatch(name)) or name.endswith((".paths", ".paths.gz"))


def months(name: str) -> list[str]:
    """The months of news that a name stands for; any other name as it is.  Raises InputError for what is no month.

    >>> months("CC-NEWS-2024-11..2025-01"), months("x.warc.gz")
    (['CC-NEWS-2024-11', 'CC-NEWS-2024-12', 'CC-NEWS-2025-01'], ['x.warc.gz'])
    """
    if not re.match(r"CC-NEWS(?![^-/])", name) or _NEWS.fullmatch(name) or name.endswith((".paths", ".gz")):
        return [name]
    found = _MONTHS.fullmatch(name)
    first, last = (int(found[at]) * 12 + int(found[at + 1]) - 1 for at in (1, 3)) if found else (1, 0)
    if first > last:
        raise InputError(f"{name}: is no month of news; write CC-NEWS-2024-11, or CC-NEWS-2024-09..2024-11 for several")
    return [f"CC-NEWS-{month // 12:04d}-{month % 12 + 1:02d}" for month in range(first, last + 1)]


def list_address(name: str, config: FetchConfig, kind: str = "") -> tuple[str, str]:
    """Where the list of a name lies, and what its paths are relative to.

    >>> list_address("CC-MAIN-2024-51", FetchConfig())[0]
    'https://data.commoncrawl.org/crawl-data/CC-MAIN-2024-51/warc.paths.gz'
    """
    base = config.base if config.base.endswith("/") else config.base + "/"
    if _CRAWL.fullmatch(name):
        return f"{base}crawl-data/{name}/{kind or config.kind}.paths.gz", base
    if news := _NEWS.fullmatch(name):
        if (kind or config.kind) != "warc":
            raise InputError(f"{name}: CC-NEWS has WARC files only; leave fetch.kind = {config.kind!r} away")
        return f"{base}crawl-data/CC-NEWS/{news[1]}/{news[2]}/warc.paths.gz", base
    prefix, found, _ = name.rpartition("crawl-data/")
    return name, prefix if found and (prefix or "://" in name) else base


def listed_places(name: str, config: FetchConfig, access: Access, kind: str = "") -> list[str]:
    """The addresses or paths that a name stands for, in the order of the list.

    Raises InputError, one line, when the list is not there or holds what is no path of an archive.
    """
    address, base = list_address(name, config, kind)
    data = read_place(address, access)
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            raise InputError(f"{address}: is a damaged list; fetch it again") from None
    lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    for line in lines:
        if not _PATH.fullmatch(line) or line.endswith((".paths", ".paths.gz")):
            raise InputError(f"{address}: {line[:100]!r} is no path below {base}; give a list of archives")
    if not lines:
        raise InputError(f"{address}: is an empty list")
    return [base + line for line in lines]


def chosen(keys: Iterable[str], *, sample: int, seed: int, limit: int) -> set[str]:
    """The keys that a draw of `sample` and then the first `limit` in order leave; 0 leaves all.

    A key is drawn by its own hash, so the draw does not depend on the order of the list.

    >>> sorted(chosen(["a", "b", "c", "d"], sample=3, seed=1, limit=2))
    ['b', 'c']
    """
    found = sorted(set(keys))
    if sample:
        salt = f"{seed}\n".encode()
        found = sorted(sorted(found, key=lambda key: blake2b(salt + key.encode(), digest_size=8).digest())[:sample])
    return set(found[:limit] if limit else found)


def read_place(place: str, access: Access) -> bytes:
    """A small file (a list), wherever it lies.  Raises InputError when it is not there."""
    try:
        if "://" not in place:
            return Path(place).read_bytes()
        remote = look_at(place, access)
        if remote.size > MAX_LIST_BYTES:
            raise InputError(f"{place}: {remote.size:,} bytes are no list; look at the address")
        data = bytearray()
        copy_place(place, data.extend, 0, remote.size, access, size=remote.size)
        return bytes(data)
    except FileNotFoundError:
        raise InputError(f"{place}: no such list; look at the name of the crawl, and at fetch.base") from None
    except IsADirectoryError:
        raise InputError(f"{place}: is a folder; give a list of paths") from None
    except FetchError as error:
        raise InputError(str(error)) from None
