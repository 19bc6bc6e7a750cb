"""Scaled rotary frequencies against Transformers' and against their formulas, and views of a model with them."""

import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from seimai.errors import ConfigError
from seimai.model.config import Body, ModelConfig, RopeScaling, resolve_body
from seimai.model.positions import Rope
from seimai.model.rope_scaling import attention_factor, dynamic_base, frequencies, ntk_base, segment_lengths
from seimai.model.transformer import build, with_scaling

CPU = torch.device("cpu")
TRAINED = 256
OTHERS = {
    "linear": {},
    "dynamic": {},
    "yarn": {"yarn_beta_fast": 16.0, "yarn_beta_slow": 2.0},
    "llama3": {"llama3_low_freq_factor": 2.0, "llama3_high_freq_factor": 8.0},
}
"""Scalings that Transformers has, each with settings that are not its defaults."""


def body_of(scaling: str, *, head_dim: int = 64, factor: float = 4.0, base: float = 10_000.0, **changes: Any) -> Body:
    config = {"d_model": 2 * head_dim, "n_heads": 2, "depth": 1, "row_tokens": TRAINED, "rope_base": base, **changes}
    scaled = {} if scaling == "none" else {"rope_scaling": scaling, "rope_factor": factor}
    return resolve_body(ModelConfig.model_validate({**config, **scaled}), 100)


def llama_of(body: Body) -> LlamaConfig:
    names = {"none": "default"}
    rope = {
        "rope_type": names.get(body.rope_scaling, body.rope_scaling),
        "rope_theta": body.rope_base,
        "factor": body.rope_factor,
        "original_max_position_embeddings": body.rope_original_tokens,
        "beta_fast": body.yarn_beta_fast,
        "beta_slow": body.yarn_beta_slow,
        "low_freq_factor": body.llama3_low_freq_factor,
        "high_freq_factor": body.llama3_high_freq_factor,
    }
    known = {"default": 2, "linear": 3, "dynamic": 3, "yarn": 6}
    if body.rope_scaling == "llama3":
        rope = {key: value for key, value in rope.items() if not key.startswith("beta")}
    else:
        rope = dict(list(rope.items())[: known[str(rope["rope_type"])]])
    return LlamaConfig(
        hidden_size=body.d_model,
        num_attention_heads=body.n_heads,
        max_position_embeddings=body.rope_original_tokens or body.row_tokens,
        rope_parameters=rope,
    )


@pytest.mark.parametrize("head_dim", [16, 64, 128])
@pytest.mark.parametrize("base", [10_000.0, 500_000.0])
@pytest.mark.parametrize("with_defaults", [True, False])
@pytest.mark.parametrize("scaling", OTHERS)
def test_frequencies_are_those_of_transformers(scaling: str, with_defaults: bool, base: float, head_dim: int) -> None:
    body = body_of(scaling, head_dim=head_dim, base=base, **({} if with_defaults else OTHERS[scaling]))
    for tokens in (100, TRAINED, 700):
        expected, factor = ROPE_INIT_FUNCTIONS[scaling](llama_of(body), CPU, seq_len=tokens)
        found = frequencies(body, CPU, torch.tensor([tokens]))
        torch.testing.assert_close(found.squeeze(0), expected, rtol=1e-6, atol=0)
        assert attention_factor(body) == pytest.approx(factor)


@pytest.mark.parametrize("scaling", ["none", *OTHERS])
def test_angles_are_those_of_a_llama(scaling: str) -> None:
    body = body_of(scaling)
    position = torch.arange(1000)[None]
    cos, sin = Rope(body).angles(position)
    expected = LlamaRotaryEmbedding(llama_of(body))(torch.zeros(1, 1, 1), position)
    for found, theirs in zip((cos, sin), expected, strict=True):
        assert found.dtype == torch.float32
        # Theirs holds every angle twice, for both halves of a head.
        torch.testing.assert_close(torch.cat((found, found), -1)[:, 0], theirs, rtol=0, atol=2e-4)


def planes(scaling: str, d: int, b: float, s: float, trained: int, tokens: int) -> list[float]:
    """The formulas of the papers, plane by plane, in double precision."""
    found = []
    for i in range(d // 2):
        plain = b ** (-2 * i / d)
        turns = trained * plain / (2 * math.pi)
        if scaling == "linear":
            plain /= s
        if scaling == "ntk":
            plain = (b * s ** (d / (d - 2))) ** (-2 * i / d)
        if scaling == "dynamic":
            plain = (b * (s * max(tokens, trained) / trained - (s - 1)) ** (d / (d - 2))) ** (-2 * i / d)
        if scaling == "yarn":
            low, high = (d * math.log(trained / (r * 2 * math.pi)) / (2 * math.log(b)) for r in (32, 1))
            low, high = max(math.floor(low), 0), min(math.ceil(high), d - 1)
            ramp = min(max((i - low) / (high - low), 0), 1)
            plain = ramp * plain / s + (1 - ramp) * plain
        if scaling == "llama3":
            smooth = min(max((turns - 1) / (4 - 1), 0), 1)
            plain = (1 - smooth) * plain / s + smooth * plain
        found.append(plain)
    return found


@pytest.mark.parametrize("scaling", get_args(RopeScaling))
def test_frequencies_are_the_formulas(scaling: str) -> None:
    found = frequencies(body_of(scaling), CPU, torch.tensor(700))
    expected = torch.tensor(planes(scaling, 64, 10_000.0, 4.0, TRAINED, 700), dtype=torch.float64)
    torch.testing.assert_close(found.double(), expected, rtol=2e-6, atol=0)


def test_ends_of_each_scaling() -> None:
    """NTK and its kin slow the last plane by s and leave the first; linear slows all."""
    plain = frequencies(body_of("none"), CPU)
    for scaling in ("ntk", "yarn", "llama3", "linear"):
        ratio = plain / frequencies(body_of(scaling), CPU)
        assert float(ratio[-1]) == pytest.approx(4.0, rel=1e-4)
        assert float(ratio[0]) == pytest.approx(4.0 if scaling == "linear" else 1.0)
    assert attention_factor(body_of("yarn")) == pytest.approx(0.1 * math.log(4) + 1)
    assert ntk_base(10_000.0, 1.0, 64) == 10_000.0
    assert float(dynamic_base(10_000.0, 4.0, 64, torch.tensor(1.0))) == 10_000.0


def test_segment_lengths_of_any_rows() -> None:
    rows = [[5, 1, 1, 3], [10], [2, 8]]
    position = torch.stack([torch.cat([torch.arange(length) for length in row]) for row in rows])
    expected = torch.stack([torch.cat([torch.full((length,), length) for length in row]) for row in rows])
    assert torch.equal(segment_lengths(position), expected)


def test_dynamic_follows_each_segment_and_is_frozen_behind_a_cache() -> None:
    rope, position = Rope(body_of("dynamic")), torch.cat([torch.arange(600), torch.arange(100)])[None]
    together = rope.angles(position)
    for part, tokens in ((slice(0, 600), 600), (slice(600, 700), 100)):
        alone = rope.angles(torch.arange(tokens)[None])
        frozen = rope.angles(torch.arange(tokens)[None], room=tokens)
        for found, expected, same in zip(together, alone, frozen, strict=True):
            torch.testing.assert_close(found[:, :, part], expected, atol=1e-4, rtol=0)
            torch.testing.assert_close(same, expected, atol=1e-4, rtol=0)
    assert not torch.equal(rope.angles(position[:, :50], room=600)[0], rope.angles(position[:, :50])[0])


def hidden_of(model: Any) -> Tensor:
    tokens = torch.randint(0, 100, (1, 40), generator=torch.Generator().manual_seed(3))
    found: Tensor = model(tokens)
    return found


@torch.no_grad()
def test_a_view_has_the_angles_of_its_scaling_and_the_weights_of_its_model() -> None:
    body = body_of("none", row_tokens=16)
    model = build(body, 0).eval()
    for block in model.blocks:
        torch.nn.init.normal_(block.attention.out.weight, 0, 0.2)  # type: ignore[union-attr, arg-type]
    state = torch.get_rng_state()
    view = with_scaling(model, "yarn", 4.0)
    assert torch.equal(state, torch.get_rng_state())
    assert not view.training
    assert model.body == body
    built = build(body_of("yarn", row_tokens=16), 0).eval()
    built.load_state_dict(model.state_dict())
    assert torch.equal(hidden_of(view), hidden_of(built))
    assert not torch.equal(hidden_of(view), hidden_of(model))
    assert torch.equal(hidden_of(with_scaling(view, "none")), hidden_of(model))
    for mine, theirs in zip(view.parameters(), model.parameters(), strict=True):
        assert mine.data_ptr() == theirs.data_ptr()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rope_scaling": "linear"}, "model.rope_factor = 1.0 must be above 1"),
        ({"rope_factor": 2.0}, "model.rope_factor = 2.0 scales nothing"),
        ({"rope_scaling": "ntk", "rope_factor": 2.0, "positions": "alibi"}, "model.rope_scaling = ntk needs"),
        ({"rope_scaling": "ntk", "rope_factor": 2.0, "n_heads": 32}, "heads of at least 4"),
        ({"rope_scaling": "yarn", "rope_factor": 2.0, "yarn_beta_slow": 40.0}, "model.yarn_beta_fast = 32.0"),
        (
            {"rope_scaling": "llama3", "rope_factor": 2.0, "llama3_low_freq_factor": 4.0},
            "model.llama3_low_freq_factor = 4.0",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_body(ModelConfig.model_validate({"d_model": 64, "n_heads": 2, **changes}), 100)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_views_that_do_not_fit_are_refused() -> None:
    rope, alibi = (build(resolve_body(ModelConfig(depth=1, positions=kind), 100), 0) for kind in ("rope", "alibi"))
    with pytest.raises(ConfigError, match=r"model.rope_scaling = yarn needs model.positions = rope, not alibi"):
        with_scaling(alibi, "yarn", 4.0)
    with pytest.raises(ConfigError, match=r"model.rope_factor = 1.0 must be above 1"):
        with_scaling(rope, "yarn")
    with pytest.raises(ConfigError, match=r"rope_scaling"):
        with_scaling(rope, "longer", 4.0)  # type: ignore[arg-type]
