"""A directory of token shards: manifest checked, index in memory, tokens memory-mapped, documents' rows on demand."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seimai.errors import InputError, VerifyError
from seimai.files import merkle_root, read_json, sha256_file

from .store import LocalStore, Store, open_store

__all__ = ["FORMAT", "TokenShards", "Verify", "open_tokens"]

FORMAT = "seimai-tokens/1"
MAX_OPEN_SHARDS = 256
Int64s = NDArray[np.int64]
Tokens = NDArray[Any]
Verify = Literal["size", "hash"]


@dataclass
class TokenShards:
    """An opened directory; a document's number is its row over all shards in manifest order."""

    store: Store
    """Where the files lie."""
    manifest: dict[str, Any]
    n_tokens: NDArray[np.uint32]
    """Tokens of every document, BOS and EOS included."""
    held_out: NDArray[np.bool_]
    """Whether a document is for evaluation only."""
    source: NDArray[np.uint16]
    """Code of its source in the manifest."""
    lang: NDArray[np.uint16]
    """Code of its language in the manifest."""
    _open: OrderedDict[int, "_Shard"] = field(default_factory=OrderedDict)

    @property
    def root(self) -> str:
        """The Merkle root over all files: the name of the data set."""
        return str(self.manifest["merkle_root"])

    @property
    def tokenizer(self) -> dict[str, Any]:
        """fingerprint, vocab_size, bos_id, eos_id, pad_id."""
        return dict(self.manifest["tokenizer"])

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint16 or uint32."""
        dtype: np.dtype[Any] = np.dtype(self.manifest["dtype"])
        return dtype

    @cached_property
    def first_document(self) -> Int64s:
        """Number of the first document of every shard, and the number of all documents."""
        counts = [shard["documents"] for shard in self.manifest["shards"]]
        return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])

    def file(self, name: str) -> Path:
        """The local path of one of the manifest's files."""
        entry = self._files[name]
        return self.store.path(name, bytes=entry["bytes"], digest=entry["sha256"])

    @cached_property
    def _files(self) -> dict[str, dict[str, Any]]:
        return {file["path"]: file for file in self.manifest["files"]}

    def tokens(self, document: int, offset: int = 0, length: int | None = None) -> Tokens:
        """A view of a document's tokens [offset, offset + length), without a copy."""
        shard = int(np.searchsorted(self.first_document, document, "right")) - 1
        return self._shard(shard).tokens(document - int(self.first_document[shard]), offset, length)

    def gather(self, document: Int64s, offset: Int64s, length: Int64s, out: Tokens, place: Int64s) -> None:
        """Copy tokens [offset, offset + length) of every document to `out[place:]`, 0.3 µs a segment."""
        shards = np.searchsorted(self.first_document, document, "right") - 1
        size = self.dtype.itemsize
        target = out.data.cast("B")
        for number in np.unique(shards).tolist():
            mine = np.flatnonzero(shards == number)
            shard = self._shard(number)
            source = shard.values.data.cast("B")
            to, taken = size * place[mine], size * length[mine]
            first = size * (shard.begin[document[mine] - self.first_document[number]] + offset[mine])
            ends = (to + taken).tolist(), (first + taken).tolist()
            for a, b, c, d in zip(to.tolist(), ends[0], first.tolist(), ends[1], strict=True):
                target[a:b] = source[c:d]

    @property
    def indexed(self) -> tuple[str, ...]:
        """Columns of every document that need no shard."""
        return ("n_tokens", "split", "source", "lang")

    def index_column(self, name: str) -> pa.Array:
        """A column of the index over all documents: n_tokens int64; split, source and lang as texts by code."""
        if name == "n_tokens":
            return pa.array(self.n_tokens).cast(pa.int64())
        if name == "split":
            return pa.DictionaryArray.from_arrays(pa.array(self.held_out).cast(pa.int8()), ["train", "held_out"])
        codes, names = (self.source, "sources") if name == "source" else (self.lang, "langs")
        return pa.DictionaryArray.from_arrays(
            pa.array(codes.astype(np.int32)), pa.array(self.manifest[names], pa.string())
        )

    def docs_tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """These columns of docs-*.parquet, shard by shard in manifest order."""
        for described in self.manifest["shards"]:
            path = self.file(described["docs"])
            try:
                table = pq.read_table(path, columns=list(columns))
            except (OSError, pa.ArrowInvalid) as error:
                raise VerifyError(f"{path}: cannot be read ({_line(error)}); copy it again or encode again") from None
            if len(table) != described["documents"]:
                raise VerifyError(f"{path}: {len(table)} documents, the manifest says {described['documents']}")
            yield table

    def documents(self, numbers: Sequence[int] | Int64s, columns: Sequence[str]) -> list[dict[str, Any]]:
        """Rows of docs-*.parquet for document numbers, in their order."""
        asked = np.asarray(numbers, np.int64)
        shards = np.searchsorted(self.first_document, asked, "right") - 1
        found: dict[int, dict[str, Any]] = {}
        for shard in np.unique(shards).tolist():
            path = self.file(self.manifest["shards"][shard]["docs"])
            local = np.unique(asked[shards == shard]) - self.first_document[shard]
            rows = pq.read_table(path, columns=list(columns)).take(pa.array(local)).to_pylist()
            found |= zip((local + self.first_document[shard]).tolist(), rows, strict=True)
        return [found[number] for number in asked.tolist()]

    def _shard(self, number: int) -> "_Shard":
        shard = self._open.get(number)
        if shard is None:
            described = self.manifest["shards"][number]
            shard = _open_shard(self.file(described["tokens"]), described, self.dtype)
            self._open[number] = shard
            if len(self._open) > MAX_OPEN_SHARDS:
                self._open.popitem(last=False)
        self._open.move_to_end(number)
        return shard


@dataclass(frozen=True)
class _Shard:
    """One mapped file: all of it as tokens, and where in them every document begins and ends."""

    values: Tokens
    begin: Int64s
    end: Int64s

    def tokens(self, row: int, offset: int, length: int | None) -> Tokens:
        begin, end = int(self.begin[row]), int(self.end[row])
        end = end if length is None else min(end, begin + offset + length)
        return self.values[begin + offset : end]


def open_tokens(
    place: Path | str, *, verify: Verify = "size", cache_dir: Path | None = None, cache_bytes: int = 32 << 30
) -> TokenShards:
    """Open what `seimai encode` wrote; every file is checked by its size, or by its SHA-256 with verify="hash".

    `place` is a directory, or an address that fsspec reads: then files come into `cache_dir` when they are needed, at
    most `cache_bytes` of them, and each is checked by size and SHA-256 as it comes.
    Raises InputError where there is no such directory and VerifyError where files are missing or changed.
    """
    store = open_store(place, cache_dir=cache_dir, cache_bytes=cache_bytes)
    path = store.path("manifest.json")
    if not path.is_file():
        raise InputError(f"{place}: no manifest.json, so no token shards; `seimai encode RUN --out DIR` writes them")
    try:
        manifest = read_json(path)
    except ValueError as error:
        raise VerifyError(f"{path}: not JSON ({error}); encode again or copy the directory again") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise InputError(f"{path}: format {found!r}, not {FORMAT!r}; encode with this version of seimai")
    if merkle_root(file["sha256"] for file in manifest["files"]) != manifest["merkle_root"]:
        raise VerifyError(f"{path}: its files do not give its merkle_root; copy it again")
    if isinstance(store, LocalStore):
        _check_files(store.directory, manifest, verify)
    return _with_index(store, manifest)


def _check_files(directory: Path, manifest: dict[str, Any], verify: Verify) -> None:
    for file in manifest["files"]:
        path = directory / file["path"]
        if not path.is_file():
            raise VerifyError(f"{path}: missing, but in the manifest; copy the directory again or encode again")
        if path.stat().st_size != file["bytes"]:
            raise VerifyError(f"{path}: {path.stat().st_size} bytes, the manifest says {file['bytes']}; copy it again")
        if verify == "hash" and sha256_file(path) != file["sha256"]:
            raise VerifyError(f"{path}: its SHA-256 is not the manifest's; copy it again or encode again")


def _with_index(store: Store, manifest: dict[str, Any]) -> TokenShards:
    files = {file["path"]: file for file in manifest["files"]}
    entry = files.get("index.arrow", {"bytes": None, "sha256": None})
    path = store.path("index.arrow", bytes=entry["bytes"], digest=entry["sha256"])
    try:
        with pa.memory_map(str(path)) as file:
            index = pa.ipc.open_file(file).read_all()
        columns = {name: index[name].to_numpy() for name in ("n_tokens", "split", "source", "lang")}
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise VerifyError(f"{path}: cannot be read as the index ({_line(error)}); copy it again") from None
    expected = sum(shard["documents"] for shard in manifest["shards"])
    if index.num_rows != expected:
        raise VerifyError(f"{path}: {index.num_rows} documents, the shards have {expected}; encode again")
    held_out = columns["split"] == 1
    return TokenShards(store, manifest, columns["n_tokens"], held_out, columns["source"], columns["lang"])


def _open_shard(path: Path, described: dict[str, Any], dtype: np.dtype[Any]) -> _Shard:
    try:
        mapped = pa.memory_map(str(path))
        reader = pa.ipc.open_file(mapped)
        arrays = [reader.get_batch(number).column("tokens") for number in range(reader.num_record_batches)]
        stored = [array.values.to_numpy(zero_copy_only=True) for array in arrays]
        offsets = [array.offsets.to_numpy(zero_copy_only=True) for array in arrays]
        mapped.seek(0)
        whole = mapped.read_buffer(mapped.size() // dtype.itemsize * dtype.itemsize)
    except (OSError, pa.ArrowInvalid, KeyError, AttributeError) as error:
        raise VerifyError(f"{path}: cannot be read as a token shard ({_line(error)}); copy it again") from None
    if sum(map(len, arrays)) != described["documents"] or any(values.dtype != dtype for values in stored):
        raise VerifyError(f"{path}: not the documents or the type the manifest says; copy it again or encode again")
    # Arrow aligns its buffers to 8 bytes, so a batch's tokens stand at a whole number of tokens in the file.
    firsts = [(values.ctypes.data - whole.address) // dtype.itemsize for values in stored]
    begin = np.concatenate([np.empty(0, np.int64), *(o[:-1] + f for o, f in zip(offsets, firsts, strict=True))])
    end = np.concatenate([np.empty(0, np.int64), *(o[1:] + f for o, f in zip(offsets, firsts, strict=True))])
    return _Shard(np.frombuffer(whole, dtype), begin, end)


def _line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
