"""Model FLOPs utilisation in both conventions: the operations a step must do, against what the device can do.

    6n          6 · N a token: forward 2, backward 4, for N numbers in matrices that multiply, head included (Kaplan
                et al., arXiv:2001.08361)
    attention   6 · N + 12 · L · D · T: with the products of queries, keys and values over a row of T tokens, as if
                nothing were masked (PaLM, arXiv:2204.02311, appendix B)

L layers, D width of attention, T tokens of a row. Recomputed activations count in neither.
"""

import time
from functools import cache

import torch

from .config import Body
from .runtime import device_name
from .transformer import Transformer

__all__ = ["flops_per_token", "matrix_parameters", "peak_flops"]

LISTED_FLOPS = {
    "B200": 2250e12,
    "GH200": 989e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H20": 148e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A100": 312e12,
    "A10": 125e12,
    "V100": 125e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}
"""Dense bf16 (V100: fp16) operations a second from NVIDIA's data sheets, without sparsity; the first name that fits."""


def matrix_parameters(model: Transformer) -> int:
    """Numbers in the layers' matrices and the head: each costs a multiplication and an addition a token."""
    inner = sum(p.numel() for name, p in model.named_parameters() if name.startswith("blocks.") and p.ndim == 2)
    return inner + model.body.vocab_size * model.body.d_model


def flops_per_token(matrices: int, body: Body) -> dict[str, float]:
    """Operations of a training step for one token of a row, by convention.

    >>> from .config import ModelConfig, resolve_body
    >>> body = resolve_body(ModelConfig(preset="gpt2", depth=12, row_tokens=1024), 50_304)
    >>> {name: round(value / 1e6) for name, value in flops_per_token(123_532_032, body).items()}
    {'6n': 741, 'attention': 854}
    """
    attention = 12.0 * body.n_layers * body.n_heads * body.head_dim * body.row_tokens
    return {"6n": 6.0 * matrices, "attention": 6.0 * matrices + attention}


@cache
def peak_flops(device: torch.device, *, half: bool) -> float:
    """Operations a second of the device: as listed for bf16 on a known GPU, else measured by square products.

    The measurement takes 0.1 s and is the best of several, with as many threads as torch has.
    """
    if half and device.type == "cuda":
        name = device_name(device)
        for known, listed in LISTED_FLOPS.items():
            if known in name:
                return listed
    size = 4096 if device.type == "cuda" else 512
    matrix = torch.ones(size, size, device=device, dtype=torch.bfloat16 if half else torch.float32)
    fastest_s = float("inf")
    for _ in range(5):
        _wait(device)
        began = time.perf_counter()
        matrix @ matrix
        _wait(device)
        fastest_s = min(fastest_s, time.perf_counter() - began)
    return 2.0 * size**3 / fastest_s


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
