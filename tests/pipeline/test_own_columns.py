"""Columns of a user's own: the example of docs/rules.md runs as it stands there; mistakes are one line."""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seimai.config import load_config, parse_config
from seimai.errors import ConfigError, SeimaiError
from seimai.pipeline.job import polish
from seimai.pipeline.manifest import manifest_head, verify
from seimai.pipeline.own_columns import measure_own, own_parts
from seimai.pipeline.retune import retune
from seimai.pipeline.run import Engine
from seimai.pipeline.settings import RunConfig, stage_fingerprints

DOCS = (Path(__file__).resolve().parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
PROSE = "The harbour wakes before the town does, and the first boats leave while the lamps are still burning there. "
ASKING = "Have you ever asked yourself why the boats of the harbour leave before the lamps of the town are out? "


def block(kind: str) -> str:
    """The one block of that kind in the docs."""
    (found,) = re.findall(rf"```{kind}\n(.*?)```", DOCS, re.DOTALL)
    return str(found)


def test_the_example_of_the_docs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warc_record: Any, warc_archive: Any, http_page: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_columns.py").write_text(block("python"))
    (tmp_path / "mine.toml").write_text(block("toml"))
    pages = [f"{PROSE * 3} {ASKING} Boat {n}." if n % 3 else f"{ASKING * 5} Boat {n}?" for n in range(9)]
    # Sentences that repeat are another rule's business here.
    pages = [" ".join(f"{s} It was number {n}{k}." if n % 3 else f"{s} And {n}{k}?" for k, s in
                      enumerate(re.findall(r"[^.?]+[.?]", page))) for n, page in enumerate(pages)]  # fmt: skip
    archive = tmp_path / "crawl.warc.gz"
    archive.write_bytes(warc_archive([warc_record(n, http_page(n, page)) for n, page in enumerate(pages)]))
    off = "quality.en.disable=['max_dup_sentence_char_ratio', 'max_copied_char_ratio', 'max_dup_10word_char_ratio']"
    config = load_config(tmp_path / "mine.toml", RunConfig, [off, "dedup.threshold=1.0", "cleaning.host_min_pages=0"])
    polish(config, tmp_path / "run", inputs=[str(archive)], engine=Engine(workers=0))
    verify(tmp_path / "run")
    reasons = {reason: n for _, reason, n in manifest_head(tmp_path / "run")["totals"]["reasons"]}
    assert reasons["max_question_ratio"] == 3
    (part,) = (tmp_path / "run" / "signals").iterdir()
    values = pq.read_table(part, columns=["own_question_ratio"])["own_question_ratio"].to_pylist()
    assert [value > 0.5 for value in values] == [n % 3 == 0 for n in range(9)]
    looser = "quality.en.add=[{reason='max_question_ratio', column='own_question_ratio', keep='<=', threshold=1.0}]"
    looked = retune(tmp_path / "run", [looser], engine=lambda: Engine(workers=0)).look
    assert looked.moves["en", "max_question_ratio", "kept"] == 3
    before = stage_fingerprints(config)
    (tmp_path / "my_columns.py").write_text(block("python") + "\n# changed\n")
    after = stage_fingerprints(config)
    assert {stage for stage in before if before[stage] != after[stage]} == {"signals"}


@pytest.mark.parametrize("place", ["{path}:twice", "below.mine:twice", "below/mine.py:twice"])
def test_where_a_function_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "below").mkdir()
    path = tmp_path / "below" / "mine.py"
    path.write_text("def twice(texts):\n    return [2 * len(t) if t else None for t in texts]\n")
    own = {"own_twice": place.format(path=path)}
    found = measure_own(pa.array(["ab", None, "", "精米"], pa.large_string()), own)
    assert found["own_twice"].to_pylist() == [4.0, None, None, 4.0]
    first = own_parts(own)
    path.write_text("def twice(texts):\n    return [0.0 for t in texts]\n")
    assert own_parts(own) != first
    assert measure_own(pa.array(["ab"]), own)["own_twice"].to_pylist() == [0.0]


def test_an_installed_module() -> None:
    assert own_parts({"own_x": "statistics:mode"})["own_x"]["place"] == "statistics:mode"


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("def f(texts):\n    raise KeyError('x')", "raised KeyError: 'x'"),
        ("def f(texts):\n    return [1.0]", "returned 1 numbers for 2 texts"),
        ("def f(texts):\n    return ['a', 'b']", "returned what is no number"),
        ("def f(texts):\n    return 3", "raised TypeError"),
        ("f = 3", "no such function"),
        ("import nothing_of_that_name", "cannot be imported: ModuleNotFoundError"),
        (None, "there is no file"),
    ],
)
def test_what_goes_wrong_in_a_function_is_one_line(tmp_path: Path, code: str | None, line: str) -> None:
    path = tmp_path / "mine.py"
    if code is not None:
        path.write_text(code)
    with pytest.raises(ConfigError, match=re.escape(line)) as raised:
        measure_own(pa.array(["a", "b"]), {"own_x": f"{path}:f"})
    assert str(raised.value).startswith("signals.own.own_x: ")
    assert "\n" not in str(raised.value)


def test_nan_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def f(texts):\n    return [float('nan') for t in texts]\n")
    assert measure_own(pa.array(["a"]), {"own_x": f"{path}:f"})["own_x"].to_pylist() == [None]


ADD = {"reason": "mine", "column": "own_x", "keep": "<=", "threshold": 1.0}


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"signals": {"own": {"mine": "m:f"}}}, "'mine' must begin with own_"),
        ({"signals": {"own": {"own_x": "m.f"}}}, "write module:function"),
        ({"quality": {"ja": {"preset": "web-ja", "add": [ADD]}}}, "own_x is not declared; add it to [signals.own]"),
        ({"quality": {"ja": {"preset": "web-ja", "add": [{**ADD, "column": "n_char"}]}}}, "did you mean 'n_chars'?"),
    ],
)
def test_mistakes_in_the_config(data: dict[str, Any], line: str) -> None:
    with pytest.raises(SeimaiError, match=re.escape(line)):
        parse_config(data, RunConfig, "test")
