"""The commands that look across corpora: what they print, write and refuse."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from seimai import cli
from seimai.config import load_config
from seimai.files import read_json, sha256_file
from seimai.model import Order, open_tokens
from seimai.pipeline.job import polish
from seimai.pipeline.manifest import manifest_head
from seimai.pipeline.run import Engine
from seimai.pipeline.settings import RunConfig
from seimai.tokenizer.sources import batches, open_sources

CONFIGS = Path(__file__).parent.parent / "configs"
Seimai = Callable[..., tuple[int, str, str]]
QUESTION = "ある村の精米所は1時間に米を12俵つきます。朝8時から休まずにつくと、96俵がつき上がるのは何時でしょうか。"


@pytest.fixture
def seimai(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Seimai:
    """Runs the command in this process: exit code, output, errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["seimai", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def run(sample_warc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over the sample web."""
    out = tmp_path_factory.mktemp("across") / "run"
    with Engine(workers=0) as engine:
        polish(load_config(CONFIGS / "web_ja_en.toml", RunConfig), out, inputs=[str(sample_warc)], engine=engine)
    return out


def rows_of(run: Path) -> pa.Table:
    """All rows of a run's shards."""
    paths = sorted((run / "shards").glob("*.arrow"))
    return pa.concat_tables([pa.ipc.open_file(path).read_all() for path in paths])


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three documents; the second holds the question with other white space."""
    texts = [
        "精米とは玄米の糠を取ることです。",
        f"宿題の答え。{QUESTION.replace('、', '、 ')}答えは午後4時。",
        "Rice is a grain.",
    ]
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"id": f"d{n}", "text": text}) + "\n" for n, text in enumerate(texts)))
    return path


def test_decontaminate(seimai: Seimai, corpus: Path, tmp_path: Path) -> None:
    evals = tmp_path / "quiz.jsonl"
    evals.write_text(json.dumps({"question": QUESTION, "answer": "16時"}, ensure_ascii=False) + "\n", encoding="utf-8")
    out = tmp_path / "found"
    code, said, _ = seimai("decontaminate", corpus, "--evals", f"{evals}#question", "--out", out, "--workers", 0)
    assert code == 0
    assert "1 of 3 documents hold 1 spans of 1 items" in said
    (shard,) = open_sources(corpus)
    ids = [one for batch in batches(shard, ("id",)) for one in batch["id"].to_pylist()]
    assert (out / "ids.txt").read_text() == ids[1] + "\n"
    (row,) = pq.read_table(out / "spans.parquet").to_pylist()
    assert (row["id"], row["set"], row["row"], row["field"], row["url"]) == (ids[1], "quiz", 0, "question", None)
    assert row["said"].startswith("宿題の答え。ある村の")
    assert json.loads((out / "summary.json").read_text())["contaminated"] == 1


def test_decontaminate_refuses_in_one_line(seimai: Seimai, corpus: Path, tmp_path: Path) -> None:
    code, _, said = seimai("decontaminate", corpus, "--evals", tmp_path / "no.jsonl", "--out", tmp_path / "found")
    assert code != 0
    assert "no.jsonl: no such file" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "found").exists()


def test_remove_from_a_run(seimai: Seimai, run: Path, tmp_path: Path) -> None:
    before = rows_of(run)
    host, chosen = before["host"][0].as_py(), before["id"][len(before) - 1].as_py()
    address = before.filter(pc.not_equal(before["host"], host))["url"][0].as_py()
    (tmp_path / "ids").write_text(f"{chosen}\nnobody\n")
    named = ["--domain", host.upper(), "--url", address + "#part", "--id-file", tmp_path / "ids"]
    code, said, _ = seimai("remove", run, *named, "--out", tmp_path / "less")
    assert code == 0
    rows = before.select(["id", "host", "url"]).to_pylist()
    goes = [row["id"] for row in rows if row["host"] == host or row["url"] == address or row["id"] == chosen]
    assert (tmp_path / "less" / "removed.txt").read_text().split() == goes
    assert f"{len(goes)} removed" in said
    assert rows_of(tmp_path / "less").equals(before.filter(pc.invert(pc.is_in(before["id"], pa.array(goes)))))
    assert seimai("verify", tmp_path / "less")[0] == 0
    head = manifest_head(tmp_path / "less")
    assert head["derived"]["parent"] == sha256_file(run / "manifest.json")
    assert head["derived"]["domains"] == [host]


def test_what_needs_columns_refuses_a_run_of_shards_alone(seimai: Seimai, run: Path, tmp_path: Path) -> None:
    less = tmp_path / "less"
    assert seimai("remove", run, "--id", "nobody", "--out", less)[0] == 0
    out = ["--out", tmp_path / "out"]
    for words in (
        *(["retune", less], ["explain", less, "example.org"], ["inspect", less], ["diff", run, less]),
        *(["index", "build", less, *out], ["recipe", less, *out]),
    ):
        code, _, failed = seimai(*words)
        assert code == 1
        assert (
            failed
            == f"seimai: {less}: has no columns, as runs made by remove, mask or cut; give the run it was made of\n"
        )
    assert not (tmp_path / "out").exists()


def test_no_step_of_a_training_sees_what_was_removed(seimai: Seimai, run: Path, tmp_path: Path) -> None:
    tokenizer, tokens, less = (tmp_path / name for name in ("tokenizer", "tokens", "less"))
    assert seimai("tokenizer", "train", run, "--out", tokenizer, "--vocab-size", 1024)[0] == 0
    assert seimai("encode", run, "--tokenizer", tokenizer, "--out", tokens, "--workers", 0)[0] == 0
    docs = pa.concat_tables([pq.read_table(path) for path in sorted(tokens.glob("docs-*.parquet"))])
    host = docs["host"][0].as_py()
    gone = set(docs.filter(pc.equal(docs["host"], host))["id"].to_pylist())
    assert seimai("remove", tokens, "--domain", host, "--out", less)[0] == 0
    assert seimai("verify", less)[0] == 0
    assert read_json(less / "manifest.json")["parent"] == open_tokens(tokens).root != open_tokens(less).root
    assert set((less / "removed.txt").read_text().split()) == gone
    order = Order(less, seed=1, row_tokens=128, batch_rows=64)
    seen: set[str] = set()
    for step in range(-(-order.budget()["rows"] // 64)):
        seen |= {page["id"] for page in order.shards.documents(order.rows(step).document, ["id"])}
    trained = docs.filter(pc.and_(pc.equal(docs["split"], "train"), pc.not_equal(docs["host"], host)))
    assert seen == set(trained["id"].to_pylist())
    assert not seen & gone
    kept = docs.filter(pc.not_equal(docs["host"], host))["id"].to_pylist()
    old, new = open_tokens(tokens), open_tokens(less)
    places = {name: number for number, name in enumerate(docs["id"].to_pylist())}
    for number, name in list(enumerate(kept))[::7]:
        assert (new.tokens(number) == old.tokens(places[name])).all()


@pytest.mark.parametrize("action", ["report", "mask", "cut"])
def test_substrings(seimai: Seimai, run: Path, tmp_path: Path, action: str) -> None:
    out = tmp_path / "found"
    code, said, failed = seimai("substrings", run, "--min-chars", 30, "--action", action, "--out", out, "--workers", 0)
    assert code == 0, failed
    spans = pq.read_table(out / "spans.parquet").to_pylist()
    texts = dict(zip(*(rows_of(run)[name].to_pylist() for name in ("id", "text")), strict=True))
    assert spans
    for span in spans:
        passage = texts[span["id"]][span["start"] : span["start"] + 30]
        assert span["cut"] or sum(text.count(passage) for text in texts.values()) > 1
    assert "stand more than once" in said
    if action == "report":
        assert sorted(path.name for path in out.iterdir()) == ["spans.parquet"]
        return
    assert seimai("verify", out)[0] == 0
    after = rows_of(out)
    first = next(span for span in spans if span["cut"])
    changed = dict(zip(*(after[name].to_pylist() for name in ("id", "text")), strict=True))[first["id"]]
    mark = "" if action == "cut" else "〓"
    assert changed.startswith(texts[first["id"]][: first["start"]] + mark)
    assert after["n_chars"].to_pylist() == [len(text) for text in after["text"].to_pylist()]
    assert after["n_bytes"].to_pylist() == [len(text.encode()) for text in after["text"].to_pylist()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["remove", "{run}", "--out", "{out}"], "nothing to remove; give --url"),
        (["remove", "{run}", "--domain", "https://a.example/", "--out", "{out}"], "not a domain"),
        (["remove", "{run}", "--id-file", "{out}/none", "--out", "{out}"], "no such file"),
        (["remove", "{run}", "--id", "x", "--out", "{run}"], "is not empty; give another --out"),
        (["remove", "{corpus}", "--id", "x", "--out", "{out}"], "neither a run nor token shards"),
        (["substrings", "{run}", "--min-chars", "5", "--out", "{out}"], "--min-chars 5: must be at least 20"),
        (["substrings", "{corpus}", "--action", "cut", "--out", "{out}"], "takes one run directory"),
    ],
)
def test_mistakes(seimai: Seimai, run: Path, corpus: Path, tmp_path: Path, words: list[str], said: str) -> None:
    places = {"run": run, "corpus": corpus, "out": tmp_path / "new"}
    code, _, failed = seimai(*(word.format(**places) for word in words))
    assert code != 0
    assert said in failed
    assert failed.count("\n") == 1
