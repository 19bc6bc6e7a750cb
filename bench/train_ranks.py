"""Another number of processes, the same losses: `python bench/train_ranks.py`, about 2 minutes on 2 cores.

One training of one process is the reference. Others are begun by one number of processes (torchrun, gloo), asked to
leave half-way by SIGTERM, and ended by another number, as copies (DDP) or in shards (FSDP2). fp32 on the CPU.

Every loss must be the reference's to 1e-5, else the exit code is 1. The first line gives the scale: one process, other
micro-batches. Warm-up is long and the rate low on purpose: at 3e-3 after 3 steps of warm-up that line alone
says 3.7e-3, since AdamW's first steps divide gradients near nothing by their own size (docs/log.md).
"""

import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from seimai.model.metrics import read_metrics

sys.path.insert(0, str(Path(__file__).parent))
from train_kills import tokens

MOST = 1e-5
CONFIG = """
[model]
depth = 4
d_model = 128
n_heads = 4
row_tokens = 128

[data]
batch_rows = 8

[optimizer]
learning_rate = 1e-3
warmup_steps = 30

[train]
steps = 60
checkpoint_every = 25
micro_batch_rows = 2
device = "cpu"
evaluate = false
"""
CASES = (("1", "2 ddp"), ("1", "2 fsdp"), ("2 ddp", "1"), ("2 fsdp", "4 ddp"))


def command(ranks: str, folder: Path, data: Path, out: Path) -> list[str]:
    """The command a user types for `1`, or `2 ddp` and the like."""
    count, _, kind = ranks.partition(" ")
    python = [sys.executable, "-m"]
    if count != "1":
        python += ["torch.distributed.run", "--standalone", "--nproc-per-node", count, "-m"]
    sets = ["--set", f"train.parallel={kind}"] if kind else []
    return [*python, "seimai", "train", str(folder / "model.toml"), "--data", str(data), "--out", str(out), *sets]


def run(words: list[str], out: Path, leave_after: int | None) -> None:
    """Run it to its end, or until it has left by SIGTERM after so many steps."""
    with out.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})
        while leave_after is not None and process.poll() is None:
            if len(read_metrics(out / "metrics.jsonl")) >= leave_after:
                process.send_signal(signal.SIGTERM)
                break
            time.sleep(0.02)
        process.wait()


def furthest(out: Path, expected: list[float]) -> float:
    """The largest difference of a loss, infinite where the training did not end."""
    found = [line["loss"] for line in read_metrics(out / "metrics.jsonl")]
    if len(found) != len(expected) or not (out / "final" / "config.json").is_file():
        return float("inf")
    return max(abs(a - b) for a, b in zip(found, expected, strict=True))


def main() -> int:
    """Print a line a case."""
    print(f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, gloo, fp32")
    missed = 0
    with tempfile.TemporaryDirectory(prefix="seimai-ranks-") as place:
        folder = Path(place)
        data = tokens(folder)
        (folder / "model.toml").write_text(CONFIG, encoding="utf-8")
        run(command("1", folder, data, folder / "reference"), folder / "reference", None)
        expected = [line["loss"] for line in read_metrics(folder / "reference" / "metrics.jsonl")]
        print(f"reference: {len(expected)} steps, loss {expected[0]:.4f} to {expected[-1]:.4f}")
        split = [*command("1", folder, data, folder / "split"), "--set", "train.micro_batch_rows=4"]
        run(split, folder / "split", None)
        rounding = furthest(folder / "split", expected)
        print(f"1 process, micro-batches of 4 rows for 2     : most |Δ loss| {rounding:.1e}", flush=True)
        for number, (first, second) in enumerate(CASES):
            out = folder / f"case-{number}"
            run(command(first, folder, data, out), out, len(expected) // 2)
            changed_at = max(int(path.name[5:]) for path in (out / "checkpoints").glob("step-*"))
            run(command(second, folder, data, out), out, None)
            off = furthest(out, expected)
            missed += off > MOST
            shown = f"goal {MOST:.0e} {'holds' if off <= MOST else 'MISSED'}"
            print(f"{first:7} until step {changed_at:3}, then {second:7}: most |Δ loss| {off:.1e}, {shown}", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
