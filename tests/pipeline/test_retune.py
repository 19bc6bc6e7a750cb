"""Retuning: the look counts what a plain loop counts, and what it applies is what a fresh run would write."""

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seimai.config import apply_overrides, parse_config
from seimai.errors import ConfigError, RunError
from seimai.files import sha256_file
from seimai.pipeline.decide import REHYDRATE
from seimai.pipeline.document import CLUSTER_COLUMNS, DECISION_COLUMNS, DOCUMENT_COLUMNS, document_id, schema
from seimai.pipeline.job import polish
from seimai.pipeline.manifest import manifest_head, verify
from seimai.pipeline.order import write_order
from seimai.pipeline.presets import AddedRule, QualityConfig
from seimai.pipeline.retune import apply_retune, retune
from seimai.pipeline.retune_look import Size, look
from seimai.pipeline.run import Engine
from seimai.pipeline.settings import RunConfig

SETS = ("input.part_bytes=100000", "cleaning.host_min_pages=3")
BOTH = ("quality.ja.preset=web-ja", "quality.en.preset=web-en")


def here() -> Engine:
    return Engine(workers=0)


def make_run(out: Path, archive: Path, *sets: str) -> None:
    config = parse_config(apply_overrides({}, [*SETS, *sets]), RunConfig, "test")
    polish(config, out, inputs=[str(archive)], engine=here())


def files_of(out: Path) -> dict[str, str]:
    """Every file but the manifest, which states the same, by digest."""
    paths = [path for path in sorted(out.rglob("*")) if path.is_file()]
    return {path.relative_to(out).as_posix(): sha256_file(path) for path in paths}


@pytest.fixture(scope="module")
def finished(sample_warc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("retune") / "run"
    make_run(out, sample_warc)
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


CHANGES = {
    "thresholds": ["quality.ja.min_chars=300", "quality.en.min_words=120"],
    "a rule off and one more": [
        "quality.ja.disable=['min_closed_sentences']",
        "quality.ja.add=[{reason='few', column='n_chars', keep='<', threshold=900}]",
    ],
    "another preset": ["quality.ja.preset=swallow-v1"],
    "more survivors": ["dedup.keep=2"],
    "clusters again": ["dedup.threshold=0.5"],
    "clusters behind the rules": ["dedup.scope=after", "quality.ja.min_chars=300"],
    "shards only": ["output.shard_bytes=20000"],
}


@pytest.mark.parametrize("name", CHANGES)
def test_applied_it_is_byte_for_byte_a_fresh_run(run: Path, sample_warc: Path, tmp_path: Path, name: str) -> None:
    before = files_of(run)
    looked = retune(run, CHANGES[name], engine=here)
    assert files_of(run) == before
    summary = apply_retune(run, CHANGES[name], engine=here())
    verify(run)
    quality = [s for s in BOTH if any(change.startswith("quality") for change in CHANGES[name])]
    lang_scores = [f"quality.{lang}.min_lang_score={RunConfig().quality[lang].min_lang_score}" for lang in ("ja", "en")]
    make_run(tmp_path / "fresh", sample_warc, *quality, *(lang_scores if quality else []), *CHANGES[name])
    fresh, made = files_of(tmp_path / "fresh"), files_of(run)
    assert {name for name in fresh.keys() | made.keys() if fresh.get(name) != made.get(name)} == set()
    kept = {lang: Size(s["documents"], s["chars"], s["bytes"]) for lang, s in summary.totals["kept"].items()}
    assert dict(looked.look.new) == kept


def test_the_archives_may_be_gone(run: Path, sample_warc: Path) -> None:
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(text.replace(str(sample_warc), "/gone/away.warc.gz"))
    summary = apply_retune(run, ["quality.en.min_words=100"], engine=here())
    assert summary.changed
    assert "/gone/away.warc.gz" in (run / "config.toml").read_text()
    verify(run)


def test_clusters_are_said_to_be_found_again(finished: Path) -> None:
    (note,) = retune(finished, ["dedup.threshold=0.5"], engine=here).notes
    assert "found again" in note
    (note,) = retune(finished, ["dedup.scope=after"], engine=here).notes
    assert "found again" in note
    assert retune(finished, ["quality.ja.min_chars=300"], engine=here).notes == []


REFUSED = {
    "gates.min_lang_score=0.1": "gates.min_lang_score would be looser, .* read again .* parts, .* bytes, .* pages",
    "gates.status=[200, 404]": "gates.status would be looser",
    "gates.min_lang_score=0.5": "ask it as a rule, as --set quality.ja.min_lang_score=0.5",
    "gates.mime=['text/html']": "gates.mime decides how pages are read",
    "extract.engine=fast": "extract.engine decides how pages are read",
    "cleaning.line_rules={}": "cleaning: cuts the texts otherwise; `seimai run`",
    "cleaning.host_min_pages=9": "cleaning: cuts the texts otherwise",
    "dedup.num_perm=64": "dedup: needs other signatures",
    "signals.groups=['zlib']": "signals: asks for numbers that this run has not measured",
    "quality.en.preset=gopher": "min_words .datatrove_n_plain_words.*: asks for numbers that this run has not measured",
}


@pytest.mark.parametrize("change", REFUSED)
@pytest.mark.parametrize("apply", [False, True])
def test_what_columns_cannot_answer_is_refused_with_its_cost(finished: Path, change: str, apply: bool) -> None:
    before = files_of(finished)
    with pytest.raises(RunError, match=REFUSED[change]):
        apply_retune(finished, [change], engine=here()) if apply else retune(finished, [change], engine=here)
    assert files_of(finished) == before


def test_mistakes(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no run directory"):
        retune(tmp_path, [])
    with pytest.raises(ConfigError, match="did you mean 'min_chars'"):
        retune(finished, ["quality.ja.min_char=3"])
    unfinished = Path(shutil.copytree(finished, tmp_path / "unfinished"))
    (unfinished / "manifest.json").unlink()
    with pytest.raises(RunError, match="is not finished"):
        retune(unfinished, [])


# The look against a plain loop, on made-up columns.

QUALITY = {
    "ja": QualityConfig(
        preset="none",
        min_lang_score=0.5,
        add=[
            AddedRule(reason="min_chars", column="n_chars", keep=">=", threshold=20),
            AddedRule(reason="max_lines", column="n_lines", keep="<=", threshold=7),
        ],
    ),
    "en": QualityConfig(preset="none", min_lang_score=0.7),
}


def made_up(count: int, seed: int) -> list[dict[str, Any]]:
    chosen = random.Random(seed)
    clusters = [document_id("c", n, 0) for n in range(count // 6)]
    rows: list[dict[str, Any]] = []
    for n in range(count):
        cluster = chosen.choice([*clusters, None])
        gate = chosen.choice([None] * 9 + ["status"])
        rows.append(
            {
                "id": document_id("x", n, seed), "gate": gate,
                "lang": None if gate else chosen.choice(["ja", "en", "ko"]),
                "lang_score": chosen.choice([0.4, 0.6, 0.9]), "date": chosen.choice([None, "2023", "2024"]),
                "n_chars": None if gate else chosen.choice([0, 10, 30, 40]),
                "n_bytes": None if gate else chosen.randrange(99),
                "n_lines": None if gate else chosen.choice([3, 9]),
                "cluster": None if gate else cluster, "kept": False,
                "reason": gate or chosen.choice([None, None, "min_chars", "duplicate"]),
            }
        )  # fmt: skip
    sizes = Counter(row["cluster"] for row in rows)
    for row in rows:
        row["cluster_size"] = sizes[row["cluster"]] if row["cluster"] else None
        row["kept"] = row["reason"] is None
        row["reasons"] = [row["reason"]] if row["reason"] else []
    return rows


def lay_out(run: Path, rows: list[dict[str, Any]], parts: int) -> None:
    (run / "state").mkdir(parents=True)
    cut = [rows[n * len(rows) // parts : (n + 1) * len(rows) // parts] for n in range(parts)]
    signals = pa.schema([("id", pa.string()), *((n, pa.int64()) for n in ("n_chars", "n_bytes", "n_lines"))])
    kinds = {
        "documents": schema(DOCUMENT_COLUMNS),
        "signals": signals,
        "clusters": schema(CLUSTER_COLUMNS),
        "decisions": schema(DECISION_COLUMNS),
    }
    for number, some in enumerate(cut):
        for kind, columns in kinds.items():
            (run / kind).mkdir(exist_ok=True)
            pq.write_table(pa.Table.from_pylist(some, schema=columns), run / kind / f"p{number}.parquet")
    write_order(run / "state" / "order.arrow", ((f"p{n}", len(some)) for n, some in enumerate(cut)))


Verdict = Callable[[dict[str, Any]], list[str]]


def reasons_of(row: dict[str, Any], without: tuple[str, str] = ("", "")) -> list[str]:
    """The plain reading of QUALITY, one rule of one language left out."""
    if row["gate"]:
        return [row["gate"]]
    found = []
    if row["lang"] == "ja":
        found = [
            *(["min_lang_score"] if row["lang_score"] < 0.5 else []),
            *(["min_chars"] if row["n_chars"] < 20 else []),
            *(["max_lines"] if row["n_lines"] > 7 else []),
        ]
    if row["lang"] == "en" and row["lang_score"] < 0.7:
        found = ["min_lang_score"]
    if row["n_chars"] == 0:
        found.append("emptied")
    return [reason for reason in found if (row["lang"], reason) != without]


def plain_kept(rows: list[dict[str, Any]], keep: Any, without: tuple[str, str] = ("", "")) -> set[str]:
    kept: set[str] = set()
    clusters: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if not reasons_of(row, without):
            if row["cluster"] is None:
                kept.add(row["id"])
            else:
                clusters.setdefault(row["cluster"], []).append(row)
    for members in clusters.values():
        members.sort(key=lambda row: row["id"])
        members.sort(key=lambda row: (row["n_chars"], row["date"] or ""), reverse=True)
        size = members[0]["cluster_size"]
        places = keep if keep != "rehydrate" else max((s, w) for s, w in REHYDRATE if s <= size)[1]
        kept |= {row["id"] for row in members[:places]}
    return kept


def size_of(rows: list[dict[str, Any]]) -> Size:
    return Size(len(rows), sum(row["n_chars"] or 0 for row in rows), sum(row["n_bytes"] or 0 for row in rows))


@pytest.mark.parametrize(("seed", "parts", "keep"), [(1, 1, 1), (2, 5, 1), (3, 3, 2), (4, 4, "rehydrate")])
def test_the_look_is_that_of_a_plain_loop(tmp_path: Path, seed: int, parts: int, keep: Any) -> None:
    rows = made_up(400, seed)
    lay_out(tmp_path / "run", rows, parts)
    found = look(tmp_path / "run", QUALITY, keep)
    kept = plain_kept(rows, keep)
    moves: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        new = "kept" if row["id"] in kept else (reasons_of(row) or ["duplicate"])[0]
        moves[row["lang"] or "", row["reason"] or "kept", new] += 1
    assert dict(found.moves) == dict(moves)
    assert sum(sum(row) for row in found.crossed().values()) == found.documents == 400
    langs = sorted({row["lang"] for row in rows if row["id"] in kept})
    assert dict(found.new) == {
        lang: size_of([r for r in rows if r["id"] in kept and r["lang"] == lang]) for lang in langs
    }
    was = {lang: size_of([r for r in rows if r["kept"] and r["lang"] == lang]) for lang in ("en", "ja", "ko")}
    assert dict(found.old) == was
    effects = {(effect.lang, effect.reason): effect for effect in found.effects}
    assert {("ja", "min_chars"), ("ja", "max_lines"), ("en", "min_lang_score"), ("ko", "emptied")} <= set(effects)
    for (lang, reason), effect in effects.items():
        mine = [row for row in rows if row["lang"] == lang and row["gate"] is None]
        if reason == "duplicate":
            lost = [row for row in mine if not reasons_of(row) and row["id"] not in kept]
            assert (effect.first, effect.breaks, effect.alone, effect.back) == (
                len(lost),
                len(lost),
                *[size_of(lost)] * 2,
            )
            continue
        assert effect.first == sum((reasons_of(row) or [""])[0] == reason for row in mine)
        assert effect.breaks == sum(reason in reasons_of(row) for row in mine)
        assert effect.alone == size_of([row for row in mine if reasons_of(row) == [reason]])
        # A cluster may be of several languages, and its survivor change.
        free = plain_kept(rows, keep, (lang, reason))
        after = size_of([row for row in rows if row["id"] in free])
        assert effect.back == after.minus(size_of([row for row in rows if row["id"] in kept]))


def test_a_run_without_copies_and_one_without_documents(tmp_path: Path) -> None:
    rows = [row | {"cluster": None, "cluster_size": None} for row in made_up(50, 5)]
    lay_out(tmp_path / "single", rows, 2)
    assert {size.documents for size in look(tmp_path / "single", QUALITY, 1).new.values()} != {0}
    lay_out(tmp_path / "empty", [], 0)
    assert look(tmp_path / "empty", QUALITY, 1).documents == 0


def test_totals_of_a_finished_run_are_those_of_its_manifest(finished: Path) -> None:
    found = retune(finished, [], engine=here).look
    totals = manifest_head(finished)["totals"]
    assert {lang: size._asdict() for lang, size in found.new.items()} == totals["kept"]
    assert all(old == new for _, old, new in found.moves)
    counted = [[lang, reason, n] for (lang, reason, _), n in found.moves.items()]
    assert sorted(counted) == sorted(totals["reasons"])
