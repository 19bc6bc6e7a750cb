"""Logs become arrays: what each step says, gaps where it says nothing, and means that leave no step out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seimai.errors import RunError
from seimai.model.training_series import keep_lengths, read_training, thinned


def write_lines(folder: Path, lines: list[dict[str, Any]]) -> None:
    text = "".join(
        json.dumps({"step": step, "tokens": 8 * (step + 1), **line}) + "\n" for step, line in enumerate(lines)
    )
    (folder / "metrics.jsonl").write_text(text, encoding="utf-8")


@given(st.lists(st.none() | st.floats(-1e3, 1e3), min_size=1, max_size=60), st.integers(1, 70))
def test_thinned_by_hand(values: list[float | None], most: int) -> None:
    """Against a plain walk over the bins."""
    line = thinned(np.array([np.nan if each is None else each for each in values]), most)
    width = max(1, -(-len(values) // most))
    bins = [values[first : first + width] for first in range(0, len(values), width)]
    assert len(line.step) == len(bins) <= most
    at = 0
    for place, each in enumerate(bins):
        steps, known = range(at, at + len(each)), [value for value in each if value is not None]
        at += len(each)
        assert line.step[place] == sum(steps) / len(steps)
        if not known:
            assert np.isnan([line.mean[place], line.low[place], line.high[place]]).all()
            continue
        assert (line.low[place], line.high[place]) == (min(known), max(known))
        assert line.mean[place] == pytest.approx(sum(known) / len(known), abs=1e-9)


def test_columns_groups_and_evaluations(tmp_path: Path) -> None:
    by = {"lang": {"ja": {"loss": 2.0, "targets": 5}, "en": {"loss": 3.0, "targets": 9}}}
    write_lines(tmp_path, [{"loss": 4.0}, {"loss": None, "by": by, "mfu_6nd": 0.4}, {"loss": 3.0, "mfu_6nd": 0.5}])
    scores = {"after": 1.0, "before": 3.0, "step-00000002": 2.0}
    plain = {when: {"all": {"bits_per_byte": value}} for when, value in scores.items()}
    (tmp_path / "eval.json").write_text(json.dumps(plain), encoding="utf-8")
    log = read_training(tmp_path)
    assert (log.steps, log.tokens) == (3, 24)
    np.testing.assert_array_equal(log.columns["loss"], [4.0, np.nan, 3.0])
    np.testing.assert_array_equal(log.columns["mfu_6nd"], [np.nan, 0.4, 0.5])
    assert "lr" not in log.columns
    found = {name: (steps.tolist(), losses.tolist()) for name, (steps, losses) in log.by["lang"].items()}
    assert list(found.items()) == [("en", ([1.0], [3.0])), ("ja", ([1.0], [2.0]))]
    steps, bits = log.held_out["all"]
    assert (steps.tolist(), bits.tolist()) == ([0.0, 2.0, 3.0], [3.0, 2.0, 1.0])


def test_lengths_gather_by_scaling(tmp_path: Path) -> None:
    keep_lengths(tmp_path, "none", {32: 2.0})
    assert not (tmp_path / "lengths.json").exists()
    write_lines(tmp_path, [{"loss": 4.0}])
    keep_lengths(tmp_path, "none", {32: 9.0})
    keep_lengths(tmp_path, "none", {32: 2.0, 256: None, 64: 2.5})
    keep_lengths(tmp_path, "yarn", {32: 2.0})
    keep_lengths(tmp_path, "ntk", {})
    lengths = read_training(tmp_path).lengths
    assert lengths == {"none": {32: 2.0, 64: 2.5, 256: None}, "yarn": {32: 2.0}}
    assert list(lengths["none"]) == [32, 64, 256]


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no step of a training there \(metrics.jsonl\); give the --out"):
        read_training(tmp_path)
