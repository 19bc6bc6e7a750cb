"""Operations a token against sums over the layers written out, and peaks above what is measured."""

import time

import pytest
import torch

from seimai.model.config import ModelConfig, resolve_body
from seimai.model.mfu import LISTED_FLOPS, flops_per_token, matrix_parameters, peak_flops
from seimai.model.transformer import build


@pytest.mark.parametrize("preset", ["llama", "gpt2", "mpt"])
def test_matrices_and_attention_by_hand(preset: str) -> None:
    config = {"preset": preset, "depth": 2, "d_model": 64, "n_heads": 4, "d_ff": 96, "row_tokens": 16}
    body = resolve_body(ModelConfig.model_validate(config), 100)
    mlp = (3 if preset == "llama" else 2) * 64 * 96
    matrices = 2 * (4 * 64 * 64 + mlp) + 100 * 64
    assert matrix_parameters(build(body, 0)) == matrices
    assert flops_per_token(matrices, body) == {"6n": 6 * matrices, "attention": 6 * matrices + 12 * 2 * 64 * 16}


def test_the_measured_peak_is_what_a_product_reaches() -> None:
    device = torch.device("cpu")
    matrix = torch.ones(512, 512)
    took_s = []
    for _ in range(5):
        began = time.perf_counter()
        matrix @ matrix
        took_s.append(time.perf_counter() - began)
    assert peak_flops(device, half=False) > 0.2 * 2 * 512**3 / min(took_s)


@pytest.mark.parametrize(
    ("name", "listed"),
    [("NVIDIA H200", 989e12), ("NVIDIA A100-SXM4-80GB", 312e12), ("NVIDIA H100 PCIe", 756e12), ("NVIDIA L4", 121e12),
     ("NVIDIA L40S", 362e12), ("NVIDIA GH200 480GB", 989e12), ("NVIDIA A10G", 125e12)],
)  # fmt: skip
def test_listed_peaks(monkeypatch: pytest.MonkeyPatch, name: str, listed: float) -> None:
    monkeypatch.setattr("seimai.model.mfu.device_name", lambda device: name)
    assert peak_flops.__wrapped__(torch.device("cuda"), half=True) == listed


def test_no_name_hides_another() -> None:
    names = list(LISTED_FLOPS)
    hidden = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if a in b]
    assert hidden == []
