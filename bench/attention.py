"""Every path of attention beside the dense oracle, and its speed: `python bench/attention.py [--device cuda]`.

On the CPU about 2 minutes (2 rows of 512 tokens, 6 heads of 64, fp32; FlexAttention needs a C++ compiler and has no
backward pass there); on a GPU about 3 (16 rows of 1,024 tokens, 12 heads of 64, bf16). The oracle computes in double
precision from the same queries, keys and values. Errors are the largest of output and gradients, as a share of the
largest value. Exit code 1 where a path is further from the oracle than its type allows, or on a GPU where a kind but
Shaw takes over 1.5 times as long as rope, the figure from which a training would lose 10 %.
"""

import argparse
import platform
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from seimai.model.attention import frame_for
from seimai.model.block_mask import document_blocks, document_starts
from seimai.model.config import ModelConfig, resolve_body
from seimai.model.kernels import (
    Path,
    biased_attention,
    channel_attention,
    dense_attention,
    flexible_attention,
    path_for,
    plain_attention,
)
from seimai.model.positions import PositionKind, positions_for, rotate_half

PATHS: dict[str, tuple[Path, ...]] = {
    "rope": ("dense", "sdpa", "flex"),
    "none": ("dense", "sdpa", "flex"),
    "alibi": ("dense", "biased", "channels", "flex"),
    "t5": ("dense", "biased", "flex"),
    "shaw": ("dense", "flex"),
}
"""Learned and sinusoidal positions attend as `none` does."""
TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 0.02}
SLOWEST = 1.5


@dataclass(frozen=True)
class Case:
    """What is computed: a kind, one document a row or several, and the shapes."""

    kind: str
    packed: bool
    rows: int
    tokens: int
    heads: int
    device: torch.device
    dtype: torch.dtype

    def positions(self) -> PositionKind:
        """The kind with random tables, as trained ones are."""
        sizes = {"n_heads": self.heads, "d_model": 64 * self.heads, "depth": 1, "row_tokens": self.tokens}
        module = positions_for(resolve_body(ModelConfig.model_validate({"positions": self.kind, **sizes}), 100))
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, 0, 0.5)
        return module.to(self.device)

    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, H, T, 64)."""
        shape = (3, self.rows, self.heads, self.tokens, 64)
        return tuple(torch.randn(shape, device=self.device).to(self.dtype).unbind(0))

    def segment(self) -> Tensor | None:
        """Documents of 200 tokens in the mean, or None."""
        if not self.packed:
            return None
        return (torch.rand(self.rows, self.tokens, device=self.device) < 1 / 200).long().cumsum(1)


def attention(case: Case, path: Path, module: PositionKind, segment: Tensor | None) -> Callable[..., Tensor]:
    """One layer's attention on a path; masks and biases are made once, as a forward pass makes them."""
    position = torch.arange(case.tokens, device=case.device).expand(case.rows, -1)
    if segment is not None:
        position = position - document_starts(segment)
    blocks = None if segment is None else document_blocks(document_starts(segment))
    frame = frame_for(module, position, segment, None, blocks=blocks, path=path)

    def run(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if frame.angles is not None:
            query, key = (rotate_half(each, frame.angles) for each in (query, key))
        if frame.blocks is not None:
            score_mod = module.content_score_mod(0, query) or module.score_mod(case.tokens, case.device)
            return flexible_attention(query, key, value, frame.blocks, score_mod)
        if frame.channels is not None:
            return channel_attention(query, key, value, frame.channels)
        if path == "sdpa":
            return plain_attention(query, key, value, frame.mask)
        assert frame.mask is not None
        assert frame.distance is not None
        bias = module.content_bias(0, query, frame.distance)
        bias = module.bias(frame.distance) if bias is None else bias
        if path == "biased":
            assert bias is not None
            return biased_attention(query, key, value, frame.mask, bias)
        return dense_attention(query, key, value, frame.mask, bias)

    return run


def results(run: Callable[..., Tensor], inputs: tuple[Tensor, ...], module: PositionKind, grad: bool) -> list[Tensor]:
    """The output and, where asked, the gradients of its weighted sum for inputs and tables."""
    inputs = tuple(each.detach().requires_grad_(grad) for each in inputs)
    with torch.set_grad_enabled(grad):
        out = run(*inputs)
    if not grad:
        return [out.detach()]
    weights = torch.linspace(-1, 1, out.shape[2], device=out.device, dtype=out.dtype)[:, None]
    wanted = [*inputs, *module.parameters()]
    return [out.detach(), *torch.autograd.grad((out * weights).sum(), wanted)]


def error(found: list[Tensor], expected: list[Tensor]) -> float:
    """Largest difference as a share of the largest value, over outputs and gradients."""
    pairs = zip(found, expected[: len(found)], strict=True)
    return max(float((a.double() - b).abs().max() / b.abs().max()) for a, b in pairs)


def milliseconds(act: Callable[[], object], device: torch.device) -> float:
    """Best of five after two to warm up."""
    best = float("inf")
    for number in range(7):
        if device.type == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        act()
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began) if number >= 2 else best
    return 1e3 * best


def cases(device: torch.device) -> Iterator[Case]:
    """Every kind, one document a row and packed."""
    for packed in (False, True):
        for kind in PATHS:
            if device.type == "cuda":
                yield Case(kind, packed, 16, 1024, 12, device, torch.bfloat16)
            else:
                yield Case(kind, packed, 2, 512, 6, device, torch.float32)


def measure(case: Case) -> tuple[bool, dict[str, float]]:
    """Print a line for each path; whether all agree, and the time of each."""
    torch.manual_seed(0)
    module, inputs, segment = case.positions(), case.inputs(), case.segment()
    exact = [each.double() for each in inputs]
    oracle = results(attention(case, "dense", module.double(), segment), tuple(exact), module, True)
    module = module.float()
    modes = {"half": case.dtype != torch.float32, "packed": case.packed, "cached": False}
    best, good, times = path_for(case.kind, case.tokens, device=case.device.type, **modes), True, {}
    for path in PATHS[case.kind]:
        if path == "channels" and case.packed:
            continue
        grad = case.device.type == "cuda" or path != "flex"
        if not grad and shutil.which("g++") is None:
            print(f"{case.kind:7} {path:9} not measured: no C++ compiler")
            continue
        # A bias in bf16 rounds ALiBi by whole units: shown, not judged, for no path chosen goes there.
        judged = not (path == "biased" and case.dtype == torch.bfloat16)
        run = attention(case, path, module, segment)
        off = error(results(run, inputs, module, grad), oracle)
        times[path] = milliseconds(lambda run=run, grad=grad: results(run, inputs, module, grad), case.device)
        agrees = off <= TOLERANCE[case.dtype]
        good &= agrees or not judged
        what = "forward + backward" if grad else "forward only"
        mark = ("*" if path == best else " ") + ("" if agrees else " OFF")
        layout = "packed" if case.packed else "whole"
        print(f"{case.kind:7} {layout:7} {path:9} {off:10.1e} {times[path]:9.2f} ms  {what:18} {mark}")
    return good, {"best": times.get(best, float("nan"))}


def main() -> int:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(options.parse_args().device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()}, 1 thread"
    print(f"{name}, Python {platform.python_version()}, torch {torch.__version__}")
    if device.type == "cpu":
        torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    # The oracle's own products must be exact.
    torch.backends.cuda.matmul.allow_tf32 = False
    print("kind    rows    path           error  attention   (* the path chosen in training)")
    good, chosen = True, {}
    for case in cases(device):
        agrees, times = measure(case)
        good &= agrees
        chosen[case.kind, case.packed] = times["best"]
    for (kind, packed), took in chosen.items():
        ratio = took / chosen["rope", packed]
        slow = device.type == "cuda" and kind != "shaw" and ratio > SLOWEST
        good &= not slow
        print(f"{kind:7} {'packed' if packed else 'whole':7} {ratio:5.2f} times rope{'  TOO SLOW' if slow else ''}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
