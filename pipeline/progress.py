"""Progress of long work: a bar per stage with rate, time left and kept share; or nothing, for libraries and tests."""

from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

__all__ = ["Progress", "Silent", "Terminal"]


class Progress(Protocol):
    """What long work tells."""

    def begin(self, stage: str, total: int) -> None:
        """A stage begins; `total` in the stage's own unit, 0 where it is not known."""

    def advance(self, stage: str, amount: int, *, documents: int = 0, kept: int = 0) -> None:
        """Some of it is done."""

    def note(self, stage: str, text: str) -> None:
        """Something to say of the stage beside its bar."""

    def end(self, stage: str) -> None:
        """The stage is done."""


class Silent:
    """Tells nobody."""

    def begin(self, stage: str, total: int) -> None:
        """Nothing."""

    def advance(self, stage: str, amount: int, *, documents: int = 0, kept: int = 0) -> None:
        """Nothing."""

    def note(self, stage: str, text: str) -> None:
        """Nothing."""

    def end(self, stage: str) -> None:
        """Nothing."""


class Terminal:
    """Bars in the terminal; on one that is no terminal, one line a stage when it ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Bars(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=12),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._counts: dict[str, list[int]] = {}
        self._notes: dict[str, str] = {}

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tasks:
            self._bars.stop()

    def begin(self, stage: str, total: int) -> None:
        """Show a bar for the stage."""
        if not self._tasks:
            self._bars.start()  # not before: an error in the input leaves one line and nothing else
        self._tasks[stage] = self._bars.add_task(stage, total=total or None, rate="")
        self._counts[stage] = [0, 0, 0]

    def advance(self, stage: str, amount: int, *, documents: int = 0, kept: int = 0) -> None:
        """Move the bar; rates are averages since the stage began."""
        counts = self._counts[stage]
        for at, more in enumerate((amount, documents, kept)):
            counts[at] += more
        task = self._bars.tasks[self._tasks[stage]]
        self._bars.update(self._tasks[stage], advance=amount, rate=self._rate(stage, task.elapsed or 0.0))

    def note(self, stage: str, text: str) -> None:
        """Show a text behind the rate, until the next one."""
        self._notes[stage] = text

    def end(self, stage: str) -> None:
        """Fill the bar."""
        task = self._bars.tasks[self._tasks[stage]]
        self._bars.update(self._tasks[stage], completed=task.completed or 1, total=task.completed or 1)

    def _rate(self, stage: str, elapsed_s: float) -> str:
        amount, documents, kept = self._counts[stage]
        if elapsed_s <= 0:
            return ""
        if stage == "fetch":
            return f"{amount / elapsed_s / 1e6:,.1f} MB/s {self._notes.get(stage, '')}"
        if stage in ("read", "wet"):
            share = f" {kept / documents:.0%} kept" if documents else ""
            note = f" {self._notes[stage]}" if stage in self._notes else ""
            return f"{documents / elapsed_s:,.0f} docs/s {amount / elapsed_s / 1e6:,.1f} MB/s{share}{note}"
        return f"{amount / elapsed_s:,.0f}/s"
