"""What counts as a spike, and that the history is exact."""

import json
import math
import statistics

import pytest

from seimai.errors import RunError
from seimai.model.spikes import MOST_SKIPPED_IN_A_ROW, SpikeGuard


def guard_after(losses: list[float], window: int = 8, sigmas: float = 6.0) -> SpikeGuard:
    guard = SpikeGuard(window, sigmas)
    for loss in losses:
        guard.judge(loss, 1.0)
    return guard


STEADY = [3.0, 3.1, 2.9, 3.05, 2.95, 3.0, 3.1, 2.9]


@pytest.mark.parametrize(
    ("loss", "grad_norm", "found"),
    [
        (3.2, 1.0, None),
        (1.0, 0.1, None),
        (3.0 + 6.01 * statistics.pstdev(STEADY), 1.0, "loss 3.45 above 3 + 6 · 0.075"),
        (3.0 + 5.99 * statistics.pstdev(STEADY), 1.0, None),
        (3.0, 1.0059, None),
        (3.0, 1.0061, "grad_norm 1.01 above 1 + 6 · 0.001"),
        (math.nan, 1.0, "loss nan"),
        (3.0, math.inf, "grad_norm inf"),
    ],
)
def test_verdicts(loss: float, grad_norm: float, found: str | None) -> None:
    verdict = guard_after(STEADY).judge(loss, grad_norm)
    assert verdict is None if found is None else verdict is not None and verdict.startswith(found)


def test_before_the_window_is_full_only_infinity_is_a_spike() -> None:
    guard = guard_after(STEADY[:-1])
    assert guard.judge(100.0, 1.0) is None
    assert SpikeGuard(8, 6.0).judge(math.inf, 1.0) == "loss inf"


def test_no_sigmas_no_spikes() -> None:
    assert guard_after(STEADY, sigmas=0.0).judge(1e6, 1e6) is None


def test_a_new_level_is_a_spike_only_at_first() -> None:
    guard = guard_after(STEADY)
    verdicts = [guard.judge(9.0, 1.0) for _ in range(12)]
    assert verdicts[0] is not None
    assert verdicts[-8:] == [None] * 8


def test_state_goes_through_json_without_a_rounding() -> None:
    guard = guard_after([1 / 3, 2 / 7, 0.1 + 0.2])
    guard.judge(math.nan, 1.0)
    guard.skip(3)
    other = SpikeGuard(8, 6.0)
    other.load(json.loads(json.dumps(guard.state(), allow_nan=False)))
    assert other.state() == guard.state()
    assert other.mean_loss() == guard.mean_loss() == math.fsum([1 / 3, 2 / 7, 0.1 + 0.2]) / 3
    assert SpikeGuard(8, 6.0).mean_loss() is None


def test_too_many_skipped_in_a_row_end_the_training() -> None:
    guard = SpikeGuard(8, 6.0)
    for step in (0, *range(5, 4 + MOST_SKIPPED_IN_A_ROW)):
        guard.skip(step)
    with pytest.raises(RunError, match=r"step 14: the 10th spike in a row.*lower optimizer.learning_rate"):
        guard.skip(14)
