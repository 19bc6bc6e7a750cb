"""What must hold for every kind of positions and every preset: causality, isolation, packing, cache, first loss."""

import math
import shutil
from typing import Any, get_args

import pytest
import torch

from seimai.model.attention import Cache
from seimai.model.config import ModelConfig, Positions, RopeScaling, resolve_body
from seimai.model.loss import token_nll
from seimai.model.optimizer import build_optimizers
from seimai.model.train_config import OptimizerConfig
from seimai.model.transformer import Transformer, build, count_parameters

KINDS = get_args(Positions)
SCALINGS = [scaling for scaling in get_args(RopeScaling) if scaling != "none"]
# Seven kinds, and rotary angles stretched four times; rows of 32 tokens are far beyond the 8 of before.
VARIANTS = [(kind, "none") for kind in KINDS] + [("rope", scaling) for scaling in SCALINGS]
VOCAB = 100


def woken(kind: str, **changes: Any) -> Transformer:
    """A small model whose zero-initialised outputs are filled, so that attention matters."""
    config = {"positions": kind, "depth": 2, "d_model": 48, "n_heads": 6, "row_tokens": 32, **changes}
    model = build(resolve_body(ModelConfig.model_validate(config), VOCAB), seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("out.weight", "down.weight")):
                parameter.normal_(0, 0.2, generator=generator)
    return model.eval()


def scaled(scaling: str) -> dict[str, Any]:
    return {} if scaling == "none" else {"rope_scaling": scaling, "rope_factor": 4.0, "rope_original_tokens": 8}


def tokens_of(length: int, rows: int = 2, seed: int = 2) -> torch.Tensor:
    return torch.randint(0, VOCAB, (rows, length), generator=torch.Generator().manual_seed(seed))


def packed(lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions and segments of one row of documents of these lengths."""
    position = torch.cat([torch.arange(length) for length in lengths])[None]
    segment = torch.cat([torch.full((length,), number) for number, length in enumerate(lengths)])[None]
    return position, segment


@pytest.mark.parametrize(("kind", "scaling"), VARIANTS)
@torch.no_grad()
def test_causality_bit_by_bit(kind: str, scaling: str) -> None:
    model, tokens = woken(kind, **scaled(scaling)), tokens_of(24)
    changed = tokens.clone()
    changed[:, 15] = (changed[:, 15] + 1) % VOCAB
    before, after = model(tokens), model(changed)
    assert torch.equal(before[:, :15], after[:, :15])
    assert not torch.equal(before[:, 15:], after[:, 15:])


@pytest.mark.parametrize(("kind", "scaling"), VARIANTS)
def test_documents_of_a_row_are_isolated_bit_by_bit(kind: str, scaling: str) -> None:
    model, (position, segment) = woken(kind, **scaled(scaling)), packed([9, 10, 5])
    tokens = tokens_of(24, rows=1)
    changed = tokens.clone()
    changed[:, 9:19] = (changed[:, 9:19] + 7) % VOCAB
    found = []
    for row in (tokens, changed):
        model.zero_grad()
        hidden = model(row, position, segment)
        hidden[:, 19:].square().sum().backward()
        assert model.embedding.weight.grad is not None
        found.append((hidden.detach(), model.embedding.weight.grad.clone()))
    (before, gradient), (after, same_gradient) = found
    assert torch.equal(before[:, :9], after[:, :9])
    assert torch.equal(before[:, 19:], after[:, 19:])
    assert not torch.equal(before[:, 9:19], after[:, 9:19])
    assert torch.equal(gradient, same_gradient)


@pytest.mark.parametrize("preset", ["llama", "gpt2", "mpt"])
@pytest.mark.parametrize(("kind", "scaling"), VARIANTS)
@torch.no_grad()
def test_packed_equals_separate(kind: str, scaling: str, preset: str) -> None:
    model, lengths = woken(kind, preset=preset, **scaled(scaling)), [9, 10, 5]
    tokens = tokens_of(24, rows=1)
    together = model(tokens, *packed(lengths))
    for piece, start in zip(torch.split(tokens, lengths, 1), (0, 9, 19), strict=True):
        alone = model(piece)
        torch.testing.assert_close(together[:, start : start + piece.shape[1]], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("changes", [{}, {"n_kv_heads": 2, "qk_norm": True}])
@pytest.mark.parametrize(("kind", "scaling"), VARIANTS)
@torch.no_grad()
def test_cache_equals_no_cache(kind: str, scaling: str, changes: dict[str, Any]) -> None:
    model, tokens = woken(kind, **scaled(scaling), **changes), tokens_of(20)
    cache = Cache(model.body, 2, 20, like=model.embedding.weight)
    # A prompt, then single tokens, then a piece of several.
    pieces = [model(piece, cache=cache) for piece in torch.split(tokens, [7, 1, 1, 6, 5], 1)]
    torch.testing.assert_close(model.logits(torch.cat(pieces, 1)), model.logits(model(tokens)), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "learned"])
@torch.no_grad()
def test_beyond_the_trained_length(kind: str) -> None:
    assert woken(kind)(tokens_of(50)).isfinite().all()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "none"])
@torch.no_grad()
def test_order_is_seen(kind: str) -> None:
    model, tokens = woken(kind), tokens_of(10)
    swapped = tokens[:, [0, 2, 1, *range(3, 10)]]
    assert not torch.allclose(model(tokens)[:, -1], model(swapped)[:, -1], atol=1e-4)


@pytest.mark.parametrize("preset", ["llama", "gpt2", "mpt"])
@pytest.mark.parametrize("kind", KINDS)
def test_first_loss(kind: str, preset: str) -> None:
    config = {"preset": preset, "positions": kind, "depth": 6, "d_model": 48, "n_heads": 6, "row_tokens": 64}
    model = build(resolve_body(ModelConfig.model_validate(config), 1000), seed=3)
    tokens = torch.randint(0, 1000, (8, 65), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        loss = token_nll(model(tokens[:, :-1]).flatten(0, 1), model.head_weight(), tokens[:, 1:].flatten()).mean()
    assert float(loss) == pytest.approx(math.log(1000), abs=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_one_batch_is_learned_by_heart(kind: str) -> None:
    config = {"positions": kind, "depth": 2, "d_model": 48, "n_heads": 2, "row_tokens": 24}
    model = build(resolve_body(ModelConfig.model_validate(config), VOCAB), seed=0)
    (optimizer,) = build_optimizers(model, OptimizerConfig(weight_decay=0.0), lr=1e-2)
    tokens, loss = tokens_of(25, rows=4), torch.tensor(0.0)
    # Rows begin alike, as all documents do; nothing else is common to them.
    tokens[:, 0] = torch.arange(4)
    for _ in range(80):
        hidden = model(tokens[:, :-1])
        loss = token_nll(hidden.flatten(0, 1), model.head_weight(), tokens[:, 1:].flatten()).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    assert loss.item() < 0.05


@pytest.mark.parametrize(
    ("kind", "preset"), [*((kind, "llama") for kind in KINDS), ("learned", "gpt2"), ("alibi", "mpt")]
)
@torch.no_grad()
def test_bf16_weights_answer_as_fp32_to_rounding(kind: str, preset: str) -> None:
    """Hidden states of size 1 are wrong by bf16's own rounding, at the end of a long text as at its start."""
    model, tokens = woken(kind, preset=preset, row_tokens=512), tokens_of(500, rows=1)
    expected = model(tokens)
    error = (model.to(torch.bfloat16)(tokens).float() - expected).abs()
    assert float(error[:, -100:].mean()) < 0.02
    assert float(error[:, :100].mean()) < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_the_whole_model(kind: str) -> None:
    """Analytic against finite differences in double precision, two layers, documents, grouped heads, QK norm."""
    sizes = {"d_model": 8, "n_heads": 2, "n_kv_heads": 1, "d_ff": 8, "qk_norm": True, "shaw_max_distance": 3}
    small = {"row_tokens": 8, "vocab_multiple": 1, "t5_buckets": 4, "t5_max_distance": 8}
    model = woken(kind, **sizes, **small).double()
    (position, segment), tokens = packed([5, 3]), tokens_of(8, rows=1)
    parameters = dict(model.named_parameters())
    chosen = ["blocks.0.attention.query.weight", "blocks.0.attention.key.weight", "blocks.1.attention_norm.weight"]
    chosen += [name for name in parameters if name.startswith("positions.")]
    project = torch.randn(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def answer(*weights: torch.Tensor) -> torch.Tensor:
        changed = dict(zip(chosen, weights, strict=True))
        hidden: torch.Tensor = torch.func.functional_call(model, changed, (tokens, position, segment))
        return (hidden[0] * project).sum()

    assert torch.autograd.gradcheck(answer, tuple(parameters[name] for name in chosen), fast_mode=True)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on the CPU needs g++")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@torch._inductor.config.patch(compile_threads=1)  # type: ignore[untyped-decorator]
def test_compiled_equals_eager() -> None:
    """Loss and gradients of a packed batch, compiled in one graph by the C++ back end, 25 s without a cache."""
    (position, segment), tokens = packed([9, 10, 5]), tokens_of(24, rows=1)
    found = []
    for compiled in (False, True):
        model = woken("t5", preset="gpt2", depth=1)
        forward = torch.compile(model, fullgraph=True) if compiled else model
        hidden = forward(tokens, position, segment)
        token_nll(hidden[0], model.head_weight(), tokens[0]).mean().backward()  # type: ignore[no-untyped-call]
        found.append([hidden.detach(), *(parameter.grad for parameter in model.parameters())])
    for ours, expected in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)


def test_weights_depend_on_the_seed_alone() -> None:
    body = resolve_body(ModelConfig(depth=2, d_model=48, n_heads=6), VOCAB)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, same, other = build(body, 1), build(body, 1), build(body, 2)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first.embedding.weight, same.embedding.weight)
    assert not torch.equal(first.embedding.weight, other.embedding.weight)


def test_padded_vocabulary_has_no_logits() -> None:
    model = build(resolve_body(ModelConfig(depth=1, d_model=48, n_heads=6), 100), 0)
    assert model.embedding.weight.shape[0] == 128
    assert model.logits(model(tokens_of(3))).shape == (2, 3, 100)


def test_parameters_of_a_tied_matrix_count_once() -> None:
    tied, untied = (
        build(resolve_body(ModelConfig(depth=1, d_model=48, n_heads=6, tied=tied), 128), 0) for tied in (True, False)
    )
    assert count_parameters(untied) - count_parameters(tied) == 128 * 48
