"""The loop: it learns, its folder is complete, and no interruption changes a bit of what it makes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from seimai.config import dump_toml, load_config, parse_config
from seimai.errors import RunError, SeimaiError
from seimai.files import sha256_file
from seimai.model.checkpoint import load_model
from seimai.model.folder import locked
from seimai.model.generate import Sampling, generate
from seimai.model.metrics import read_metrics
from seimai.model.order import Order
from seimai.model.train import train
from seimai.model.train_config import TrainConfig

CHILD = """
import sys
from pathlib import Path
from seimai.model.train import train
config, data, out = map(Path, sys.argv[1:])
print(train(config, data, out).steps)
"""


def changed(config: TrainConfig, **sections: dict[str, Any]) -> TrainConfig:
    plain = config.model_dump()
    return parse_config({key: plain[key] | sections.get(key, {}) for key in plain}, TrainConfig, place="test")


def losses(out: Path) -> list[tuple[int, float, float]]:
    return [(line["step"], line["loss"], line["grad_norm"]) for line in read_metrics(out / "metrics.jsonl")]


def weights(out: Path) -> str:
    return sha256_file(out / "final" / "model.safetensors")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tiny_config: TrainConfig, small_tokens: Path) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    train(tiny_config, small_tokens, out)
    return out


def test_folder_is_complete(undisturbed: Path, tiny_config: TrainConfig, small_tokens: Path) -> None:
    names = {str(path.relative_to(undisturbed)) for path in undisturbed.rglob("*") if path.is_file()}
    final = {f"final/{name}" for name in ("model.safetensors", "config.json", "tokenizer.json")}
    steps = {
        f"checkpoints/step-{step:08d}/{name}"
        for step in (8, 12)
        for name in ("model.safetensors", "optimizer.safetensors", "checkpoint.json")
    }
    assert names == final | steps | {".lock", "metrics.jsonl", "order.json", "config.toml", "eval.json"}
    assert load_config(undisturbed / "config.toml", TrainConfig) == tiny_config
    order = json.loads((undisturbed / "order.json").read_text())
    described = Order(small_tokens, seed=0, row_tokens=32, batch_rows=4).describe()
    assert {key: order[key] for key in described} == described
    assert (undisturbed / order["data_dir"]).resolve() == small_tokens.resolve()
    lines = read_metrics(undisturbed / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(12))
    assert set(lines[0]) == {"step", "loss", "tokens", "tokens_per_s", "lr", "grad_norm"}
    counted = [int(Order(small_tokens, seed=0, row_tokens=32, batch_rows=4).rows(s).counted.sum()) for s in range(12)]
    assert lines[-1]["tokens"] == sum(counted)


def test_it_learns(small_tokens: Path, tiny_config: TrainConfig, tmp_path: Path) -> None:
    config = changed(tiny_config, train={"steps": 60}, data={"batch_rows": 16}, optimizer={"learning_rate": 1e-2})
    summary = train(config, small_tokens, tmp_path)
    assert summary.finished
    assert summary.first_loss == pytest.approx(5.576, abs=0.1)
    assert summary.last_loss is not None
    assert summary.last_loss < 3.5
    before, after = (summary.evaluation[when]["all"]["bits_per_byte"] for when in ("before", "after"))
    assert after < 0.7 * before
    assert summary.parameters == sum(p.numel() for p in load_model(tmp_path)[0].parameters())
    assert len(generate(tmp_path, ["Rice"], sampling=Sampling(max_new_tokens=5, temperature=0))[0]) > 0


@pytest.mark.parametrize("stops", [(5,), (4, 5, 11)])
def test_resume_is_exact(
    undisturbed: Path, tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    for stop in stops:
        summary = train(tiny_config, small_tokens, tmp_path, stop=stop.__eq__)
        assert (summary.steps, summary.finished) == (stop, False)
    summary = train(tiny_config, small_tokens, tmp_path)
    assert (summary.trained_steps, summary.finished) == (12 - stops[-1], True)
    assert summary.notes[0] == f"went on from step {stops[-1]}"
    assert losses(tmp_path) == losses(undisturbed)
    assert weights(tmp_path) == weights(undisturbed)
    assert (tmp_path / "eval.json").read_bytes() == (undisturbed / "eval.json").read_bytes()


def test_resume_is_exact_with_dropout_muon_and_micro_batches(
    tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path
) -> None:
    config = changed(
        tiny_config,
        model={"dropout": 0.1, "positions": "t5"},
        optimizer={"name": "muon", "schedule": "wsd"},
        train={"micro_batch_rows": 3, "evaluate": False},
    )
    train(config, small_tokens, tmp_path / "whole")
    train(config, small_tokens, tmp_path / "parts", stop=lambda done: done == 7)
    torch.manual_seed(99)
    train(config, small_tokens, tmp_path / "parts")
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")


def test_resume_is_exact_with_two_threads(tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path) -> None:
    config = changed(
        tiny_config, model={"d_model": 64, "row_tokens": 128, "positions": "t5"}, train={"steps": 6, "evaluate": False}
    )
    torch.set_num_threads(2)
    try:
        train(config, small_tokens, tmp_path / "whole")
        train(config, small_tokens, tmp_path / "parts", stop=lambda done: done == 3)
        train(config, small_tokens, tmp_path / "parts")
        assert weights(tmp_path / "parts") == weights(tmp_path / "whole")
        train(config, small_tokens, tmp_path / "mixed", stop=lambda done: done == 3)
        torch.set_num_threads(1)
        notes = train(config, small_tokens, tmp_path / "mixed").notes
    finally:
        torch.set_num_threads(1)
    assert notes[1].startswith("the machine changed (threads 2 -> 1)")


def test_micro_batches_give_the_same_losses(
    undisturbed: Path, tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path
) -> None:
    train(changed(tiny_config, train={"micro_batch_rows": 3}), small_tokens, tmp_path)
    for (_, ours, norm), (_, theirs, norm_before) in zip(losses(tmp_path), losses(undisturbed), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
        assert norm == pytest.approx(norm_before, rel=1e-3)


def child(config: TrainConfig, data: Path, out: Path) -> subprocess.Popen[str]:
    path = out.parent / "child.toml"
    path.write_text(dump_toml(config), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(data), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )


def wait_for_steps(out: Path, steps: int, process: subprocess.Popen[str]) -> None:
    limit = time.monotonic() + 60
    while len(read_metrics(out / "metrics.jsonl")) < steps:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_training_ends_with_the_same_bits(
    tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path, number: signal.Signals
) -> None:
    config = changed(tiny_config, train={"steps": 400, "checkpoint_every": 20, "evaluate": False})
    train(config, small_tokens, tmp_path / "whole")
    process = child(config, small_tokens, tmp_path / "killed")
    wait_for_steps(tmp_path / "killed", 47, process)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    done = len(read_metrics(tmp_path / "killed" / "metrics.jsonl"))
    assert 47 <= done < 400
    if number == signal.SIGTERM:
        assert (process.returncode, output.strip(), errors) == (0, str(done), "")
        assert (tmp_path / "killed" / "checkpoints" / f"step-{done:08d}").is_dir()
    else:
        assert process.returncode == -signal.SIGKILL
    train(config, small_tokens, tmp_path / "killed")
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")


def test_finished_computes_nothing_again(undisturbed: Path, tiny_config: TrainConfig, small_tokens: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*.safetensors")}
    summary = train(tiny_config, small_tokens, undisturbed)
    assert summary.notes == ("already finished; nothing was computed again",)
    assert (summary.trained_steps, summary.steps, summary.finished) == (0, 12, True)
    assert before == {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*.safetensors")}


@pytest.mark.parametrize(
    ("sections", "options", "said"),
    [
        ({}, {"seed": 1}, "train.seed = 0, not 1; give another --out or --seed 0"),
        ({}, {"steps": 13}, "train.steps = 12, not 13; give another --out or --steps 12"),
        ({"model": {"positions": "t5"}}, {}, "model.positions = rope, not t5; give another --out or set"),
        ({"data": {"skip": [1]}}, {}, "data.skip = [], not [1]"),
    ],
)
def test_other_settings_in_the_same_folder_are_refused(
    undisturbed: Path,
    tiny_config: TrainConfig,
    small_tokens: Path,
    sections: dict[str, dict[str, Any]],
    options: dict[str, Any],
    said: str,
) -> None:
    with pytest.raises(RunError) as caught:
        train(changed(tiny_config, **sections), small_tokens, undisturbed, **options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_no_weight_depends_on_may_change(
    undisturbed: Path, tiny_config: TrainConfig, small_tokens: Path
) -> None:
    train(changed(tiny_config, train={"keep_last": 5}, data={"verify": "hash"}), small_tokens, undisturbed)
    train(tiny_config, small_tokens, undisturbed)


def test_checkpoints_of_another_training_are_refused(
    tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path
) -> None:
    train(tiny_config, small_tokens, tmp_path, stop=lambda done: done == 2)
    (tmp_path / "config.toml").unlink()
    (tmp_path / "order.json").unlink()
    with pytest.raises(RunError, match="belongs to another config, data or seed"):
        train(tiny_config, small_tokens, tmp_path, seed=1)


def test_other_data_in_the_same_folder_are_refused(
    undisturbed: Path, tiny_config: TrainConfig, make_tokens: Callable[..., Path]
) -> None:
    with pytest.raises(RunError, match="was begun with other token shards"):
        train(tiny_config, make_tokens([[256, 65, 257]]), undisturbed)


def test_one_training_at_a_time(tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(RunError, match="another training runs in it"):
        train(tiny_config, small_tokens, tmp_path)


def test_a_folder_that_cannot_be_made_is_one_line(tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        train(tiny_config, small_tokens, tmp_path / "file")


def test_a_damaged_checkpoint_names_the_remedy(
    tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path, undisturbed: Path
) -> None:
    train(tiny_config, small_tokens, tmp_path, stop=lambda done: done == 9)
    path = tmp_path / "checkpoints" / "step-00000009"
    data = bytearray((path / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (path / "model.safetensors").write_bytes(data)
    with pytest.raises(SeimaiError, match=r"step-00000009 to go on from the checkpoint before it"):
        train(tiny_config, small_tokens, tmp_path)
    for file in path.iterdir():
        file.unlink()
    path.rmdir()
    train(tiny_config, small_tokens, tmp_path)
    assert losses(tmp_path) == losses(undisturbed)
    assert weights(tmp_path) == weights(undisturbed)


def test_a_diverging_run_says_so(tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path) -> None:
    config = changed(tiny_config, optimizer={"learning_rate": 1e38, "grad_clip": 0.0})
    with pytest.raises(RunError, match=r"step \d+: loss .*lower optimizer.learning_rate"):
        train(config, small_tokens, tmp_path)


def test_progress_and_threads_other_than_the_main_one(
    tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path
) -> None:
    console = Console(file=StringIO(), force_terminal=True, width=100)
    thread = threading.Thread(target=train, args=(tiny_config, small_tokens, tmp_path), kwargs={"console": console})
    thread.start()
    thread.join()
    assert isinstance(console.file, StringIO)
    assert "12/12" in console.file.getvalue()
    assert "tokens/s" in console.file.getvalue()


@pytest.mark.parametrize("preset", ["llama", "gpt2", "mpt"])
@pytest.mark.parametrize("kind", ["learned", "sinusoidal", "shaw", "t5", "alibi", "none"])
def test_every_kind_trains(
    tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path, kind: str, preset: str
) -> None:
    config = changed(tiny_config, model={"positions": kind, "preset": preset}, train={"steps": 3, "evaluate": False})
    summary = train(config, small_tokens, tmp_path)
    assert summary.finished
    assert (
        load_file(tmp_path / "final" / "model.safetensors").keys() == dict(load_model(tmp_path)[0].state_dict()).keys()
    )
