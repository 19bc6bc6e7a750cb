"""Figures of a comparison against loops by hand, baselines found without a network, the plot, and what made a token."""

import base64
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seimai.errors import ConfigError, InputError
from seimai.tokenizer.baselines import BASELINES, PLACES, baselines, find_baseline
from seimai.tokenizer.count_job import count_sources
from seimai.tokenizer.count_sample import CountSettings
from seimai.tokenizer.encoder import Encoder
from seimai.tokenizer.export import FORMATS, export_tokenizer
from seimai.tokenizer.judged import Judged, is_tokenizer, open_judged
from seimai.tokenizer.report import Report, Text, judge, read_texts
from seimai.tokenizer.report_figures import interval
from seimai.tokenizer.report_plot import plot
from seimai.tokenizer.sources import open_sources
from seimai.tokenizer.vocabulary import load
from seimai.tokenizer.why import merge_tree, why

JAPANESE = "東京タワーは、1958年に完成した。昼は静かだ。\n夜は光る。" * 3
ENGLISH = "The tower was finished in 1958. It is quiet by day and shines at night. " * 2


@pytest.fixture(scope="module")
def aligned() -> list[Text]:
    """Three pairs of one id each, on two hosts, and one text that no one else has."""
    pairs = [(JAPANESE, ENGLISH), (JAPANESE[:40], ENGLISH[:60]), (JAPANESE[5:90], ENGLISH[10:99])]
    rows = [
        Text(str(n), lang, f"{lang}-{n % 2}", f"host-{n % 2}", text)
        for n, pair in enumerate(pairs)
        for lang, text in zip(("ja", "en"), pair, strict=True)
    ]
    return [*rows, Text("alone", "ja", "ja-1", "host-2", "ｶﾅ" * 100)]


@pytest.fixture(scope="module")
def bytes_only() -> Judged:
    """A token for every byte."""
    table = tuple(bytes([byte]) for byte in range(256))
    return Judged(
        *("bytes", 256, "test", table),
        lambda texts: [np.frombuffer(text.encode(), np.uint8).astype(np.uint32) for text in texts],
        lambda ids: bytes(ids.tolist()).decode(),
    )


@pytest.fixture(scope="module")
def report(tokenizer: Path, bytes_only: Judged, aligned: list[Text]) -> Report:
    """Ours beside bytes."""
    return judge([open_judged(tokenizer, "ours"), bytes_only], aligned)


def test_rows_are_what_a_loop_gives(report: Report, tokenizer: Path, aligned: list[Text]) -> None:
    [row] = [r for r in report["rows"] if (r["tokenizer"], r["lang"], r["domain"]) == ("ours", "ja", "all")]
    texts = [text.text for text in aligned if text.lang == "ja"]
    n_tokens = sum(len(ids) for ids in Encoder(tokenizer).ids(texts))
    assert (row["documents"], row["hosts"], row["n_tokens"]) == (4, 3, n_tokens)
    assert row["bytes_per_token"] == pytest.approx(sum(len(text.encode()) for text in texts) / n_tokens)
    assert row["bytes_per_token_low"] <= row["bytes_per_token"] <= row["bytes_per_token_high"]
    assert row["round_trip_failures"] == 0
    domains = {(r["lang"], r["domain"]) for r in report["rows"]}
    assert domains == {(lang, name) for lang in ("ja", "en") for name in ("all", f"{lang}-0", f"{lang}-1")}


def test_bytes_are_single_and_partial(report: Report, aligned: list[Text]) -> None:
    [row] = [r for r in report["rows"] if (r["tokenizer"], r["lang"], r["domain"]) == ("bytes", "ja", "all")]
    data = "".join(text.text for text in aligned if text.lang == "ja").encode()
    assert (row["bytes_per_token"], row["single_byte_share"]) == (1.0, 1.0)
    assert row["partial_char_share"] == pytest.approx(sum(byte >= 0x80 for byte in data) / len(data))


def test_parity_is_over_documents_of_one_id(report: Report, aligned: list[Text]) -> None:
    [row] = [r for r in report["parity"] if r["tokenizer"] == "bytes"]
    sums = {
        lang: sum(len(t.text.encode()) for t in aligned if t.lang == lang and t.id != "alone") for lang in ("ja", "en")
    }
    assert row["pairs"] == 3
    assert row["ja_over_en"] == pytest.approx(sums["ja"] / sums["en"])


def test_the_worst_document_few_hosts_and_cases(report: Report, tokenizer: Path) -> None:
    worst = [r for r in report["worst"] if (r["tokenizer"], r["lang"]) == ("ours", "ja")]
    assert worst[0]["id"] == "alone"
    assert worst == sorted(worst, key=lambda row: row["bytes_per_token"])
    few = {r["token"] for r in report["few_hosts"] if r["tokenizer"] == "ours"}
    assert all(r["hosts"] == 1 for r in report["few_hosts"])
    assert not few & {"。", " "}
    [year] = [r for r in report["cases"] if (r["tokenizer"], r["case"]) == ("ours", "year")]
    assert (year["n_tokens"], year["pieces"]) == (4, ["1", "9", "5", "8"])
    [vocabulary] = [r for r in report["vocabulary"] if r["tokenizer"] == "ours"]
    assert vocabulary["never_reached"] < 20
    assert not any("reserved" in text for text in vocabulary["longest"])
    [bounds] = [r for r in report["boundaries"] if r["tokenizer"] == "bytes"]
    assert bounds["recall"] == 1.0
    assert 0.3 < bounds["precision"] < 0.9
    assert {r["tokenizer"] for r in report["speed"]} == {"ours", "bytes"}


def test_speed_is_that_of_new_text(bytes_only: Judged, aligned: list[Text]) -> None:
    """A tokenizer that needs 5 ms of CPU for a text that it does not remember."""
    seen: set[str] = set()

    def encode(texts: Sequence[str]) -> list[Any]:
        until = time.process_time() + 0.005 * len({*texts} - seen)
        while time.process_time() < until:
            continue
        seen.update(texts)
        return bytes_only.encode(texts)

    rows = judge([replace(bytes_only, encode=encode)], aligned)["speed"]
    assert [row["lang"] for row in rows] == ["en", "ja"]
    assert all(row["encode_again_mb_s"] > 2 * row["encode_mb_s"] for row in rows)


def test_an_interval_of_groups_is_wider_than_one_of_documents() -> None:
    draw = np.random.default_rng(2)
    group = np.repeat(np.arange(20), 50)
    above = 100 + draw.integers(0, 60, 20)[group] + draw.integers(0, 5, 1000)
    below = np.full(1000, 50)
    by_group, alone = interval(above, below, group), interval(above, below, np.arange(1000))
    assert by_group[0] is not None
    assert by_group[1] is not None
    assert alone[0] is not None
    assert alone[1] is not None
    assert by_group[1] - by_group[0] > 3 * (alone[1] - alone[0])
    assert interval(above, below, np.zeros(1000, np.int64)) == (None, None)


def test_the_plot_is_the_same_each_time_and_names_everyone(report: Report) -> None:
    pytest.importorskip("matplotlib")
    drawn = plot(report)
    assert drawn == plot(report)
    assert b"<svg" in drawn
    assert b">ours<" in drawn
    assert b">bytes<" in drawn


def test_held_out_texts_are_read_with_a_language(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [JAPANESE, ENGLISH, "Straße für Größe, Übermut öfter hören, schön" * 3]
    path.write_text("\n".join(json.dumps({"text": t, "split": "held_out"}) for t in rows), encoding="utf-8")
    assert [text.lang for text in read_texts([path])] == ["ja", "en", "und"]
    with pytest.raises(InputError, match="train"):
        read_texts([path], split="train")


def test_exports_are_judged_as_what_they_came_from(tokenizer: Path, tmp_path: Path, aligned: list[Text]) -> None:
    for to in FORMATS[:2]:
        export_tokenizer(tokenizer, tmp_path / to, to)
        (tmp_path / to / "manifest.json").unlink()
    ours = open_judged(tokenizer)
    text = [each.text for each in aligned]
    for to in ("hf", "tiktoken"):
        assert is_tokenizer(tmp_path / to)
        other = open_judged(tmp_path / to)
        for one, two in zip(ours.encode(text), other.encode(text), strict=True):
            assert one.tolist() == two.tolist()
        assert other.token_bytes[:300] == ours.token_bytes[:300]


def test_baselines_are_found_in_a_folder_of_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Path
) -> None:
    vocabulary = load(tokenizer)
    place = tmp_path / "tiktoken_ext" / "data"
    place.mkdir(parents=True)
    lines = [f"{base64.b64encode(t).decode()} {n}" for n, t in enumerate(vocabulary.tokens[: vocabulary.n_ordinary])]
    (place / "cl100k_base.tiktoken").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr("sys.path", [])
    monkeypatch.setenv(PLACES, str(tmp_path))
    assert find_baseline("cl100k") == place / "cl100k_base.tiktoken"
    [found] = baselines("all")
    assert (found.name, found.vocab_size) == ("cl100k", vocabulary.n_ordinary)
    assert b"".join(found.token_bytes[n] for n in found.encode([ENGLISH])[0]) == ENGLISH.encode()
    assert baselines("") == []
    for names, said in (("gpt5", "there are gpt2"), ("llama3", "pip install llama-models")):
        with pytest.raises(ConfigError, match=said):
            baselines(names)
    monkeypatch.delenv(PLACES)
    with pytest.raises(ConfigError, match=PLACES):
        baselines("all")
    assert all(each.files and each.package for each in BASELINES.values())


def test_why_says_what_made_a_token(tokenizer: Path, source: Path, texts: dict[str, list[str]], tmp_path: Path) -> None:
    count_sources(open_sources(source), tmp_path / "counts", CountSettings())
    vocabulary, encoder = load(tokenizer), Encoder(tokenizer)
    number = next(
        n for n in range(900, 2000) if len(vocabulary.token_bytes[n]) > 5 and vocabulary.token_bytes[n].isascii()
    )
    token = vocabulary.token_bytes[number].decode()
    found = why(token, tokenizer, counts=tmp_path / "counts", source=[source])
    assert found == why(f"#{number}", tokenizer, counts=tmp_path / "counts", source=[source])
    assert found.facts["merges"] == merge_tree(token.encode(), vocabulary)
    assert found.facts["merges"].replace(" + ", "").replace("(", "").replace(")", "").replace("< >", " ") == token
    tables: dict[str, list[Any]] = {title: rows for title, _, rows in found.tables}
    train = [text for n, text in enumerate(texts["ja"] + texts["en"]) if n % 10]
    uses = [int((ids == number).sum()) for ids in encoder.ids(train)]
    assert dict(tables["In the text"])["uses"] == sum(uses)
    assert dict(tables["In the text"])["documents"] == sum(use > 0 for use in uses)
    assert dict(tables["In the counts"])["count"] == sum(uses)
    assert any(f"[{token}]" in row[2] for row in tables["Examples"])


def test_what_is_no_token_is_said_and_a_special_has_no_merges(tokenizer: Path) -> None:
    with pytest.raises(ConfigError, match="is no token"):
        why("no such token at all", tokenizer)
    assert "special" in why("<|eos|>", tokenizer).facts["merges"]
