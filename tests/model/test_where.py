"""An expression keeps what plain Python would keep, nulls as in SQL, and says in one line what it cannot take."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.errors import ConfigError, VerifyError
from seimai.model.shards import open_tokens
from seimai.model.where import evaluate_where, where_columns, where_mask

ROWS: list[dict[str, Any]] = [
    {"lang": lang, "quality": quality, "n_tokens": tokens, "cluster_rank": rank}
    for lang in ("ja", "en", None)
    for quality in (0.1, 0.6, None)
    for tokens, rank in ((7, 0), (100, 1), (101, 2))
]


def kept(expression: str, rows: list[dict[str, Any]] = ROWS) -> list[int]:
    kinds = {"lang": pa.string(), "quality": pa.float64(), "n_tokens": pa.int64(), "cluster_rank": pa.int64()}
    columns = {name: pa.array([row[name] for row in rows], kind) for name, kind in kinds.items()}
    return np.flatnonzero(evaluate_where(expression, columns, len(rows))).tolist()


@pytest.mark.parametrize(
    ("expression", "python"),
    [
        ("lang == 'ja'", lambda r: r["lang"] == "ja"),
        ("lang != 'ja'", lambda r: r["lang"] not in ("ja", None)),
        ("lang in ['ja', 'fr']", lambda r: r["lang"] == "ja"),
        ("lang not in ('ja',)", lambda r: r["lang"] == "en"),
        ("lang is None", lambda r: r["lang"] is None),
        ("lang is not None", lambda r: r["lang"] is not None),
        ("0.05 < quality <= 0.6", lambda r: r["quality"] is not None),
        ("not quality > 0.3", lambda r: r["quality"] == 0.1),
        ("quality > 0.3 or lang == 'en'", lambda r: r["quality"] == 0.6 or r["lang"] == "en"),
        ("lang == 'ja' and cluster_rank == 0", lambda r: (r["lang"], r["cluster_rank"]) == ("ja", 0)),
        ("n_tokens % 2 == 1", lambda r: r["n_tokens"] % 2 == 1),
        ("n_tokens // 50 == 2", lambda r: r["n_tokens"] // 50 == 2),
        ("n_tokens / 2 > 50", lambda r: r["n_tokens"] / 2 > 50),
        ("n_tokens * 2 - 1 == 199 + cluster_rank - 1", lambda r: r["n_tokens"] == 100),
        ("-n_tokens < -100", lambda r: r["n_tokens"] == 101),
        ("1 < 2", lambda r: True),
    ],
)  # fmt: skip
def test_keeps_what_python_keeps(expression: str, python: Any) -> None:
    assert kept(expression) == [i for i, row in enumerate(ROWS) if python(row)]


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_random_conditions_on_whole_rows(data: st.DataObject) -> None:
    """Python itself is the oracle where nothing is null."""
    rows = [row for row in ROWS if None not in row.values()]

    def condition(depth: int) -> str:
        if depth == 0 or data.draw(st.booleans()):
            op = data.draw(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
            name = data.draw(st.sampled_from(["quality", "n_tokens", "cluster_rank"]))
            return f"{name} {op} {data.draw(st.sampled_from([0, 0.1, 0.6, 1, 7, 100]))}"
        join = data.draw(st.sampled_from(["and", "or"]))
        no = data.draw(st.sampled_from(["", "not "]))
        return f"{no}({condition(depth - 1)} {join} {condition(depth - 1)})"

    expression = condition(3)
    wanted = [i for i, row in enumerate(rows) if eval(expression, {"__builtins__": {}}, row)]
    assert kept(expression, rows) == wanted


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("qualty > 0.5", r"there is no column 'qualty'; did you mean 'quality'\?"),
        ("quality >", r"'quality >': invalid syntax.*write it as a Python condition"),
        ("quality", r"is no condition; compare it with something"),
        ("quality > 'a'", r"compare texts with texts, numbers with numbers"),
        ("len(url) > 3", r"'len\(url\)' is not offered|there is no column 'len'"),
        ("url.startswith('a')", r"is not offered; use columns"),
        ("lang in 'ja'", r"after `in` is no list"),
        ("lang is 'ja'", r"`is 'ja'` is not offered"),
        ("__import__('os').system('true')", r"there is no column '__import__'"),
        ("lang in [url]", r"in a list is no constant; write numbers or texts"),
        ("", r"invalid syntax"),
    ],
)
def test_what_is_refused(expression: str, said: str) -> None:
    columns = {name: pa.array(["a"]) for name in ("url", "lang")} | {"quality": pa.array([0.5])}
    with pytest.raises(ConfigError, match=said) as caught:
        evaluate_where(expression, columns, 1)
    assert "\n" not in str(caught.value)


def test_columns_of_an_expression() -> None:
    assert where_columns("lang == 'ja' and n_tokens > 3 and not lang == 'en'") == ["lang", "n_tokens"]


def test_mask_over_all_shards(small_tokens: Path) -> None:
    shards = open_tokens(small_tokens)
    tables = [pq.read_table(small_tokens / shard["docs"]) for shard in shards.manifest["shards"]]
    docs = pa.concat_tables(tables).to_pylist()
    conditions: dict[str, Callable[[dict[str, Any]], bool]] = {
        "lang == 'ja' and n_tokens > 50": lambda d: d["lang"] == "ja" and d["n_tokens"] > 50,
        "split == 'held_out' or source == 'wiki'": lambda d: d["split"] == "held_out",
        "warc_offset >= 40000 and lang == 'en'": lambda d: d["warc_offset"] >= 40000 and d["lang"] == "en",
        "quality is None and n_bytes < 100": lambda d: d["n_bytes"] < 100,
    }
    for expression, python in conditions.items():
        assert where_mask(shards, expression).tolist() == [python(each) for each in docs], expression


def test_a_missing_docs_file_is_one_line(small_tokens: Path) -> None:
    shards = open_tokens(small_tokens)
    name = shards.manifest["shards"][0]["docs"]
    (small_tokens / name).rename(small_tokens / "away")
    try:
        with pytest.raises(VerifyError, match=r"docs-00000.parquet: cannot be read"):
            where_mask(shards, "n_bytes > 3")
    finally:
        (small_tokens / "away").rename(small_tokens / name)
