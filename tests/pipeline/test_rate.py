"""Start times by a clock of our own: spaced, paused for all after a failure, ended by a stop."""

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seimai.pipeline.rate import GRANT_S, HORIZON_S, Limiter, Pace, wait_for_start

PACE = [10.0, 1, 1.0, 8.0]


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def limiter() -> tuple[Limiter, Clock]:
    clock = Clock()
    return Limiter(clock=clock, jitter=lambda: 0.5), clock


def ask(one: Limiter, pace: list[float] = PACE, host: str = "h") -> dict[str, Any]:
    return one.answer({"op": "ask", "host": host, "pace": pace})


def tell(one: Limiter, *, failed: bool, age_s: float = 0.0, retry_after_s: float | None = None) -> None:
    fields = {"failed": failed, "age_s": age_s, "retry_after_s": retry_after_s}
    one.answer({"op": "tell", "host": "h", "pace": PACE, **fields})


@given(st.floats(0.5, 50), st.integers(1, 5), st.lists(st.floats(0, 0.5), min_size=50, max_size=200))
def test_no_ten_seconds_hold_too_many_even_when_all_start_late(rate: float, burst: int, steps: list[float]) -> None:
    one, clock = limiter()
    starts = []
    for step in steps:
        clock.now += step
        answer = ask(one, [rate, burst, 1.0, 8.0])
        if "start_s" in answer:
            assert answer["start_s"] <= HORIZON_S + 1e-9
            starts.append(clock.now + answer["start_s"])
    for begin in starts:  # each may begin up to GRANT_S late
        assert sum(begin <= other < begin + 10 + GRANT_S for other in starts) <= 10 * rate + burst + 1e-6


def test_a_bucket_begins_empty_and_hosts_do_not_share() -> None:
    one, clock = limiter()
    assert "again_s" in ask(one, [2.0, 1, 1.0, 8.0])
    clock.now += 1.0
    assert "start_s" in ask(one, [2.0, 1, 1.0, 8.0])
    assert "again_s" in ask(one, [2.0, 1, 1.0, 8.0])
    assert "again_s" in ask(one, [2.0, 1, 1.0, 8.0], host="other")


def test_failures_double_the_pause_for_all_and_a_success_ends_that() -> None:
    one, clock = limiter()
    ask(one)
    for pause in (1.0, 2.0, 4.0, 8.0, 8.0):
        tell(one, failed=True)
        tell(one, failed=True, age_s=0.5)  # began before the pause: no news
        clock.now += pause - 0.5
        assert "again_s" in ask(one)
        clock.now += 0.5
        assert "start_s" in ask(one)
        clock.now += 0.2
    tell(one, failed=False, age_s=0.1)
    tell(one, failed=True)
    clock.now += 1.0
    assert "start_s" in ask(one)


@pytest.mark.parametrize(("asked_s", "pause_s"), [(30.0, 30.0), (0.0, 1.0), (1e9, 3600.0)])
def test_retry_after_is_a_least_and_has_a_most(asked_s: float, pause_s: float) -> None:
    one, clock = limiter()
    ask(one)
    tell(one, failed=True, retry_after_s=asked_s)
    clock.now += pause_s - 0.3
    assert "again_s" in ask(one)
    clock.now += 0.4
    assert "start_s" in ask(one)


def test_a_stop_is_for_good_and_for_its_host() -> None:
    one, clock = limiter()
    one.answer({"op": "stop", "host": "h", "pace": PACE, "why": "403"})
    clock.now += 1e6
    assert ask(one) == {"stop": "403"}
    assert "stop" not in ask(one, host="other")


def test_a_grant_that_wakes_too_late_is_void() -> None:
    """A worker that slept through its start asks anew."""
    answers = [{"start_s": 0.0}, {"start_s": 0.0}]
    asked: list[str] = []
    times = iter([0.0, 0.0, GRANT_S + 0.1, 1.0, 1.1, 1.1])

    def answer(message: dict[str, Any]) -> dict[str, Any]:
        asked.append(message["op"])
        return answers.pop(0) if message["op"] == "ask" else {}

    assert wait_for_start(answer, "h", Pace(), clock=lambda: next(times)) == ""
    assert asked == ["ask", "ask", "count"]


def test_threads_share_one_limiter() -> None:
    one = Limiter()
    count = threading.Semaphore(0)

    def work() -> None:
        for _ in range(5):
            assert wait_for_start(one.answer, "h", Pace(200.0)) == ""
            count.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert one.answer({"op": "counts"})["requests"] == 20
