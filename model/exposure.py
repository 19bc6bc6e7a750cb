"""Which steps of a training saw the documents of an address, a domain or an id; order.json and the shards suffice."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seimai.errors import InputError

from .metrics import read_metrics
from .shards import TokenShards
from .trace import order_from

__all__ = ["Exposure", "exposures", "matching_documents"]


@dataclass(frozen=True)
class Exposure:
    """One document of those asked for."""

    document: int
    """Row number over all token shards."""
    id: str
    """Its id."""
    url: str | None
    """Where it was found."""
    split: str
    """train, or held_out, which no step sees."""
    steps: tuple[int, ...]
    """0-based steps that trained it, in order; empty where none did."""
    clean_checkpoint: int | None
    """Steps of the last checkpoint that has not seen it; None where none is kept."""


def exposures(
    model_dir: Path,
    *,
    urls: Sequence[str] = (),
    domains: Sequence[str] = (),
    ids: Sequence[str] = (),
    data: Path | None = None,
    steps: int | None = None,
) -> list[Exposure]:
    """The documents of these addresses, domains (with all their subdomains) and ids, in order of document.

    `steps` are those finished so far unless given. InputError where no document of the data set matches.
    """
    order = order_from(model_dir, data)
    done = len(read_metrics(model_dir / "metrics.jsonl")) if steps is None else steps
    found = matching_documents(order.shards, urls=urls, domains=domains, ids=ids)
    if not len(found):
        asked = ", ".join([*urls, *domains, *ids])
        raise InputError(f"{asked}: no document of {order.shards.store.name} has it; check the spelling")
    document, step = order.steps_with(found, done)
    folders = (model_dir / "checkpoints").glob("step-*[0-9]")
    kept = sorted(int(folder.name.removeprefix("step-")) for folder in folders)
    pages = order.shards.documents(found, ["id", "url", "split"])
    seen = [tuple(step[document == number].tolist()) for number in found.tolist()]
    return [
        Exposure(number, **page, steps=mine, clean_checkpoint=_last_clean(kept, mine))
        for number, page, mine in zip(found.tolist(), pages, seen, strict=True)
    ]


def matching_documents(
    shards: TokenShards, *, urls: Iterable[str] = (), domains: Iterable[str] = (), ids: Iterable[str] = ()
) -> NDArray[np.int64]:
    """Row numbers over all shards of documents with one of these addresses, hosts under these domains, or ids."""
    exact, names = pa.array(list(urls), pa.string()), pa.array(list(ids), pa.string())
    under = [domain.lower().lstrip(".") for domain in domains]
    masks = [np.empty(0, bool)]
    for table in shards.docs_tables(["id", "url", "host"]):
        found = pc.or_(pc.is_in(table["url"], exact), pc.is_in(table["id"], names))
        for domain in under:
            host = pc.utf8_lower(table["host"])
            inside = pc.or_(pc.equal(host, domain), pc.ends_with(host, "." + domain))
            found = pc.or_(found, pc.fill_null(inside, False))
        masks.append(found.to_numpy())
    return np.flatnonzero(np.concatenate(masks))


def _last_clean(kept: Sequence[int], steps: Sequence[int]) -> int | None:
    """Checkpoints are named by steps finished: the one of n steps has seen steps 0 to n - 1."""
    clean = [n for n in kept if not steps or n <= steps[0]]
    return max(clean, default=None)
