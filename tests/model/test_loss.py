"""Chunked loss against the plain one, in value and gradient."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from seimai.model.loss import IGNORE, bits_per_byte, token_losses, token_nll


@pytest.mark.parametrize("chunk_rows", [1, 3, 100])
def test_chunks_change_nothing(chunk_rows: int) -> None:
    torch.manual_seed(0)
    hidden, weight = torch.randn(10, 6), torch.randn(20, 6)
    targets = torch.randint(0, 20, (10,))
    targets[4] = IGNORE
    found = []
    for chunked in (True, False):
        h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
        if chunked:
            nll = token_nll(h, w, targets, max_logits_bytes=4 * 20 * chunk_rows)
        else:
            nll = F.cross_entropy(h @ w.T, targets, ignore_index=IGNORE, reduction="none")
        (nll * torch.arange(10)).sum().backward()  # type: ignore[no-untyped-call]
        found.append((nll.detach(), h.grad, w.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert found[0][0][4] == 0


def test_gradcheck_of_chunks() -> None:
    torch.manual_seed(0)
    hidden = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 6, IGNORE, 2, 2])
    assert torch.autograd.gradcheck(lambda h, w: token_nll(h, w, targets, max_logits_bytes=60), (hidden, weight))


def test_gradcheck_of_both_losses() -> None:
    torch.manual_seed(0)
    hidden = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 6, IGNORE, 2, 2])
    for max_bytes in (60, 1000):
        assert torch.autograd.gradcheck(
            lambda h, w, m=max_bytes: token_losses(h, w, targets, max_logits_bytes=m), (hidden, weight)
        )


def test_z_is_the_square_of_the_log_normaliser() -> None:
    torch.manual_seed(0)
    hidden, weight, targets = torch.randn(6, 3), torch.randn(7, 3), torch.tensor([0, 6, IGNORE, 2, 2, 1])
    expected = (hidden @ weight.T).logsumexp(-1).square()
    expected[2] = 0
    for max_bytes in (60, 1000):
        nll, z = token_losses(hidden, weight, targets, max_logits_bytes=max_bytes)
        torch.testing.assert_close(z, expected)
        torch.testing.assert_close(nll, token_nll(hidden, weight, targets))


def test_chunks_in_bf16_sum_the_gradient_of_the_head_in_fp32() -> None:
    torch.manual_seed(0)
    hidden, weight = torch.randn(512, 16), torch.randn(50, 16)
    targets = torch.randint(0, 50, (512,))
    found = []
    for max_bytes, autocast in ((4 * 50 * 8, True), (1 << 20, False)):
        h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            nll = token_nll(h, w, targets, max_logits_bytes=max_bytes)
        assert nll.dtype == torch.float32
        nll.mean().backward()  # type: ignore[no-untyped-call]
        assert w.grad is not None
        found.append((nll.detach(), w.grad))
    torch.testing.assert_close(found[0][0], found[1][0], atol=0.1, rtol=0)
    # 64 chunks; summed up in bf16 the error would be several times as large.
    error = (found[0][1] - found[1][1]).norm() / found[1][1].norm()
    assert float(error) < 0.005


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of the largest tensor that any operation makes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for each in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(each, torch.Tensor):
                self.bytes = max(self.bytes, each.numel() * each.element_size())
        return made


@pytest.mark.parametrize("z_loss", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
def test_all_logits_never_stand_together(chunked: bool, z_loss: bool) -> None:
    """2,048 positions and 1,000 tokens: 8 MB of logits, in forward and backward never above a 16th of it."""
    hidden = torch.randn(2048, 4, requires_grad=True)
    weight = torch.randn(1000, 4, requires_grad=True)
    targets, all_logits = torch.zeros(2048, dtype=torch.int64), 4 * 1000 * 2048
    with Largest() as largest:
        most = all_logits // 16 if chunked else all_logits
        if z_loss:
            loss = sum(part.sum() for part in token_losses(hidden, weight, targets, max_logits_bytes=most))
        else:
            loss = token_nll(hidden, weight, targets, max_logits_bytes=most).sum()
        assert isinstance(loss, torch.Tensor)
        loss.backward()  # type: ignore[no-untyped-call]
    assert (largest.bytes <= all_logits // 16) == chunked
    assert (largest.bytes == all_logits) != chunked


def test_bits_per_byte() -> None:
    assert bits_per_byte(8 * math.log(2), 4) == pytest.approx(2.0)
