"""`seimai quality`: samples by decision of a run, a model with its card, its score in a run; mistakes in one line."""

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from seimai.cli import app
from seimai.errors import ConfigError, InputError, SeimaiError
from seimai.pipeline.job import polish
from seimai.pipeline.quality_model import CARD, quality_scores
from seimai.pipeline.quality_train import LABELLED
from seimai.pipeline.run import Engine
from seimai.pipeline.settings import RunConfig
from seimai.quality_sets import labelled_texts
from seimai.sample.articles import articles
from seimai.sample.build import build_warc

QUICK = ["--dim", "8", "--epochs", "5", "--held-out-share", "0.3"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over the sample web."""
    folder = tmp_path_factory.mktemp("quality")
    (folder / "crawl").mkdir()
    build_warc(folder / "crawl" / "sample.warc.gz")
    polish(RunConfig(), folder / "run", inputs=[str(folder / "crawl" / "*.warc.gz")], engine=Engine(workers=0))
    return folder / "run"


def test_samples_are_drawn_by_decision(run: Path) -> None:
    decisions = pq.read_table(run / "decisions")
    kept, reason = decisions["kept"].to_pylist(), decisions["reason"].to_pylist()
    asked = next(name for name in reason if name in ("min_closed_sentences", "min_prose_char_ratio", "duplicate"))
    table = labelled_texts([f"{run}:kept"], [f"{run}:{asked}", f"{run}:dropped"])

    assert table.schema.equals(LABELLED)
    counts = _count(table)
    assert counts[f"{run}:kept"] == sum(kept)
    assert 0 < counts[f"{run}:{asked}"] <= sum(name == asked for name in reason)
    assert counts[f"{run}:dropped"] >= counts[f"{run}:{asked}"]
    few = labelled_texts([str(run)], [f"{run}:dropped"], max_documents=5, languages=["ja"])
    assert set(_count(few).values()) == {5}
    assert set(few["lang"].to_pylist()) == {"ja"}


def _count(table: pa.Table) -> dict[str, int]:
    """Texts by set."""
    return dict(Counter(table["set"].to_pylist()))


def test_train_and_score_in_a_run(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    words = ["quality", "train", "--good", f"{run}:kept", "--bad", f"{run}:dropped", "--out", str(out), *QUICK]
    said = CliRunner().invoke(app, words)

    assert said.exit_code == 0, said.output
    assert "precision" in said.stdout
    assert json.loads((out / CARD).read_text())["languages"] == ["en", "ja"]
    config = RunConfig.model_validate(
        {
            "quality_model": {"path": str(out)},
            "quality": {
                "ja": {
                    "preset": "none",
                    "add": [{"reason": "low", "column": "quality", "keep": ">=", "threshold": 0.5}],
                }
            },
        }
    )
    archives = str(run.parent / "crawl" / "*.warc.gz")
    polish(config, tmp_path / "run", inputs=[archives], engine=Engine(workers=0))
    signals = pq.read_table(tmp_path / "run" / "signals", columns=["id", "quality"])
    documents = pq.read_table(tmp_path / "run" / "documents", columns=["id", "text", "lang"])
    decisions = pq.read_table(tmp_path / "run" / "decisions", columns=["id", "reasons"])
    rows = zip(documents["lang"].to_pylist(), signals["quality"].to_pylist(), decisions["reasons"], strict=True)
    judged = [(score, why.as_py()) for lang, score, why in rows if lang == "ja" and score is not None]
    assert judged
    assert all(("low" in (why or [])) == (score < 0.5) for score, why in judged)
    shard = pa.ipc.open_file(next((tmp_path / "run" / "shards").glob("ja-*.arrow"))).read_all()
    scores = dict(zip(signals["id"].to_pylist(), signals["quality"].to_pylist(), strict=True))
    assert shard["quality"].to_pylist() == [scores[name] for name in shard["id"].to_pylist()]
    assert min(shard["quality"].to_pylist()) >= 0.5
    clusters = pq.read_table(tmp_path / "run" / "clusters", columns=["cluster"])["cluster"].to_pylist()
    ranks = pq.read_table(tmp_path / "run" / "decisions", columns=["cluster_rank"])["cluster_rank"].to_pylist()
    ranked: dict[str, list[tuple[int, float]]] = {}
    for cluster, rank, score in zip(clusters, ranks, signals["quality"].to_pylist(), strict=True):
        if rank is not None and score is not None:
            ranked.setdefault(cluster, []).append((rank, -score))
    assert max(map(len, ranked.values())) > 1
    in_order = [[score for _, score in sorted(members)] for members in ranked.values()]
    assert [sorted(scores) for scores in in_order] == in_order, "the best score survives"
    assert quality_scores(["何か"], ["de"], out).to_pylist() == [None]


@pytest.mark.parametrize(
    ("good", "bad", "options", "said"),
    [
        ([], ["x"], {}, "both sides"),
        (["{run}:no_such_reason"], ["{run}"], {}, "no document is 'no_such_reason'; known: kept, dropped, "),
        (["{run}"], ["{run}"], {"languages": ["sw"]}, "no text in sw"),
        (["nowhere.jsonl"], ["{run}"], {}, "nowhere.jsonl: no such file or run"),
    ],
)
def test_mistakes(run: Path, good: list[str], bad: list[str], options: dict[str, list[str]], said: str) -> None:
    with pytest.raises(SeimaiError, match=said):
        labelled_texts(
            [s.format(run=run) for s in good], [s.format(run=run) for s in bad], languages=options.get("languages", ())
        )


def test_plain_texts_get_their_language(tmp_path: Path) -> None:
    path = tmp_path / "wiki.jsonl"
    lines = [
        json.dumps({"text": article.text, "url": f"https://{article.slug}.example/"}) for article in articles()[:4]
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    table = labelled_texts([str(path)], [str(path)])
    assert table["lang"].to_pylist()[:4] == [article.lang for article in articles()[:4]]
    assert set(table["split"].to_pylist()) == {"train"}


def test_unknown_feed_and_wrong_model() -> None:
    said = CliRunner().invoke(app, ["quality", "train", "--good", "a", "--bad", "b", "--out", "o", "--feed", "bytes"])
    assert isinstance(said.exception, ConfigError)
    with pytest.raises(InputError, match=r"no card.json, so no quality model"):
        quality_scores(["a"], ["en"], Path("nowhere"))
    with pytest.raises(ValueError, match=r"quality.ja: low asks for quality; set quality_model.path"):
        RunConfig.model_validate(
            {
                "quality": {
                    "ja": {
                        "preset": "none",
                        "add": [{"reason": "low", "column": "quality", "keep": ">", "threshold": 0}],
                    }
                }
            }
        )
