"""Tokens a second of training against two usual ways, in one run: `python bench/train.py`, 3 minutes on 2 cores.

    seimai train   the whole command on packed token shards: documents masked, lines, guard, loss by group
    seimai step    its model, loss and optimizer on rows without a document mask, as the two others have them
    plain loop     a decoder and a loop as in nanoGPT: random windows of a memory map, fused AdamW, clipping
    Trainer        GPT2LMHeadModel in the Trainer of Transformers; left out where that is not installed

All have a GPT-2 body (LayerNorm, GELU, biases, learned positions, tied head). On a CPU: fp32, eager, small. With
CUDA: bf16 over fp32 weights, torch.compile, and the shapes 124M, 350M and 1.2B at 1,024 tokens (`--shape`; 3 minutes
each). The time of a step is the 20th percentile of all but the first two: on a CPU of one thread, in its own seconds,
so that other work on the machine counts little. Exit code 1 where a goal is missed.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models
from torch import Tensor, nn

from seimai.config import parse_config
from seimai.files import canonical_json, merkle_root, sha256_file
from seimai.model.config import resolve_body
from seimai.model.distributed import alone
from seimai.model.mfu import flops_per_token, matrix_parameters, peak_flops
from seimai.model.optimizer import build_optimizers, clip_gradients
from seimai.model.parallel import parallel
from seimai.model.train import train
from seimai.model.train_config import TrainConfig
from seimai.model.transformer import build

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
GPU = DEVICE.type == "cuda"
NDArrayU16 = np.ndarray[Any, np.dtype[np.uint16]]


@dataclass(frozen=True)
class Shape:
    """A body and its batch, and what is to be reached."""

    layers: int
    width: int
    heads: int
    row_tokens: int
    vocab: int
    rows: int
    goal_tokens_per_s: float | None = None

    @property
    def config(self) -> TrainConfig:
        """The same for `seimai train`."""
        model = {"preset": "gpt2", "positions": "learned", "depth": self.layers, "d_model": self.width}
        loop = {"steps": 30, "checkpoint_every": 30, "evaluate": False, "compile": GPU}
        plain = {
            "model": model | {"n_heads": self.heads, "row_tokens": self.row_tokens},
            "data": {"batch_rows": self.rows},
            "optimizer": {"learning_rate": 3e-4},
            "train": loop,
        }
        return parse_config(plain, TrainConfig, place="bench")


SHAPES = {
    "small": Shape(4, 256, 4, 256, 8192, 8),
    "124M": Shape(12, 768, 12, 1024, 50304, 32, 500e3),
    "350M": Shape(24, 1024, 16, 1024, 50304, 24, 205e3),
    "1.2B": Shape(24, 2048, 16, 1024, 50304, 12, 66e3),
}


def write_shards(folder: Path, shape: Shape) -> tuple[Path, NDArrayU16]:
    """Token shards of log-normal documents of Zipf's tokens, and all of them end to end."""
    random = np.random.default_rng(0)
    documents, left = [], 60 * shape.rows * (shape.row_tokens + 1)
    while left > 0:
        length = int(np.clip(random.lognormal(5.5, 1.0), 16, 20_000))
        body = np.minimum(random.zipf(1.3, length), shape.vocab - 4).astype(np.uint16)
        documents.append(np.concatenate([[shape.vocab - 3], body, [shape.vocab - 2]]).astype(np.uint16))
        left -= length + 2
    count = len(documents)
    lengths = np.array([len(document) for document in documents])
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())
    flat = np.concatenate(documents)
    batch = pa.record_batch([pa.LargeListArray.from_arrays(offsets, pa.array(flat))], ["tokens"])
    index = {"n_tokens": lengths.astype(np.uint32), "split": np.zeros(count, np.uint8)}
    index |= {"source": np.zeros(count, np.uint16), "lang": np.zeros(count, np.uint16)}
    for name, table in (("tokens-00000.arrow", batch), ("index.arrow", pa.RecordBatch.from_pydict(index))):
        with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_batch(table)
    pq.write_table(pa.table({"quality": pa.array(random.random(count), pa.float32())}), folder / "docs-00000.parquet")
    Tokenizer(models.BPE(vocab={}, merges=[])).save(str(folder / "tokenizer.json"))
    names = ("tokens-00000.arrow", "docs-00000.parquet", "index.arrow", "tokenizer.json")
    files = [{"path": n, "bytes": (folder / n).stat().st_size, "sha256": sha256_file(folder / n)} for n in names]
    special = {"bos_id": shape.vocab - 3, "eos_id": shape.vocab - 2, "pad_id": shape.vocab - 1}
    shard = {"tokens": names[0], "docs": names[1], "documents": count, "n_tokens": len(flat), "n_bytes": len(flat)}
    manifest = {
        "format": "seimai-tokens/1",
        "tokenizer": {"fingerprint": "ab" * 32, "vocab_size": shape.vocab, **special},
        "dtype": "uint16",
        "sources": ["made"],
        "langs": ["und"],
        "shards": [shard],
        "files": files,
        "merkle_root": merkle_root(str(file["sha256"]) for file in files),
    }
    (folder / "manifest.json").write_text(canonical_json(manifest), encoding="utf-8")
    return folder, flat


class PlainBlock(nn.Module):
    """A layer as nanoGPT writes it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        rows, tokens, width = x.shape
        split = self.qkv(self.norms[0](x)).split(width, dim=2)
        q, k, v = (part.view(rows, tokens, self.heads, -1).transpose(1, 2) for part in split)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(rows, tokens, width))
        out: Tensor = x + self.down(F.gelu(self.up(self.norms[1](x)), approximate="tanh"))
        return out


class PlainModel(nn.Module):
    """A GPT-2 that returns its loss."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.tokens = nn.Embedding(shape.vocab, shape.width)
        self.places = nn.Embedding(shape.row_tokens, shape.width)
        self.blocks = nn.ModuleList(PlainBlock(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, 0.0, 0.02)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss."""
        x = self.tokens(inputs) + self.places.weight[: inputs.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.tokens.weight)
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def windows(flat: NDArrayU16, shape: Shape) -> Iterator[tuple[Tensor, Tensor]]:
    """Random windows, as nanoGPT's get_batch."""
    random = np.random.default_rng(1)
    while True:
        first = random.integers(0, len(flat) - shape.row_tokens - 1, shape.rows)
        rows = torch.from_numpy(np.stack([flat[i : i + shape.row_tokens + 1] for i in first]).astype(np.int64))
        rows = rows.pin_memory().to(DEVICE, non_blocking=True) if GPU else rows
        yield rows[:, :-1].contiguous(), rows[:, 1:].contiguous()


def half() -> Any:
    """bf16 on CUDA, nothing on the CPU."""
    return torch.autocast("cuda", torch.bfloat16) if GPU else nullcontext()


def clock_s() -> float:
    """Seconds: of the wall with CUDA, else of this process."""
    return time.perf_counter() if GPU else time.process_time()


def timed(step: Callable[[], float], steps: int = 30) -> list[float]:
    """The clock behind each step, which reads its loss and so waits for the device."""
    ends = []
    for _ in range(steps):
        step()
        ends.append(clock_s())
    return ends


def plain_loop(shape: Shape, flat: NDArrayU16, folder: Path) -> list[float]:
    """The loop of nanoGPT."""
    model = PlainModel(shape).to(DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    forward: Any = torch.compile(model) if GPU else model
    data = windows(flat, shape)

    def step() -> float:
        inputs, targets = next(data)
        with half():
            loss: Tensor = forward(inputs, targets)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return timed(step)


def seimai_step(shape: Shape, flat: NDArrayU16, folder: Path) -> list[float]:
    """Our model, loss, clipping and optimizer on the same windows."""
    config = shape.config
    model = build(resolve_body(config.model, shape.vocab), 0).to(DEVICE)
    module = parallel(model, alone(DEVICE), "ddp", z_loss=0.0, compiled=GPU)
    optimizers = build_optimizers(model, config.optimizer, 3e-4)
    data = windows(flat, shape)

    def step() -> float:
        inputs, targets = next(data)
        with half():
            _, minimised = module(inputs, targets, None, None)
        (minimised.sum() / targets.numel()).backward()
        loss = float(minimised.detach().mean())
        clip_gradients(model, 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss

    return timed(step)


def seimai_train(shape: Shape, flat: NDArrayU16, folder: Path) -> list[float]:
    """The command itself; `stop` is asked once a step, behind its loss."""
    ends: list[float] = []

    def stop(done: int) -> bool:
        ends.append(clock_s())
        return False

    train(shape.config, folder / "tokens", folder / "model", stop=stop)
    return ends


def trainer(shape: Shape, flat: NDArrayU16, folder: Path) -> list[float]:
    """Transformers' Trainer on windows made beforehand."""
    from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments

    ends: list[float] = []

    class Ends(TrainerCallback):  # type: ignore[misc]
        """Notes when steps end."""

        def on_step_end(self, *arguments: Any, **options: Any) -> None:
            if GPU:
                torch.cuda.synchronize()
            ends.append(clock_s())

    sizes = {"n_layer": shape.layers, "n_embd": shape.width, "n_head": shape.heads, "n_positions": shape.row_tokens}
    dropouts = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=shape.vocab, **sizes, **dropouts))
    flat = flat[: len(flat) // shape.row_tokens * shape.row_tokens]
    rows = torch.from_numpy(flat.reshape(-1, shape.row_tokens).astype(np.int64))
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"),
        max_steps=30,
        per_device_train_batch_size=shape.rows,
        learning_rate=3e-4,
        optim="adamw_torch_fused",
        bf16=GPU,
        torch_compile=GPU,
        use_cpu=not GPU,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        logging_steps=10,
    )
    data = [{"input_ids": row, "labels": row} for row in rows]
    Trainer(model=model, args=arguments, train_dataset=data, callbacks=[Ends()]).train()
    return ends


WAYS: dict[str, Callable[[Shape, NDArrayU16, Path], list[float]]] = {
    "seimai train": seimai_train,
    "seimai step": seimai_step,
    "plain loop": plain_loop,
    "Trainer": trainer,
}


def measure(name: str, shape: Shape) -> bool:
    """Print the table of a shape; whether its goals hold."""
    body = resolve_body(shape.config.model, shape.vocab)
    with torch.device("meta"):
        flops = flops_per_token(matrix_parameters(build(body, 0)), body)
    peak, found = peak_flops(DEVICE, half=GPU), {}
    with tempfile.TemporaryDirectory(prefix="seimai-train-") as place:
        folder = Path(place)
        (folder / "tokens").mkdir()
        _, flat = write_shards(folder / "tokens", shape)
        for way, run in WAYS.items():
            try:
                took_s = np.diff(run(shape, flat, folder))[1:]
            except ModuleNotFoundError as error:
                print(f"{way}: {error.name} is not installed")
                continue
            found[way] = shape.rows * shape.row_tokens / float(np.percentile(took_s, 20))
    print(
        f"\n{name}: {shape.layers} x {shape.width}, {shape.rows} x {shape.row_tokens} tokens, vocabulary {shape.vocab}"
    )
    print(f"{'':14}{'tokens/s':>12}{'to plain loop':>15}{'MFU 6N':>9}{'MFU attention':>15}")
    for way, speed in found.items():
        used = [f"{100 * speed * flops[convention] / peak:.1f} %" for convention in ("6n", "attention")]
        print(f"{way:14}{speed:12,.0f}{speed / found['plain loop']:15.2f}{used[0]:>9}{used[1]:>15}")
    goals = {"seimai step, 0.95 of the plain loop": found["seimai step"] >= 0.95 * found["plain loop"]}
    if "Trainer" in found:
        goals["seimai train, as fast as the Trainer"] = found["seimai train"] >= found["Trainer"]
    if shape.goal_tokens_per_s and GPU:
        goals[f"seimai step, {shape.goal_tokens_per_s:,.0f} tokens/s"] = found["seimai step"] >= shape.goal_tokens_per_s
    for goal, holds in goals.items():
        print(f"goal: {goal}: {'holds' if holds else 'MISSED'}")
    return all(goals.values())


def main() -> int:
    """Print machine, versions and a table a shape."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--shape", choices=[*SHAPES, "all"], default="124M" if GPU else "small")
    chosen = options.parse_args()
    torch.set_num_threads(torch.get_num_threads() if GPU else 1)
    device = torch.cuda.get_device_name() if GPU else f"{platform.machine()}, {torch.get_num_threads()} thread"
    print(f"{device}, Python {platform.python_version()}, torch {torch.__version__}")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    names = [name for name in SHAPES if name != "small"] if chosen.shape == "all" else [chosen.shape]
    return int(not all([measure(name, SHAPES[name]) for name in names]))


if __name__ == "__main__":
    sys.exit(main())
