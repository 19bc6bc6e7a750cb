"""metrics.jsonl: one JSON object a step, without a double or missing step whatever was killed."""

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from seimai.errors import VerifyError
from seimai.files import canonical_json, write_atomic

__all__ = ["MetricsFile", "read_metrics"]


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The objects of a metrics file, up to the first line that is not whole; none where there is no file."""
    if not path.exists():
        return []
    found: list[dict[str, Any]] = []
    for line in path.read_bytes().split(b"\n"):
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


class MetricsFile:
    """The file, cut back to steps [0, first_step) and open for appending step first_step."""

    def __init__(self, path: Path, first_step: int) -> None:
        kept = read_metrics(path)[:first_step]
        if [line.get("step") for line in kept] != list(range(first_step)):
            raise VerifyError(f"{path}: steps before the checkpoint's {first_step} are missing; give another --out")
        write_atomic(path, "".join(canonical_json(line) + "\n" for line in kept))
        self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, line: dict[str, Any]) -> None:
        """Add a step; it survives the end of this process, and with `sync` that of the machine."""
        self._file.write(canonical_json(line) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Bring all lines to the disk; done before every checkpoint, which counts on them."""
        os.fsync(self._file.fileno())
