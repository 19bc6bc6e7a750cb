"""metrics.jsonl has every step once, whatever stood in it before."""

from pathlib import Path

import pytest

from seimai.errors import VerifyError
from seimai.model.metrics import MetricsFile, read_metrics


@pytest.mark.parametrize("tail", ["", '{"step": 3', '{"step":3}\n{"st', '{"step":3}\n{"step":4}\n'])
def test_resuming_cuts_back_to_the_checkpoint(tmp_path: Path, tail: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step":0}\n{"step":1}\n{"step":2}\n' + tail)
    with MetricsFile(path, 3) as metrics:
        metrics.append({"step": 3, "loss": 1.5})
        metrics.sync()
    assert [line["step"] for line in read_metrics(path)] == [0, 1, 2, 3]
    assert path.read_text().endswith('{"loss":1.5,"step":3}\n')


def test_missing_steps_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step":0}\n{"step":2}\n')
    with pytest.raises(VerifyError, match="steps before the checkpoint's 2 are missing"):
        MetricsFile(path, 2)


def test_no_file_is_no_metrics(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "none") == []
