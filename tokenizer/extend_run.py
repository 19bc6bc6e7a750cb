"""A base vocabulary and text sources or counts in; the extension with its proof out."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from seimai.errors import ConfigError
from seimai.pipeline.progress import Progress, Silent

from .base import Base
from .count_sample import CountSettings
from .counts import load_counts_manifest, read_counts
from .extend import extend
from .sources import HELD_OUT, HeldOut, PartMap, batches, open_sources
from .train import counts_path

__all__ = ["extend_from"]

PROOF_BYTES = 8_000_000
"""Most held-out text that the proof reads."""


def extend_from(
    base: Base,
    out: Path,
    n_tokens: int,
    *,
    source: Sequence[Path] = (),
    counts: Path | None = None,
    proof: Sequence[Path] = (),
    more_proof: Iterable[str] = (),
    counting: CountSettings,
    field: str = "text",
    held_out: HeldOut = HELD_OUT,
    part_map: PartMap = map,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Count the sources beside `out` (or read `counts`), then `extend`; what was proven, by name.

    The proof reads the held-out documents of `source`, all documents of `proof`, and `more_proof`.
    """
    from .count_job import count_fingerprint, count_sources

    if bool(source) == (counts is not None):
        raise ConfigError("give either --source with text to learn from, or --counts")
    told = progress or Silent()
    if counts is None:
        shards = open_sources(list(source), field=field, held_out=held_out)
        counts = counts_path(out, count_fingerprint(shards, counting))
        count_sources(shards, counts, counting, part_map=part_map, progress=told)
    manifest = load_counts_manifest(counts)
    facts = {"counts": {"fingerprint": manifest["fingerprint"], "sha256": manifest["files"][0]["sha256"]}}
    facts["sample"] = manifest["sample"]
    texts = chain(_proof_texts(source, proof, field, held_out), more_proof)
    return extend(base, read_counts(counts), out, n_tokens, texts=texts, facts=facts)


def _proof_texts(source: Sequence[Path], proof: Sequence[Path], field: str, held_out: HeldOut) -> Iterator[str]:
    read = 0
    for paths, only_held_out in ((source, True), (proof, False)):
        for shard in open_sources(list(paths), field=field, held_out=held_out) if paths else ():
            for batch in batches(shard, ("split", "text")):
                rows = batch.filter(pc.equal(batch.column("split"), "held_out")) if only_held_out else batch
                for text in rows.column("text").to_pylist():
                    if read < PROOF_BYTES:
                        read += len(text.encode())
                        yield text
