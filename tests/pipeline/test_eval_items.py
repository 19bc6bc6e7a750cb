"""Evaluation sets in every format to the same items, and files that are not as said."""

import bz2
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from seimai.errors import InputError
from seimai.pipeline.eval_items import EvalItem, EvalSet, parse_eval_set, read_eval_items

ROWS = [{"question": '一つ目、"引用"の問い', "answer": "あ"}, {"question": "a second, longer one", "answer": "b"}]
WANTED = [("question", 0, ROWS[0]["question"]), ("question", 1, ROWS[1]["question"])]


def write(folder: Path, name: str) -> Path:
    """The rows in the format that the name says."""
    path = folder / name
    if ".parquet" in name:
        pq.write_table(pa.Table.from_pylist(ROWS), path)
        return path
    if ".jsonl" in name:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
    elif ".json" in name:
        text = json.dumps(ROWS)
    elif ".csv" in name:
        quoted = [[row["question"].replace('"', '""'), row["answer"]] for row in ROWS]
        text = "\ufeffquestion,answer\n" + "".join(f'"{q}",{a}\n' for q, a in quoted)
    else:
        text = "question\tanswer\n" + "".join(f"{row['question']}\t{row['answer']}\n" for row in ROWS)
    data = text.encode()
    packed = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress, ".bz2": bz2.compress}
    path.write_bytes(packed[path.suffix](data) if path.suffix in packed else data)
    return path


@pytest.mark.parametrize(
    "name", ["q.jsonl", "q.jsonl.gz", "q.jsonl.zst", "q.json", "q.json.bz2", "q.csv", "q.csv.gz", "q.tsv", "q.parquet"]
)
def test_formats(tmp_path: Path, name: str) -> None:
    items = read_eval_items([EvalSet(write(tmp_path, name), ("question",))])
    assert [(item.field, item.row, item.text) for item in items] == WANTED
    assert {item.name for item in items} == {"q"}


def test_tables_without_a_header_have_numbers(tmp_path: Path) -> None:
    (tmp_path / "mgsm.tsv").write_text('He said "no.\t18\nTwo\t3\n', encoding="utf-8")
    items = read_eval_items([parse_eval_set(f"{tmp_path}/mgsm.tsv#0")])
    assert [(item.row, item.text) for item in items] == [(0, 'He said "no.'), (1, "Two")]


def test_nested_json(tmp_path: Path) -> None:
    value = {"data": [{"paragraphs": [{"context": "文", "qas": [{"question": "一"}, {"question": "二"}]}]}]}
    (tmp_path / "squad.json").write_text(json.dumps(value), encoding="utf-8")
    items = read_eval_items([EvalSet(tmp_path / "squad.json", ("data.paragraphs.qas.question",))])
    assert [(item.row, item.text) for item in items] == [(0, "一"), (1, "二")]
    assert [item.text for item in read_eval_items([EvalSet(tmp_path / "squad.json")])] == ["文", "一", "二"]


def test_sets_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("ja", "en"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, "test.jsonl")
    items = read_eval_items([EvalSet(tmp_path / folder / "test.jsonl", ("answer",)) for folder in ("ja", "en")])
    assert [item.name for item in items] == ["ja/test", "ja/test", "en/test", "en/test"]
    assert items[0] == EvalItem("ja/test", 0, "answer", "あ")


@pytest.mark.parametrize(
    ("name", "data", "fields", "said"),
    [
        ("q.jsonl", b'{"a": "x"}\n', ("question",), "has no field 'question'; name its fields as q.jsonl#"),
        ("q.jsonl", b'{"a": 3}\n', (), "has no field of text"),
        ("q.jsonl", b'{"a": "x"\n', (), "cannot be read"),
        ("q.jsonl.gz", b"not gzip", (), "cannot be read"),
        ("q.csv", b"\xff\xfe\x00", ("a",), "cannot be read"),
        ("q.parquet", b"PAR1", (), "cannot be read"),
        ("q.xlsx", b"PK", (), "is neither .json"),
    ],
)
def test_files_that_are_not_as_said(tmp_path: Path, name: str, data: bytes, fields: tuple[str, ...], said: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_eval_items([EvalSet(tmp_path / name, fields)])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.jsonl: no such file"):
        read_eval_items([EvalSet(tmp_path / "none.jsonl")])
