"""Chunked loss against the plain one, in value and gradient."""

import math

import pytest
import torch
import torch.nn.functional as F

from seimai.model.loss import IGNORE, bits_per_byte, token_nll


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


def test_all_logits_never_stand_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    plain = F.linear

    def counting(hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        rows.append(len(hidden))
        return plain(hidden, weight)

    monkeypatch.setattr(F, "linear", counting)
    token_nll(torch.randn(64, 4), torch.randn(100, 4), torch.zeros(64, dtype=torch.int64), max_logits_bytes=4 * 100 * 8)
    assert rows == [8] * 8


def test_bits_per_byte() -> None:
    assert bits_per_byte(8 * math.log(2), 4) == pytest.approx(2.0)
