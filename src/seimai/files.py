"""Files that are whole or absent: atomic writes, SHA-256, canonical JSON, Merkle roots."""

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["atomic", "canonical_json", "fingerprint", "merkle_root", "read_json", "sha256_file", "write_atomic"]

CHUNK_BYTES = 1 << 20


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, so that equal values have equal text.

    >>> canonical_json({"b": 1, "a": "精米"})
    '{"a":"精米","b":1}'
    """
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(value: Any) -> str:
    """SHA-256 (hex) of a value's canonical JSON.

    >>> fingerprint({"a": 1}) == fingerprint({"a": 1.5})
    False
    """
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def merkle_root(digests: Iterable[str]) -> str:
    """Root of the binary Merkle tree over hex digests, in the order given; an odd last node moves up as it is.

    Leaves are hashed with a leading byte 0 and inner nodes with 1, so that no inner node can stand for a leaf
    (RFC 6962, section 2.1). The root of nothing is the SHA-256 of nothing.

    >>> merkle_root([])[:8], merkle_root(["00" * 32]) == merkle_root(["11" * 32])
    ('e3b0c442', False)
    """
    level = [hashlib.sha256(b"\x00" + bytes.fromhex(digest)).digest() for digest in digests]
    if not level:
        return hashlib.sha256(b"").hexdigest()
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [hashlib.sha256(b"\x01" + b"".join(pair)).digest() if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0].hex()


@contextmanager
def atomic(path: Path, *, flush: bool = True) -> Iterator[Path]:
    """A temporary name beside `path`; on leaving, the finished file takes its place, on an error it is removed.

    The file is flushed to disk before it is renamed, so that a power cut leaves the old file or the new one; without
    `flush` it may leave a torn one, which whoever reads it must notice.
    Temporary names begin with a dot and are unique, so that two writers of one file never share one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
        if flush:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes | str, *, flush: bool = True) -> None:
    """Put `data` (text as UTF-8) at `path`, whole or not at all; `flush` as in `atomic`."""
    with atomic(path, flush=flush) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


def read_json(path: Path) -> Any:
    """The JSON value in a UTF-8 file."""
    return json.loads(path.read_text(encoding="utf-8"))
