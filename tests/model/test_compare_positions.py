"""Kinds of positions side by side: equal trainings, nothing computed twice, n/a beyond the learned table."""

from pathlib import Path

import pytest

from seimai.config import parse_config
from seimai.errors import ConfigError, InputError
from seimai.files import read_json
from seimai.model import position_report
from seimai.model.compare_positions import compare_positions
from seimai.model.position_report import plot_svg, table_markdown
from seimai.model.train_config import TrainConfig


@pytest.fixture(scope="module")
def config() -> TrainConfig:
    return parse_config(
        {
            "model": {"depth": 1, "d_model": 16, "n_heads": 2, "row_tokens": 16},
            "data": {"batch_rows": 4},
            "train": {"steps": 3, "device": "cpu", "evaluate": False},
        },
        TrainConfig,
        place="test",
    )


@pytest.fixture(scope="module")
def folder(small_tokens: Path, config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("positions")
    found = compare_positions(config, small_tokens, out, seeds=2, kinds=("rope", "learned", "alibi"), max_windows=4)
    assert (found.finished, found.trained) == (True, 6)
    return out


def test_every_kind_and_scaling_has_a_row(folder: Path) -> None:
    facts = read_json(folder / "positions.json")
    rows = {(row["positions"], row["scaling"]): row for row in facts["rows"]}
    scalings = ["none", "linear", "ntk", "dynamic", "yarn", "llama3"]
    assert set(rows) == {("learned", "none"), ("alibi", "none"), *(("rope", each) for each in scalings)}
    assert [cell is None for cell in rows["learned", "none"]["nats_by_length"]] == [False, True, True, True]
    assert rows["learned", "none"]["nats_by_position"] is None
    first = {scaling: rows["rope", scaling]["nats_by_length"][0] for scaling in scalings}
    assert all(cell == first["none"] for cell in first.values())
    assert [row["bits_per_byte"]["mean"] for row in facts["rows"]] == sorted(
        row["bits_per_byte"]["mean"] for row in facts["rows"]
    )


def test_kinds_are_trained_on_the_same_rows_from_the_same_seed(folder: Path) -> None:
    orders = {read_json(folder / kind / "seed-1" / "order.json")["seed"] for kind in ("rope", "learned", "alibi")}
    assert orders == {1}
    lines = [(folder / kind / "seed-1" / "order.json").read_text() for kind in ("rope", "learned", "alibi")]
    assert len(set(lines)) == 1


def test_the_same_call_computes_nothing_again(folder: Path, small_tokens: Path, config: TrainConfig) -> None:
    names = ("positions.json", "positions.md", "positions.svg")
    before = {name: (folder / name).read_bytes() for name in names}
    scored = (folder / "rope" / "seed-0.json").stat().st_mtime_ns
    again = compare_positions(config, small_tokens, folder, seeds=2, kinds=("rope", "learned", "alibi"), max_windows=4)
    assert again.trained == 0
    assert {name: (folder / name).read_bytes() for name in names} == before
    assert (folder / "rope" / "seed-0.json").stat().st_mtime_ns == scored


def test_it_leaves_when_asked_and_goes_on(small_tokens: Path, config: TrainConfig, tmp_path: Path) -> None:
    asked = iter([False, False, False, False, True])
    left = compare_positions(
        config, small_tokens, tmp_path, seeds=2, kinds=("none", "t5"), max_windows=2, stop=lambda: next(asked)
    )
    assert not left.finished
    assert not (tmp_path / "positions.json").exists()
    done = compare_positions(config, small_tokens, tmp_path, seeds=2, kinds=("none", "t5"), max_windows=2)
    assert (done.finished, done.trained) == (True, 3)  # one was finished before, one half


def test_the_table(folder: Path) -> None:
    lines = table_markdown(read_json(folder / "positions.json")).splitlines()
    assert lines[0] == (
        "| positions | bits per byte | en | against rope, 95 % | 16 (1×) | 32 (2×) | 64 (4×) | 128 (8×) |"
    )
    assert len({line.count("|") for line in lines}) == 1
    learned = next(line for line in lines if line.startswith("| learned"))
    assert learned.endswith("| n/a | n/a | n/a |")
    assert sum(line.startswith("| rope, ") for line in lines) == 5


def test_without_matplotlib_the_table_is_written(
    folder: Path, small_tokens: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert position_report.plot_svg(read_json(folder / "positions.json")) is None
    found = compare_positions(config, small_tokens, folder, seeds=2, kinds=("rope", "learned", "alibi"), max_windows=4)
    assert found.plot is None
    assert found.table.is_file()


def test_the_plot_is_the_same_bytes_every_time(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    facts = read_json(folder / "positions.json")
    assert plot_svg(facts) == plot_svg(facts)
    assert b"rope, yarn" in (plot_svg(facts) or b"")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": 1}, "give 2 or more"),
        ({"lengths": (2, 4)}, "multiples from 1 on"),
        ({"kinds": ("rotary",)}, "--kinds rotary is none; use learned"),
    ],
)
def test_what_cannot_be_asked(
    small_tokens: Path, config: TrainConfig, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        compare_positions(config, small_tokens, tmp_path, **options)  # type: ignore[arg-type]


def test_texts_must_be_long_enough(small_tokens: Path, config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no held-out document of 16,001 tokens"):
        compare_positions(config, small_tokens, tmp_path, lengths=(1, 1000))
