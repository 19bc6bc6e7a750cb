"""A page's way through a run: a URL or an id in; every stage's numbers, thresholds and verdicts out."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seimai.errors import InputError

from .edits import STEPS, cut_pieces, edited_texts, read_edits
from .exact import normalise_url
from .inspect_run import ordered_entries
from .job import load_run_config
from .order import Entry
from .presets import breaks, rules
from .settings import RunConfig
from .state import read_marker
from .wet import LEFT_OUT

__all__ = ["Explanation", "RuleVerdict", "Survivor", "explain", "find_pages"]

NEAR_URLS = 5
_ID = re.compile(r"[0-9a-f]{32}")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class RuleVerdict(NamedTuple):
    """One rule's question and its answer; `value` is null where nothing was measured, and then nothing is broken."""

    reason: str
    column: str
    value: float | None
    keep: str
    threshold: float
    broken: bool


class Survivor(NamedTuple):
    """A member of the cluster that stands in the corpus."""

    id: str
    url: str
    quality: float | None
    n_chars: int | None
    date: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """One capture of a page. `rules` are those of its language, in running order; empty where a gate dropped it."""

    part: str
    document: dict[str, Any]
    rules: list[RuleVerdict]
    cut: list[str]
    """What cleaning took, as "step: reason: text"."""
    n_chars: int | None
    cluster: str | None
    cluster_size: int | None
    cluster_rank: int | None
    cluster_former: int | None
    """Documents of the cluster in the index of former dumps that passed their rules; null without an index."""
    survivors: list[Survivor]
    kept: bool
    reason: str | None
    reasons: list[str]
    shard: str | None
    text: str | None
    """The text as cleaning left it."""
    thresholds: dict[str, str] = field(default_factory=dict)
    """Gates that look at a number, and what they ask."""


def explain(run: Path, asked: str) -> list[Explanation]:
    """Every capture of a URL, or the one document of an id, in the order of the run.

    Scheme, `www.`, slashes at the end, the order of the query and the fragment make no difference. Raises InputError
    where there is none, with URLs of the same host that are like it.
    """
    found = find_pages(run, asked)
    if not found:
        raise InputError(f"{asked}: is not in {run}; {_left_out(run, asked) or _suggestion(run, asked)}")
    config = load_run_config(run)
    return [_explained(run, config, entry, row) for entry, row in found]


def find_pages(run: Path, asked: str) -> list[tuple[Entry, int]]:
    """The part and row of every document with this id or URL."""
    if _ID.fullmatch(asked.strip()):
        return [place for entry in ordered_entries(run) for place in _rows(run, entry, "id", asked.strip())]
    wanted, needle = _form(asked), _needle(asked)
    found = []
    for entry in ordered_entries(run):
        for piece, first in _urls(run, entry):
            hosts = pc.fill_null(pc.match_substring(piece["url"], needle, ignore_case=True), False)
            for row in pc.indices_nonzero(hosts).to_pylist():
                if _form(piece["url"][row].as_py()) == wanted:
                    found.append((entry, first + row))
    return found


def _rows(run: Path, entry: Entry, column: str, value: str) -> Iterator[tuple[Entry, int]]:
    values = pq.read_table(run / "documents" / f"{entry.part}.parquet", columns=[column])[column]
    for row in pc.indices_nonzero(pc.fill_null(pc.equal(values, value), False)).to_pylist():
        yield entry, row


def _urls(run: Path, entry: Entry) -> Iterator[tuple[pa.RecordBatch, int]]:
    first = 0
    with pq.ParquetFile(run / "documents" / f"{entry.part}.parquet") as file:
        for piece in file.iter_batches(columns=["url"]):
            yield piece, first
            first += len(piece)


def _form(url: str) -> str:
    """A URL in the form in which it is compared.

    >>> _form("example.org/a/") == _form("https://www.Example.org/a#top")
    True
    """
    url = url.strip()
    return normalise_url(url if _SCHEME.match(url) else f"http://{url.removeprefix('//')}")


def _host(url: str) -> str:
    """The host of a URL in that form, with its port."""
    return _form(url).split("/")[2] if "//" in _form(url) else _form(url)


def _needle(url: str) -> str:
    """What every URL of the host has in it, so that few are brought into the form; nothing where it may be written in
    two ways (IDNA)."""
    host = _host(url)
    return "" if "xn--" in host else host


def _left_out(run: Path, asked: str) -> str:
    """Why a page was not read that a run by WET files first left in its archive; empty for any other."""
    for path in sorted((run / "extracts").glob("*.parquet")):
        texts = pq.read_table(path)
        hits = pc.fill_null(pc.match_substring(texts["url"], _needle(asked), ignore_case=True), False)
        for row in texts.filter(hits).to_pylist():
            if row["verdict"] == LEFT_OUT and _form(row["url"]) == _form(asked):
                return (
                    f"its text in the WET file is {row['lang']} ({row['lang_score']:.2f}), so the page was not read; "
                    "fetch.strategy = 'ranges' reads it"
                )
    return ""


def _suggestion(run: Path, asked: str) -> str:
    """What a user may have meant."""
    if _ID.fullmatch(asked.strip()):
        return "an id is 32 hexadecimal digits, as in the column id of its shards"
    host, wanted, near, needle = _host(asked), _form(asked), set(), _needle(asked)
    for entry in ordered_entries(run):
        for piece, _ in _urls(run, entry):
            hits = pc.fill_null(pc.match_substring(piece["url"], needle, ignore_case=True), False)
            near |= {url for url in piece["url"].filter(hits).to_pylist() if _host(url) == host}
    if not near:
        return f"it has no page of {host}"
    close = difflib.get_close_matches(wanted, sorted({_form(url) for url in near}), n=NEAR_URLS, cutoff=0.0)
    return f"of {host} it has {len(near):,} pages, the nearest {' '.join(close)}"


def _explained(run: Path, config: RunConfig, entry: Entry, row: int) -> Explanation:
    tables = {kind: _row(run, kind, entry.part, row) for kind in ("documents", "signals", "clusters", "decisions")}
    document, decision, cluster = (tables[kind].to_pylist()[0] for kind in ("documents", "decisions", "clusters"))
    steps = [(step, read_edits(run, entry.part, [step])) for step in STEPS]
    cut = [f"{step}: {piece}" for step, edits in steps if edits for piece in cut_pieces(tables["documents"], edits)[0]]
    text = edited_texts(tables["documents"], [table for _, edits in steps for table in edits])[0].as_py()
    quality = config.quality.get(document["lang"] or "") if document["gate"] is None else None
    verdicts = []
    for rule in rules(quality) if quality else ():
        holder = next((table for table in tables.values() if rule.column in table.column_names), None)
        if holder is not None:
            broken = bool(breaks(holder[rule.column], rule)[0][0])
            value = holder[rule.column][0].as_py()
            verdicts.append(RuleVerdict(rule.reason, rule.column, value, rule.keep, rule.threshold, broken))
    signals = tables["signals"].to_pylist()[0]
    del document["text"]
    gates = config.gates
    return Explanation(
        part=entry.part,
        document=document,
        rules=verdicts,
        cut=cut,
        n_chars=signals.get("n_chars"),
        cluster=cluster["cluster"],
        cluster_size=cluster["cluster_size"],
        cluster_rank=decision["cluster_rank"],
        cluster_former=cluster.get("cluster_former"),
        survivors=_survivors(run, cluster["cluster"]) if (cluster["cluster_size"] or 1) > 1 else [],
        kept=decision["kept"],
        reason=decision["reason"],
        reasons=decision["reasons"] or [],
        shard=_shard(run, document) if decision["kept"] else None,
        text=text,
        thresholds={
            "languages": ", ".join(gates.languages),
            "min_lang_score": f"{gates.min_lang_score:g}",
            "status": ", ".join(map(str, gates.status)),
        },
    )


def _row(run: Path, kind: str, part: str, row: int) -> pa.Table:
    return pq.read_table(run / kind / f"{part}.parquet").slice(row, 1)


def _survivors(run: Path, cluster: str) -> list[Survivor]:
    """The kept members of a cluster, best first."""
    found = []
    for entry in ordered_entries(run):
        clusters = pq.read_table(run / "clusters" / f"{entry.part}.parquet", columns=["cluster"])["cluster"]
        member = pc.fill_null(pc.equal(clusters, cluster), False)
        if not pc.any(member).as_py():
            continue
        decisions = pq.read_table(run / "decisions" / f"{entry.part}.parquet", columns=["kept", "cluster_rank"])
        rows = pc.indices_nonzero(pc.and_(member, decisions["kept"]))
        documents = pq.read_table(run / "documents" / f"{entry.part}.parquet", columns=["id", "url", "date"]).take(rows)
        path = run / "signals" / f"{entry.part}.parquet"
        names = [name for name in ("n_chars", "quality") if name in pq.read_schema(path).names]
        signals = pq.read_table(path, columns=names).take(rows).to_pylist()
        ranks = decisions["cluster_rank"].take(rows).to_pylist()
        for rank, document, numbers in zip(ranks, documents.to_pylist(), signals, strict=True):
            survivor = Survivor(
                document["id"], document["url"], numbers.get("quality"), numbers["n_chars"], document["date"]
            )
            found.append((rank or 0, survivor))
    return [survivor for _, survivor in sorted(found, key=lambda pair: (pair[0], pair[1].id))]


def _shard(run: Path, document: dict[str, Any]) -> str | None:
    """The shard of its language that has a kept document."""
    for path in sorted((run / "shards").glob(f"{document['lang'] or 'und'}-*")):
        marker = read_marker(run, "write", path.stem)
        if marker is not None and _holds(path, document["id"]):
            return f"shards/{path.name}"
    return None


def _holds(path: Path, identity: str) -> bool:
    if path.suffix == ".parquet":
        return bool(pc.any(pc.equal(pq.read_table(path, columns=["id"])["id"], identity)).as_py())
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
        at = reader.schema.get_field_index("id")
        options = pa.ipc.IpcReadOptions(included_fields=[at])
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source, options=options) as reader:
        batches = range(reader.num_record_batches)
        return any(bool(pc.any(pc.equal(reader.get_batch(n).column(0), identity)).as_py()) for n in batches)
