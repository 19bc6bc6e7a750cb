"""From a training step back to the pages: which documents stood in its rows, and where they came from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from seimai.errors import RunError, VerifyError
from seimai.files import read_json

from .order import FORMAT, Order
from .segments import Rows
from .store import is_remote

__all__ = ["TracedDocument", "order_from", "trace"]

COLUMNS = (
    "id",
    "source",
    "lang",
    "lang_score",
    "quality",
    "cluster_size",
    "cluster_rank",
    "date",
    "host",
    "url",
    "warc_file",
    "warc_offset",
)


@dataclass(frozen=True)
class TracedDocument:
    """One segment of a row of a step."""

    number: int
    """Global number of the row: step · batch_rows + its place in the batch."""
    start: int
    """Place of the segment's first token in the row."""
    length: int
    """Its tokens."""
    document: int
    """Row number of the document over all token shards."""
    offset: int
    """Place of the first token in the document."""
    id: str
    """The document's id."""
    source: str | None
    """Name of its input."""
    lang: str | None
    """Its language."""
    lang_score: float | None
    """How sure that is, 0 to 1."""
    quality: float | None
    """Its score."""
    cluster_size: int | None
    """Documents of its cluster of near-duplicates."""
    cluster_rank: int | None
    """Its place among them, from 0."""
    date: str | None
    """When it was crawled."""
    host: str | None
    """Host of its URL."""
    url: str | None
    """Where it was found."""
    warc_file: str | None
    """The archive that holds it."""
    warc_offset: int | None
    """The byte in the archive where its record begins."""
    text: str | None = None
    """What the segment says, where it was asked for."""


def trace(
    model_dir: Path, step: int, *, data: Path | None = None, rank: int = 0, ranks: int = 1, text: bool = False
) -> list[TracedDocument]:
    """The documents of a 0-based step (the `step` of metrics.jsonl), in order of (row, start).

    Computed from order.json and the token shards alone. `data` says where the shards are if they were moved.
    With `text` the segments are decoded by the data set's tokenizer; a segment cut in a character ends in U+FFFD.
    """
    order = order_from(model_dir, data)
    rows = order.rows(step, rank, ranks)
    pages = order.shards.documents(rows.document, COLUMNS)
    columns = (rows.number[rows.row], rows.start, rows.length, rows.document, rows.offset)
    places = zip(*(column.tolist() for column in columns), strict=True)
    texts = _texts(order, rows) if text else [None] * len(pages)
    found = zip(places, pages, texts, strict=True)
    return [TracedDocument(*place, **{**page, "text": said}) for place, page, said in found]


def _texts(order: Order, rows: Rows) -> list[str]:
    """What every segment says."""
    tokenizer = Tokenizer.from_file(str(order.shards.file("tokenizer.json")))
    places = zip(rows.row.tolist(), rows.start.tolist(), rows.length.tolist(), strict=True)
    return [tokenizer.decode(rows.tokens[row, start : start + length].tolist()) for row, start, length in places]


def order_from(model_dir: Path, data: Path | None = None) -> Order:
    """The Order a training directory was trained in; VerifyError where the shards found are not its own."""
    path = model_dir / "order.json"
    if not path.is_file():
        raise RunError(f"{path}: missing; give the directory that `seimai train --out` wrote")
    described: dict[str, Any] = read_json(path)
    if described.get("format") != FORMAT:
        raise RunError(
            f"{path}: format {described.get('format')!r}, not {FORMAT!r}; trace with the version that wrote it"
        )
    place: str = described["data_dir"]
    directory = data or (place if is_remote(place) else model_dir / place)
    order = Order(
        directory,
        seed=described["seed"],
        row_tokens=described["row_tokens"],
        batch_rows=described["batch_rows"],
        mixture=described["mixture"],
        where=described["where"],
        skip=[*described["skip"], *_skipped_rows(model_dir, described["batch_rows"])],
        shuffle_window=described["shuffle_window"],
        packing=described["packing"],
        cache_dir=model_dir / "tokens-cache",
    )
    if order.shards.root != described["data"]:
        raise VerifyError(f"{directory}: not the token shards this model saw (their root is {described['data'][:12]}…)")
    return order


def _skipped_rows(model_dir: Path, batch_rows: int) -> list[int]:
    """Rows of the steps that the training skipped as spikes, from skipped.json."""
    path = model_dir / "skipped.json"
    steps: list[int] = read_json(path)["steps"] if path.is_file() else []
    return [row for step in steps for row in range(step * batch_rows, (step + 1) * batch_rows)]
