"""Ablations: the same held-out text for both sides, nothing trained twice, verdicts on made corpora."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seimai.config import parse_config
from seimai.errors import ConfigError, InputError
from seimai.files import canonical_json, read_json
from seimai.model import ablate as module
from seimai.model.ablate import Side, ablate
from seimai.model.shards import open_tokens
from seimai.model.train_config import TrainConfig


@pytest.fixture(scope="module")
def config() -> TrainConfig:
    return parse_config(
        {
            "model": {"depth": 1, "d_model": 16, "n_heads": 2, "row_tokens": 16},
            "data": {"batch_rows": 4},
            "optimizer": {"learning_rate": 1e-2},
            "train": {"steps": 4, "device": "cpu", "evaluate": False},
        },
        TrainConfig,
        place="test",
    )


def pieces_of(a: Path, b: Path, held_out: Path | None = None, most: int | None = None) -> list[list[str]]:
    given = None if held_out is None else open_tokens(held_out)
    found = module._pieces([open_tokens(a), open_tokens(b)], given, most)
    return [list(piece.held.ids) for piece in found]


def numbered(numbers: range) -> list[str]:
    return [f"{number:032x}" for number in numbers]


def hosted(directory: Path) -> Path:
    """The shards with ten hosts, one for each last digit of a document's number, and the manifest made new."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from seimai.files import merkle_root, sha256_file

    manifest = read_json(directory / "manifest.json")
    for shard in manifest["shards"]:
        table = pq.read_table(directory / shard["docs"])
        hosts = [f"h{int(number, 16) % 10}.example" for number in table["id"].to_pylist()]
        table = table.set_column(table.schema.get_field_index("host"), "host", pa.array(hosts))
        pq.write_table(table, directory / shard["docs"])
    for file in manifest["files"]:
        path = directory / file["path"]
        file |= {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
    manifest["merkle_root"] = merkle_root(file["sha256"] for file in manifest["files"])
    (directory / "manifest.json").write_text(canonical_json(manifest), encoding="utf-8")
    return directory


def test_held_out_documents_of_one_data_set(small_tokens: Path) -> None:
    assert pieces_of(small_tokens, small_tokens) == [numbered(range(1, 200, 10))]


def test_a_document_of_both_counts_once_and_what_either_trains_on_not_at_all(
    make_tokens: Callable[..., Path], documents: list[list[int]]
) -> None:
    first = hosted(make_tokens(documents[:40], "first", held_out_every=10))  # 1, 11, 21, 31
    longer = hosted(make_tokens(documents[:60], "longer", held_out_every=10))  # the same, 41 and 51
    other = hosted(make_tokens(documents[:60], "other", held_out_every=20))  # 1, 21, 41; the rest is trained on
    assert pieces_of(first, longer) == [[f"{n:032x}" for n in (1, 11, 21, 31)], [f"{n:032x}" for n in (41, 51)]]
    # `other` trains on documents 11, 31 and 51 of the host that `first` holds out: none of that host's is fair to both.
    assert pieces_of(first, other) == [[f"{n:032x}" for n in (1, 21, 41)]]
    assert pieces_of(first, other, first) == []
    assert pieces_of(first, longer, longer) == [[f"{n:032x}" for n in (1, 11, 21, 31, 41, 51)]]


def test_a_draw_of_documents_is_the_same_whatever_else_is_there(
    make_tokens: Callable[..., Path], documents: list[list[int]]
) -> None:
    few = make_tokens(documents[:100], "few", held_out_every=5)
    drawn = pieces_of(few, few, most=3)[0]
    langs = [int(each, 16) % 2 for each in drawn]
    assert (langs.count(0), langs.count(1)) == (3, 3)
    assert drawn == sorted(drawn)
    assert set(drawn) <= set(numbered(range(1, 100, 5)))


@pytest.fixture(scope="module")
def finished(small_tokens: Path, config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ablation")
    found = ablate(config, Side(small_tokens, "lang == 'ja'"), Side(small_tokens, "lang == 'en'"), out, seeds=2)
    assert (found.finished, found.trained) == (True, 4)
    return out


def test_a_finished_ablation_is_read_and_not_trained_again(
    finished: Path, small_tokens: Path, config: TrainConfig
) -> None:
    before = (finished / "ablation.json").read_bytes()
    again = ablate(config, Side(small_tokens, "lang == 'ja'"), Side(small_tokens, "lang == 'en'"), finished, seeds=2)
    assert again.trained == 0
    assert (finished / "ablation.json").read_bytes() == before
    facts = read_json(finished / "ablation.json")
    assert again.comparison is not None
    assert facts["comparison"]["verdict"] == again.comparison.verdict
    assert facts["b"] == {"data": open_tokens(small_tokens).root, "where": "lang == 'en'"}
    assert set(facts["parts"]) == {"en"}  # the fixture's held-out documents are English


def test_settings_differ_in_the_documents_alone(finished: Path) -> None:
    import tomllib

    a, b = (tomllib.loads((finished / side / "seed-1" / "config.toml").read_text()) for side in "ab")
    assert a["data"].pop("where") == "lang == 'ja'"
    assert b["data"].pop("where") == "lang == 'en'"
    assert a == b
    assert a["train"]["seed"] == 1


def test_another_side_in_the_same_folder_is_refused(finished: Path, small_tokens: Path, config: TrainConfig) -> None:
    with pytest.raises(Exception, match=r"data\.where|another where"):
        ablate(config, Side(small_tokens, "lang == 'en'"), Side(small_tokens), finished, seeds=2)


def test_it_leaves_when_asked_and_goes_on(small_tokens: Path, config: TrainConfig, tmp_path: Path) -> None:
    asked = iter([False] * 6 + [True])
    sides = Side(small_tokens, "n_tokens > 100"), Side(small_tokens)
    left = ablate(config, *sides, tmp_path, seeds=2, stop=lambda: next(asked))
    assert (left.finished, left.comparison) == (False, None)
    done = ablate(config, *sides, tmp_path, seeds=2)
    assert (done.finished, done.trained) == (True, 3)


def test_the_verdict_is_that_of_the_paired_comparison(
    small_tokens: Path, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With scores made by hand: B costs 3 % less on every document, with every seed."""

    def made(folder: Path, pieces: list[module.Piece]) -> Any:
        cost = np.concatenate([piece.held.n_bytes for piece in pieces]) * (1.0 if folder.parent.name == "a" else 0.97)
        return cost * (1 + 0.001 * int(folder.name[-1]))

    monkeypatch.setattr(module, "scored", made)
    short = parse_config({**config.model_dump(), "train": {"steps": 1, "evaluate": False}}, TrainConfig, "test")
    found = ablate(short, Side(small_tokens), Side(small_tokens, "n_tokens > 100"), tmp_path, seeds=2)
    assert found.comparison is not None
    assert found.comparison.verdict == "better"
    assert found.comparison.difference == pytest.approx(-0.03)
    assert found.parts["en"].verdict == "better"


def test_what_is_read_too_often_is_said() -> None:
    comparison = replace(_comparison(), within_margin=False, low=-0.02, high=0.02)
    tokens = {"a": {"available": 1000.0, "epochs": 5.0}, "b": {"available": 2000.0, "epochs": 2.5}}
    notes = module._notes(comparison, tokens)
    assert notes[0].startswith("A has 1,000 tokens and was read 5.0 times")
    assert notes[1].startswith("differences below 2.5% are not seen")
    assert len(notes) == 2


def _comparison() -> Any:
    from seimai.model.paired import compare_paired

    cost = np.full((2, 4), 10.0)
    return compare_paired(cost, cost, np.full(4, 10), range(4))


def test_what_cannot_be_compared(
    small_tokens: Path,
    make_tokens: Callable[..., Path],
    documents: list[list[int]],
    config: TrainConfig,
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match="--seeds 1"):
        ablate(config, Side(small_tokens), Side(small_tokens), tmp_path, seeds=1)
    none = make_tokens(documents[:20], "none")
    with pytest.raises(InputError, match="fewer than two held-out documents"):
        ablate(config, Side(none), Side(none), tmp_path)
    other = make_tokens(documents[:40], "other", held_out_every=10)
    manifest = read_json(other / "manifest.json")
    manifest["tokenizer"]["fingerprint"] = "cd" * 32
    (other / "manifest.json").write_text(canonical_json(manifest), encoding="utf-8")
    with pytest.raises(ConfigError, match="different tokenizers"):
        ablate(config, Side(small_tokens), Side(other), tmp_path)
