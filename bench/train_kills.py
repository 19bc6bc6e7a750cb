"""`kill -9` changes no bit of a training: `python bench/train_kills.py`, about 5 minutes on 2 cores.

An undisturbed training is the reference. The same command in another directory is then killed thirty times at seeded
random moments: from the start of the process over steps and checkpoints to the last files, and now and then the newest
checkpoint is damaged besides. It is typed again until it ends, in a new directory once it has ended. Every finished
training must have the reference's weights and metrics bit by bit. Exit code 1 on any difference.
"""

import argparse
import json
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from seimai.files import sha256_file
from seimai.model.metrics import read_metrics

ROOT = Path(__file__).resolve().parents[1]
CONFIG = """
[model]
depth = 4
d_model = 128
n_heads = 4
row_tokens = 128
dropout = 0.1

[data]
batch_rows = 8

[optimizer]
learning_rate = 3e-3

[train]
steps = 240
checkpoint_every = 7
device = "cpu"
evaluate_max_documents = 2
spike_window = 16
spike_sigmas = 2.5
on_spike = "skip"
"""
REPEATED = ("step", "loss", "tokens", "lr", "grad_norm", "by", "skipped")


def tokens(folder: Path) -> Path:
    """Token shards of the sample web's text, made by the commands a user types."""
    text = folder / "text.jsonl"
    lines = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))]
    text.write_text("".join(json.dumps({"id": str(n), "text": t}) + "\n" for n, t in enumerate(lines)), "utf-8")
    seimai("tokenizer", "train", text, "--out", folder / "tokenizer", "--vocab-size", "512", "--workers", "0")
    seimai("encode", text, "--tokenizer", folder / "tokenizer", "--out", folder / "tokens", "--workers", "0")
    return folder / "tokens"


def seimai(*arguments: object) -> None:
    """Run a command that must end well."""
    subprocess.run([sys.executable, "-m", "seimai", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def result(out: Path) -> tuple[str, list[dict[str, Any]]]:
    """What must be the same: the final weights, and the figures of every step that no clock made."""
    lines = read_metrics(out / "metrics.jsonl")
    kept = [{key: line[key] for key in REPEATED if key in line} for line in lines]
    return sha256_file(out / "final" / "model.safetensors"), kept


def state(out: Path) -> str:
    """Where a killed training stands."""
    steps = len(read_metrics(out / "metrics.jsonl"))
    half = "half a checkpoint, " if list(out.glob("checkpoints/*.tmp")) else ""
    return f"{half}step {steps}" + (", final" if (out / "final").is_dir() else "")


def damage_newest(out: Path) -> bool:
    """Flip a bit of the newest checkpoint, if there is one before it."""
    found = sorted(path for path in out.glob("checkpoints/step-*") if not path.suffix)
    if len(found) < 2:
        return False
    path = found[-1] / "optimizer.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return True


def main() -> int:
    """Print a line a kill; 0 where every training ended as the undisturbed one."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=30)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    draw = random.Random(chosen.seed)
    print(f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, seed {chosen.seed}")
    with tempfile.TemporaryDirectory(prefix="seimai-kills-") as place:
        folder = Path(place)
        data = tokens(folder)
        (folder / "model.toml").write_text(CONFIG, encoding="utf-8")
        command = [sys.executable, "-m", "seimai", "train", str(folder / "model.toml"), "--data", str(data), "--out"]
        began = time.monotonic()
        subprocess.run([*command, str(folder / "whole")], check=True, stdout=subprocess.DEVNULL)
        whole_s = time.monotonic() - began
        expected = result(folder / "whole")
        skipped = sum(1 for line in expected[1] if line.get("skipped"))
        print(f"undisturbed: {whole_s:.1f} s, {len(expected[1])} steps, {skipped} of them skipped as spikes")
        kills = finished = wrong = 0
        while kills < chosen.kills or finished == 0 or (folder / "killed").exists():
            after_s = draw.uniform(0, 0.6 * whole_s) if kills < chosen.kills else 600.0
            process = subprocess.Popen([*command, str(folder / "killed")], stdout=subprocess.DEVNULL)
            try:
                code = process.wait(after_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
                damaged = kills % 10 == 0 and damage_newest(folder / "killed")
                print(f"kill {kills:2} after {after_s:5.1f} s: {state(folder / 'killed')}", end="")
                print(", newest checkpoint damaged" if damaged else "", flush=True)
                continue
            same = code == 0 and result(folder / "killed") == expected
            finished, wrong = finished + 1, wrong + (not same)
            print(
                f"finished: {'the same weights and metrics' if same else f'DIFFERENT (exit code {code})'}", flush=True
            )
            shutil.rmtree(folder / "killed")
    print(f"{kills} kills, {finished} trainings finished, {wrong} different")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
