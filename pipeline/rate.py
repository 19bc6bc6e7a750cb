"""Start times for requests to hosts that ask for restraint, given in one place to every worker of a run.

A worker asks before each request. It gets a start time at most `HORIZON_S` ahead, or is told to ask again; so a
back-off reaches everybody at once, and a worker that dies takes no more than one start time with it. A grant is void
`GRANT_S` after its start, and starts are spaced for 95 % of the rate: however late workers wake, the requests begun in
any 10 s are at most (10 + GRANT_S) x 0.95 x rate + burst, which is below 10 x rate + burst.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["GRANT_S", "THROTTLES", "Answer", "Ask", "Limiter", "Pace", "wait_for_start"]

HORIZON_S = 0.25
GRANT_S = 0.5
MARGIN = 0.95
RETRY_AFTER_MAX_S = 3600.0
THROTTLES = frozenset({429, 500, 502, 503, 504})
"""Statuses by which a server says that it is busy."""

Answer = dict[str, Any]
Ask = Callable[[dict[str, Any]], Answer]
"""A question to the limiter, wherever it lives; plain values both ways."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a host may be asked, and how long to leave it alone when it is busy."""

    requests_per_s: float = 2.0
    burst: int = 1
    backoff_s: float = 1.0
    """The first pause; each further one is twice as long."""
    backoff_max_s: float = 60.0

    @property
    def spacing_s(self) -> float:
        """Time between two starts."""
        return 1.0 / (self.requests_per_s * MARGIN)


@dataclass(slots=True)
class _Host:
    """What is known of one host: times of the limiter's clock."""

    next_start: float
    paused_until: float = 0.0
    failures: int = 0
    stop: str = ""


@dataclass(slots=True)
class Limiter:
    """The one place. `answer` takes `ask` and `tell` messages from any thread; times are of its own clock."""

    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    forward: Ask | None = None
    """Another limiter that answers instead (the scheduler's, once a driver has joined a cluster)."""
    _hosts: dict[str, _Host] = field(default_factory=dict)
    _counts: dict[str, float] = field(default_factory=lambda: {"requests": 0, "failures": 0, "bytes": 0, "waited_s": 0})
    _lock: Any = field(default_factory=threading.Lock)

    def answer(self, message: dict[str, Any]) -> Answer:
        """Answer one message: op `ask` (host, pace), `tell` (host, pace, status, …), `stop` (host, why) or `counts`."""
        if self.forward is not None:
            return self.forward(message)
        with self._lock:
            if message["op"] == "counts":
                return dict(self._counts)
            for name in ("bytes", "waited_s"):
                self._counts[name] += message.get(name, 0)
            if message["op"] == "count":
                return {}
            pace = Pace(*message["pace"])
            # A bucket begins empty: a run that is started again goes on at the rate of the one before it.
            host = self._hosts.setdefault(message["host"], _Host(self.clock() + pace.burst * pace.spacing_s))
            if message["op"] == "ask":
                return self._grant(host, pace)
            self._learn(host, pace, message)
            return {}

    def _grant(self, host: _Host, pace: Pace) -> Answer:
        if host.stop:
            return {"stop": host.stop}
        now = self.clock()
        start = max(host.next_start - (pace.burst - 1) * pace.spacing_s, host.paused_until, now)
        if start > now + HORIZON_S:
            return {"again_s": start - now - HORIZON_S / 2}
        host.next_start = max(host.next_start, start) + pace.spacing_s
        self._counts["requests"] += 1
        return {"start_s": start - now}

    def _learn(self, host: _Host, pace: Pace, message: dict[str, Any]) -> None:
        """A failure pauses the host for all, unless its request began before the last pause; a success ends that."""
        if message["op"] == "stop":
            host.stop = message["why"]
            return
        now = self.clock()
        old_news = now - message["age_s"] < host.paused_until
        if message["failed"]:
            self._counts["failures"] += 1
            asked = message.get("retry_after_s")
            if asked is not None:
                host.paused_until = max(host.paused_until, now + min(asked, RETRY_AFTER_MAX_S))
            if old_news:
                return
            pause = min(pace.backoff_s * 2**host.failures, pace.backoff_max_s) * (0.5 + self.jitter())
            host.failures = min(host.failures + 1, 30)
            host.paused_until = max(host.paused_until, now + pause)
        elif not old_news:
            host.failures = 0


def wait_for_start(ask: Ask, host: str, pace: Pace, *, clock: Callable[[], float] = time.monotonic) -> str:
    """Wait until a request to `host` may begin; returns "" then, or the reason why none may any more.

    The time that asking took is counted as lateness, so that no clocks are compared.
    """
    began = clock()
    fields = [pace.requests_per_s, pace.burst, pace.backoff_s, pace.backoff_max_s]
    while True:
        asked = clock()
        answer = ask({"op": "ask", "host": host, "pace": fields})
        if answer.get("stop"):
            return str(answer["stop"])
        if "start_s" in answer:
            time.sleep(answer["start_s"])
            if clock() - asked - answer["start_s"] <= GRANT_S:
                ask({"op": "count", "waited_s": clock() - began})
                return ""
        else:
            time.sleep(min(answer["again_s"], 1.0))
