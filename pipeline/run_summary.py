"""What a finished run tells."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seimai.errors import RunError

__all__ = ["RunSummary"]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a finished run tells: its totals, and the parts that failed with their errors."""

    out: Path | str
    totals: dict[str, Any]
    failed_parts: list[dict[str, str]] = field(default_factory=list)
    changed: bool = True
    canary_errors: list[str] = field(default_factory=list)
    canary_warnings: list[str] = field(default_factory=list)

    def raise_for_canaries(self) -> None:
        """Raise RunError when a good canary was dropped (under `canaries.strict` also when a bad one was kept)."""
        if self.canary_errors:
            raise RunError(
                f"{'; '.join(self.canary_errors)}; everything is written, but pages like it are lost: "
                "loosen the rule, or set canaries.shipped=false if that is meant"
            )
