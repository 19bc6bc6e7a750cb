"""Which documents of finished work to remove: by URL, domain or id, over the columns that shards and docs share."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from seimai.errors import InputError

from .exact import normalise_url

__all__ = ["Removal", "read_ids", "removal", "to_remove"]


@dataclass(frozen=True, slots=True)
class Removal:
    """What is to go; `removal` makes it."""

    ids: frozenset[str]
    urls: frozenset[str]
    """Normalised, so that case of the host, default ports, fragments and tracking parameters make no difference."""
    domains: frozenset[str]
    """Lower case; with all their subdomains."""


def removal(ids: Iterable[str] = (), urls: Iterable[str] = (), domains: Iterable[str] = ()) -> Removal:
    """What is to go, from what a user typed; InputError for what cannot be a domain or where nothing is named.

    >>> removal(domains=["Example.ORG."]).domains
    frozenset({'example.org'})
    """
    named = frozenset(domain.strip().strip(".").lower() for domain in domains)
    for domain in named:
        if not domain or "/" in domain or ":" in domain:
            raise InputError(f"--domain {domain!r}: not a domain; give a host name such as example.org")
    found = Removal(frozenset(ids), frozenset(normalise_url(url) for url in urls), named)
    if not (found.ids or found.urls or found.domains):
        raise InputError("nothing to remove; give --url, --domain, --id or --id-file")
    return found


def read_ids(path: Path) -> list[str]:
    """The ids of a file, one a line; empty lines and what follows a tab are passed over."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give a file with one id a line") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; give a file with one id a line") from None
    return [name for line in lines if (name := line.partition("\t")[0].strip())]


def to_remove(rows: pa.Table, what: Removal) -> pa.ChunkedArray:
    """For each row (columns id, url, host; the last two may be null) whether it goes."""
    goes = pc.is_in(rows["id"], pa.array(sorted(what.ids), rows["id"].type))
    if what.urls:
        distinct = rows["url"].unique()
        named = [url for url in distinct.to_pylist() if url and normalise_url(url) in what.urls]
        goes = pc.or_(goes, pc.is_in(rows["url"], pa.array(named, rows["url"].type)))
    if what.domains:
        distinct = rows["host"].unique()
        named = [host for host in distinct.to_pylist() if host and _below(host, what.domains)]
        goes = pc.or_(goes, pc.is_in(rows["host"], pa.array(named, rows["host"].type)))
    return goes


def _below(host: str, domains: frozenset[str]) -> bool:
    labels = host.lower().rstrip(".").split(".")
    return any(".".join(labels[k:]) in domains for k in range(len(labels)))
