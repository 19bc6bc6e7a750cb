"""docs/signals.md says what the code declares."""

from pathlib import Path

from seimai.pipeline.presets import preset, preset_names
from seimai.pipeline.signal_columns import COLUMNS
from seimai.pipeline.signal_docs import signal_docs

PAGE = Path(__file__).resolve().parents[2] / "docs" / "signals.md"


def test_page_is_written_from_the_code() -> None:
    assert PAGE.read_text(encoding="utf-8") == signal_docs(), "python -m seimai.pipeline.signal_docs > docs/signals.md"


def test_every_signal_has_a_line_with_its_presets() -> None:
    lines = {line.split("|")[1].strip(): line for line in signal_docs().splitlines() if line.startswith("| `")}
    assert set(lines) == {f"`{name}`" for name in COLUMNS}
    for known in preset_names():
        for rule in preset(known).rules:
            if rule.column in COLUMNS:
                assert preset(known).name in lines[f"`{rule.column}`"].rsplit("|", 2)[1]
    for line in lines.values():
        assert all(part.strip() for part in line.replace("\\|", "").split("|")[1:5]), line
