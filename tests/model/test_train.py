"""The loop: it learns, its folder is complete, and no interruption changes a bit of what it makes."""

import errno
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

import numpy as np
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
from seimai.model.trace import order_from, trace
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
        for name in ("model.safetensors", "optimizer.safetensors", "checkpoint.json", "config.json", "tokenizer.json")
    }
    assert names == final | steps | {".lock", "metrics.jsonl", "order.json", "config.toml", "eval.json"}
    assert load_config(undisturbed / "config.toml", TrainConfig) == tiny_config
    order = json.loads((undisturbed / "order.json").read_text())
    described = Order(small_tokens, seed=0, row_tokens=32, batch_rows=4).describe()
    assert {key: order[key] for key in described} == described
    assert (undisturbed / order["data_dir"]).resolve() == small_tokens.resolve()
    lines = read_metrics(undisturbed / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(12))
    used = {"tokens_per_s", "data_wait_share", "padding_share", "memory_bytes", "mfu_6n", "mfu_attention"}
    assert set(lines[0]) == {"step", "loss", "tokens", "lr", "grad_norm"} | used
    assert set(lines[9]) == set(lines[0]) | {"by"}
    assert all(0 < lines[5][name] for name in ("tokens_per_s", "memory_bytes", "mfu_6n", "mfu_attention"))
    assert all(0 <= lines[5][name] < 1 for name in ("data_wait_share", "padding_share"))
    trained = np.diff([0, *(line["tokens"] for line in lines[:10])])
    mean = np.average([line["loss"] for line in lines[:10]], weights=trained)
    for groups in lines[9]["by"].values():
        targets = [group["targets"] for group in groups.values()]
        assert sum(targets) == lines[9]["tokens"]
        assert np.average([group["loss"] for group in groups.values()], weights=targets) == pytest.approx(mean)


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


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory, tiny_config: TrainConfig, small_tokens: Path) -> Path:
    out = tmp_path_factory.mktemp("long") / "out"
    train(long_config(tiny_config), small_tokens, out)
    return out


def long_config(config: TrainConfig) -> TrainConfig:
    return changed(config, train={"steps": 400, "checkpoint_every": 20, "evaluate": False})


def test_three_kills_end_with_the_same_bits(
    long_run: Path, tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path
) -> None:
    """bench/train_kills.py has thirty, at random moments of a larger model."""
    config = long_config(tiny_config)
    for steps in (47, 121, 240):
        process = child(config, small_tokens, tmp_path / "killed")
        wait_for_steps(tmp_path / "killed", steps, process)
        process.kill()
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        assert steps <= len(read_metrics(tmp_path / "killed" / "metrics.jsonl")) < 400
    train(config, small_tokens, tmp_path / "killed")
    assert losses(tmp_path / "killed") == losses(long_run)
    assert weights(tmp_path / "killed") == weights(long_run)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_training_asked_to_leave_saves_and_leaves(
    long_run: Path, tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path, number: signal.Signals
) -> None:
    config = long_config(tiny_config)
    process = child(config, small_tokens, tmp_path / "left")
    wait_for_steps(tmp_path / "left", 47, process)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    done = len(read_metrics(tmp_path / "left" / "metrics.jsonl"))
    assert 47 <= done < 400
    assert (process.returncode, output.strip(), errors) == (0, str(done), "")
    assert (tmp_path / "left" / "checkpoints" / f"step-{done:08d}").is_dir()
    train(config, small_tokens, tmp_path / "left")
    assert losses(tmp_path / "left") == losses(long_run)
    assert weights(tmp_path / "left") == weights(long_run)


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


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_a_damaged_checkpoint_is_put_aside(
    tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path, undisturbed: Path
) -> None:
    train(tiny_config, small_tokens, tmp_path, stop=lambda done: done == 9)
    damage(tmp_path / "checkpoints" / "step-00000009" / "model.safetensors")
    notes = train(tiny_config, small_tokens, tmp_path).notes
    assert "model.safetensors: changed since it was written; put aside as step-00000009.damaged" in notes[0]
    assert notes[1] == "went on from step 8"
    assert losses(tmp_path) == losses(undisturbed)
    assert weights(tmp_path) == weights(undisturbed)


def test_no_sound_checkpoint_is_an_error(tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path) -> None:
    train(tiny_config, small_tokens, tmp_path, stop=lambda done: done == 1)
    damage(tmp_path / "checkpoints" / "step-00000001" / "optimizer.safetensors")
    with pytest.raises(SeimaiError, match="there is no checkpoint before it: to begin anew remove"):
        train(tiny_config, small_tokens, tmp_path)


def test_a_failed_write_is_an_error(
    tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "checkpoints")

    with monkeypatch.context() as patch:
        patch.setattr("seimai.model.checkpoint.save_file", full)
        with pytest.raises(OSError, match="No space left"):
            train(tiny_config, small_tokens, tmp_path)
    # Found when the next one was due, and nothing half-written is left.
    assert len(read_metrics(tmp_path / "metrics.jsonl")) in range(4, 9)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_every_line_of_a_resumed_run_is_the_same(
    undisturbed: Path, tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path
) -> None:
    for stop in (3, 7):
        train(tiny_config, small_tokens, tmp_path, stop=stop.__eq__)
    train(tiny_config, small_tokens, tmp_path)
    kept = ("step", "loss", "tokens", "lr", "grad_norm", "padding_share", "by")
    ours, theirs = (
        [{key: line[key] for key in kept if key in line} for line in read_metrics(out / "metrics.jsonl")]
        for out in (tmp_path, undisturbed)
    )
    assert ours == theirs
    assert "by" in ours[9]


def test_the_best_checkpoint_is_kept_and_a_model(tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path) -> None:
    config = changed(tiny_config, train={"checkpoint_every": 2, "evaluate_every": 4, "keep_last": 1})
    train(config, small_tokens, tmp_path)
    scores = json.loads((tmp_path / "eval.json").read_text())
    assert set(scores) == {"before", "after", "step-00000004", "step-00000008", "step-00000012"}
    assert scores["step-00000012"] == scores["after"]
    best = min((name for name in scores if "step" in name), key=lambda name: scores[name]["all"]["bits_per_byte"])
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {best, "step-00000012"}
    _, config_json = load_model(tmp_path / "checkpoints" / best)
    assert config_json["step"] == int(best[5:])
    assert len(generate(tmp_path / "checkpoints" / best, ["Rice"], sampling=Sampling(max_new_tokens=3))) == 1


def spiky(config: TrainConfig, on_spike: str) -> TrainConfig:
    """A window so short and a threshold so low that some of the steps stand out."""
    guard = {"spike_window": 2, "spike_sigmas": 1.2, "on_spike": on_spike, "steps": 24, "evaluate": False}
    return changed(config, train=guard)


def test_a_spike_is_traced(tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path) -> None:
    train(spiky(tiny_config, "trace"), small_tokens, tmp_path)
    found = sorted((tmp_path / "spikes").iterdir())
    assert len(found) > 1
    described = json.loads(found[0].read_text())
    step = described["step"]
    assert found[0].name == f"step-{step:08d}.json"
    documents = trace(tmp_path, step)
    assert {each["url"] for each in described["documents"]} == {document.url for document in documents}
    assert len(described["documents"]) == len(documents)
    line = read_metrics(tmp_path / "metrics.jsonl")[step]
    nats = sum(each["loss"] * each["targets"] for each in described["documents"])
    assert nats / sum(each["targets"] for each in described["documents"]) == pytest.approx(line["loss"], rel=1e-6)
    shown = [each["loss"] for each in described["documents"]]
    assert shown == sorted(shown, reverse=True)
    assert not (tmp_path / "skipped.json").exists()


def test_skipped_rows_are_part_of_the_state(tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path) -> None:
    config = spiky(tiny_config, "skip")
    train(config, small_tokens, tmp_path / "whole")
    lines = read_metrics(tmp_path / "whole" / "metrics.jsonl")
    skipped = [line["step"] for line in lines if line.get("skipped")]
    assert 1 < len(skipped) < 20
    assert json.loads((tmp_path / "whole" / "skipped.json").read_text()) == {"steps": skipped}
    assert all(lines[step]["tokens"] == lines[step - 1]["tokens"] for step in skipped)
    for stop in (skipped[0] - 1, skipped[0] + 1, skipped[1] + 1, skipped[1] + 2):
        train(config, small_tokens, tmp_path / "parts", stop=stop.__eq__)
    train(config, small_tokens, tmp_path / "parts")
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")
    assert (tmp_path / "parts" / "skipped.json").read_bytes() == (tmp_path / "whole" / "skipped.json").read_bytes()
    order = order_from(tmp_path / "parts")
    assert [bool(order.rows(step).skipped.all()) for step in range(24)] == [step in skipped for step in range(24)]


def test_z_loss_holds_the_logits_and_is_not_in_the_loss(
    undisturbed: Path, tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path
) -> None:
    config = changed(tiny_config, optimizer={"z_loss": 1.0}, train={"evaluate": False})
    train(config, small_tokens, tmp_path)
    first, last = losses(tmp_path)[0], losses(tmp_path)[-1]
    assert first[1] == pytest.approx(losses(undisturbed)[0][1], abs=1e-6)
    assert first[2] > losses(undisturbed)[0][2]
    assert last[1] != losses(undisturbed)[-1][1]


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
