"""Checkpoints written by a thread while the training goes on: one at a time, and an error is never silent."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from .checkpoint import Snapshot, write_checkpoint

__all__ = ["CheckpointWriter"]


class CheckpointWriter:
    """Writes snapshots below `directory`; leaving its `with` block waits for the last one."""

    def __init__(self, directory: Path, *, keep_last: int, tokenizer: Path | None = None) -> None:
        self._directory, self._keep_last, self._tokenizer = directory, keep_last, tokenizer
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="seimai-checkpoint")
        self._pending: Future[Path] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
        if kind is None:
            self.wait()

    def save(self, snapshot: Snapshot) -> None:
        """Begin to write a snapshot, once the one before it is on the disk."""
        self.wait()
        self._pending = self._thread.submit(
            write_checkpoint, self._directory, snapshot, keep_last=self._keep_last, tokenizer=self._tokenizer
        )

    def wait(self) -> None:
        """Until nothing is being written; raises what went wrong (OSError for a full disk)."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()
