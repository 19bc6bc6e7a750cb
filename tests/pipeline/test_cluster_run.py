"""Clusters of a run directory: texts in parts in, `clusters/` out, over language, URL, scope, and a killed worker."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seimai.config import parse_config
from seimai.pipeline import order
from seimai.pipeline.barriers import Job, cluster_run
from seimai.pipeline.dedup import signatures
from seimai.pipeline.document import CLUSTER_COLUMNS, DOCUMENT_COLUMNS, document_id, schema
from seimai.pipeline.duplicates import duplicate_clusters
from seimai.pipeline.progress import Silent
from seimai.pipeline.run import Engine
from seimai.pipeline.settings import RunConfig
from seimai.pipeline.state import Marker, commit, lock, read_marker

PARTS = ("a", "b", "c", "d")
JAPANESE = "米を磨き水で洗い静かに炊いてから食卓に運ぶ朝の台所には白い湯気が立ち猫が窓辺で外を眺めている"
ENGLISH = [f"word{n}" for n in range(400)]


def pages(seed: int) -> list[dict[str, Any]]:
    """Pages of both languages with copies, revisions and a few without text; some share a URL."""
    numbers = random.Random(seed)
    found: list[dict[str, Any]] = []
    for family in range(40):
        lang = ("ja", "en")[family % 2]
        units = [numbers.choice(JAPANESE if lang == "ja" else ENGLISH) for _ in range(numbers.randrange(40, 160))]
        for version in range(numbers.randrange(1, 6)):
            changed = list(units)
            for _ in range(numbers.randrange(0, 4) * (version > 0)):
                changed[numbers.randrange(len(units))] = numbers.choice(JAPANESE if lang == "ja" else ENGLISH)
            text = "".join(changed) if lang == "ja" else " ".join(changed)
            found.append({"text": text, "lang": lang, "url": f"http://h.example/{family % 7}?v={version}"})
    found += [{"text": None, "lang": None, "url": "http://h.example/0?v=0"}, {"text": "。", "lang": "ja", "url": None}]
    numbers.shuffle(found)
    return [{"id": document_id("x", n, 0), "gate": None, **page} for n, page in enumerate(found)]


def put(run: Path, owner: str, rows: list[dict[str, Any]], config: RunConfig) -> int:
    """The files of a run as its map stages leave them."""
    share = -(-len(rows) // len(PARTS))
    entries = []
    for number, part in enumerate(PARTS):
        some = rows[share * number : share * (number + 1)]
        documents = pa.Table.from_pylist(some, schema=schema(DOCUMENT_COLUMNS))
        table = signatures(
            documents["text"].combine_chunks(), lang=documents["lang"].combine_chunks(), **config.dedup.signing()
        )
        signed = table.add_column(0, "id", documents["id"])
        signals = pa.table({"id": documents["id"], "n_chars": pa.array([len(r["text"] or "") for r in some])})
        for stage, folder, made in (
            ("read", "documents", documents), ("signals", "signals", signals), ("signatures", "signatures", signed),
        ):  # fmt: skip
            commit(run, owner, Marker(stage, part, "x", {}, len(some)), {f"{folder}/{part}.parquet": made})
        entries.append((part, len(some)))
    return order.write_order(run / "state" / "order.arrow", entries)


def clusters_of(
    run: Path, rows: list[dict[str, Any]], engine: Engine, progress: Any = None, **dedup: Any
) -> list[tuple[int | None, int | None]]:
    """First document and size of every document's cluster, by number."""
    config = parse_config(
        {"dedup": dedup, "quality": {"ja": {"preset": "none"}, "en": {"preset": "none"}}}, RunConfig, "x"
    )
    run.mkdir(exist_ok=True)
    with lock(run) as owner:
        count = put(run, owner, rows, config)
        job = Job(run, owner, engine, progress or Silent(), lambda: None)
        cluster_run(job, config=config, rows=count, signatures="s", columns="c")
    assert not (run / "work" / "clusters").exists()
    table = pa.concat_tables([pq.read_table(run / "clusters" / f"{part}.parquet") for part in PARTS])
    assert table.schema.equals(schema(CLUSTER_COLUMNS))
    number = {row["id"]: place for place, row in enumerate(rows)}
    assert table["id"].to_pylist() == list(number)
    return [(number.get(row["cluster"]), row["cluster_size"]) for row in table.to_pylist()]


def expected(rows: list[dict[str, Any]], **more: Any) -> list[tuple[int | None, int | None]]:
    """The same by the function for a list in memory; documents without a shingle have no cluster."""
    texts = [row["text"] for row in rows]
    roots = duplicate_clusters(texts, lang=[row["lang"] or "auto" for row in rows], **more).tolist()
    taking = [text is not None and text != "。" for text in texts]
    sizes = Counter(root for root, takes in zip(roots, taking, strict=True) if takes)
    return [(root, sizes[root]) if takes else (None, None) for root, takes in zip(roots, taking, strict=True)]


@pytest.fixture
def here() -> Iterator[Engine]:
    """Everything in this process."""
    with Engine(workers=0) as engine:
        yield engine


@pytest.mark.parametrize("batch_parts", [1, 3, 500])
@pytest.mark.parametrize("verify", [True, False])
def test_a_run_has_the_clusters_of_the_list_of_its_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: Engine, batch_parts: int, verify: bool
) -> None:
    monkeypatch.setattr(order, "BATCH_PARTS", batch_parts)
    rows = pages(1)
    assert clusters_of(tmp_path / "run", rows, here, verify=verify, memory_mb=16) == expected(rows, verify=verify)
    marker = read_marker(tmp_path / "run", "clusters", "a")
    assert marker is not None
    assert marker.tally["documents"] == sum(root is not None for root, _ in expected(rows))
    assert marker.tally["same_text"] > 0
    assert (marker.tally["compared"] >= marker.tally["cut"] > 0) == verify


def test_within_a_language_or_a_dump(tmp_path: Path, here: Engine) -> None:
    rows = pages(2)
    rows += [{**row, "id": document_id("y", n, 0), "lang": "fr", "source": "other"} for n, row in enumerate(rows[:40])]
    rows = [{"source": "one", **row} for row in rows]
    for key, dedup in (("lang", "language"), ("source", "dump")):
        found = clusters_of(tmp_path / dedup, rows, here, within=dedup)
        assert all(root is None or rows[root][key] == row[key] for (root, _), row in zip(found, rows, strict=True))
        assert found != clusters_of(tmp_path / f"not-{dedup}", rows, here)


def test_one_url_is_one_cluster_where_asked_for(tmp_path: Path, here: Engine) -> None:
    rows = pages(3)
    found = clusters_of(tmp_path / "run", rows, here, same_url=True)
    first: dict[str, int | None] = {}
    for (root, _), row in zip(found, rows, strict=True):
        if root is not None:
            assert first.setdefault(row["url"], root) == root
    assert len({root for root, _ in found}) < len({root for root, _ in expected(rows)})


def test_only_documents_that_pass_are_compared_after_the_decisions(tmp_path: Path, here: Engine) -> None:
    rows = [{**row, "gate": "status" if n % 3 == 0 else None} for n, row in enumerate(pages(4))]
    found = clusters_of(tmp_path / "run", rows, here, scope="after")
    alone = [{**row, "text": None if row["gate"] else row["text"]} for row in rows]
    assert found == expected(alone)


class Killing(Silent):
    """Kills a worker whenever a step of clustering has ended."""

    def __init__(self) -> None:
        self.kills = 0

    def advance(self, stage: str, amount: int, *, documents: int = 0, kept: int = 0) -> None:
        """Kill one, unless three are dead already."""
        living = [child for child in psutil.Process().children(recursive=True) if is_worker(child)]
        if living and self.kills < 3:
            living[0].kill()
            self.kills += 1


def is_worker(child: psutil.Process) -> bool:
    """A worker process that lives; one killed a moment ago has no command line any more."""
    try:
        return any("spawn_main" in word for word in child.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def test_killed_workers(tmp_path: Path) -> None:
    rows, killing = pages(5), Killing()
    with Engine(workers=1) as engine:
        assert clusters_of(tmp_path / "run", rows, engine, killing) == expected(rows)
    assert killing.kills == 3
