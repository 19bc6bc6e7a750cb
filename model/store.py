"""Where token shards lie: a local directory, or a place that fsspec reads, brought here file by file."""

import os
import shutil
from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from seimai.errors import ConfigError, InputError, VerifyError
from seimai.files import atomic

__all__ = ["LocalStore", "RemoteStore", "Store", "is_remote", "open_store"]

BLOCK_BYTES = 1 << 22


class Store(Protocol):
    """Gives a file of the data set as a local path."""

    @property
    def name(self) -> str:
        """The place, for messages."""

    def path(self, file: str, *, bytes: int | None = None, digest: str | None = None) -> Path:
        """The local path of a file; its size and SHA-256 are checked when it is brought here."""


@dataclass(frozen=True)
class LocalStore:
    """A directory of this machine."""

    directory: Path

    @property
    def name(self) -> str:
        """The directory."""
        return str(self.directory)

    def path(self, file: str, *, bytes: int | None = None, digest: str | None = None) -> Path:
        """The file in the directory; nothing is checked."""
        return self.directory / file


@dataclass
class RemoteStore:
    """A directory that fsspec reads; files come here when they are asked for, the least recently used leave.

    A file that leaves stays readable for whoever has it open. `max_bytes` bounds the cache to it and one file more.
    """

    url: str
    cache: Path
    max_bytes: int
    _held: OrderedDict[str, int] = field(default_factory=OrderedDict)

    @property
    def name(self) -> str:
        """The address without credentials: they come from the environment only."""
        return self.url

    def path(self, file: str, *, bytes: int | None = None, digest: str | None = None) -> Path:
        """The local copy; VerifyError where what came is not the manifest's, InputError where nothing comes."""
        # Named by content, so that a data set written anew never meets an old file; the manifest always comes again.
        local = self.cache / (f"{digest[:16]}.{file}" if digest else file)
        if digest is None or not local.is_file() or local.stat().st_size != bytes:
            self._fetch(file, local, bytes, digest)
        self._held[local.name] = local.stat().st_size
        self._held.move_to_end(local.name)
        while sum(self._held.values()) > self.max_bytes and len(self._held) > 1:
            oldest, _ = self._held.popitem(last=False)
            (self.cache / oldest).unlink(missing_ok=True)
        return local

    def _fetch(self, file: str, local: Path, bytes: int | None, digest: str | None) -> None:
        place = f"{self.url.rstrip('/')}/{file}"
        hashed = sha256()
        try:
            with _fsspec().open(place, "rb") as source, atomic(local) as temporary, temporary.open("wb") as target:
                while block := source.read(BLOCK_BYTES):
                    hashed.update(block)
                    target.write(block)
                got = target.tell()
                if bytes is not None and got != bytes:
                    raise VerifyError(f"{place}: {got} bytes came, the manifest says {bytes}; type the command again")
                if digest is not None and hashed.hexdigest() != digest:
                    raise VerifyError(f"{place}: its SHA-256 is not the manifest's; copy it again or encode again")
        except FileNotFoundError:
            raise InputError(f"{place}: not found; give the folder that `seimai encode` wrote") from None
        except (OSError, ValueError) as error:
            if local.parent.is_dir() and not os.access(local.parent, os.W_OK):
                raise InputError(f"{local.parent}: cannot be written; set data.cache_dir") from None
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{place}: cannot be read ({said}); type the same command again") from None


def is_remote(place: Path | str) -> bool:
    """Whether a place is an address, not a path.

    >>> is_remote("s3://bucket/tokens"), is_remote("tokens"), is_remote(Path("/data"))
    (True, False, False)
    """
    return isinstance(place, str) and "://" in place


def open_store(place: Path | str, *, cache_dir: Path | None = None, cache_bytes: int = 32 << 30) -> Store:
    """The store of a path or an address; the cache of an address is `cache_dir`, emptied of what is not its own."""
    if not is_remote(place):
        return LocalStore(Path(place))
    if cache_dir is None:
        raise ConfigError(f"{place}: data.cache_dir is missing; set it to a folder of this machine for the shards")
    store = RemoteStore(str(place), cache_dir, cache_bytes)
    owner = cache_dir / "of"
    if not owner.is_file() or owner.read_text(encoding="utf-8") != store.url:
        if cache_dir.is_dir() and any(cache_dir.iterdir()) and not owner.is_file():
            raise ConfigError(f"data.cache_dir = {cache_dir}: holds something else; give a new folder")
        shutil.rmtree(cache_dir, ignore_errors=True)
        cache_dir.mkdir(parents=True)
        owner.write_text(store.url, encoding="utf-8")
    # What an earlier training left is used again; oldest first.
    left = [path for path in cache_dir.iterdir() if path.is_file() and path.name != "of"]
    for path in sorted(left, key=lambda path: (path.stat().st_atime_ns, path.name)):
        store._held[path.name] = path.stat().st_size
    return store


def _fsspec() -> Any:
    try:
        import fsspec
    except ModuleNotFoundError:
        raise ConfigError("fsspec is missing; pip install fsspec to read token shards by their address") from None
    return fsspec
