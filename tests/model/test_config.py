"""Configs resolve to bodies, and what does not fit is refused in one line."""

from importlib.resources import files
from pathlib import Path

import pytest

from seimai.config import dump_toml, load_config, parse_config
from seimai.errors import ConfigError
from seimai.model.config import ModelConfig, resolve_body
from seimai.model.train_config import TrainConfig, batch_rows, learning_rate


@pytest.mark.parametrize(
    ("preset", "norm", "mlp", "bias", "tied"),
    [
        ("llama", "rms", "swiglu", False, False),
        ("gpt2", "layer", "gelu_tanh", True, True),
        ("mpt", "layer", "gelu", False, True),
    ],
)
def test_preset_is_switches_of_one_body(preset: str, norm: str, mlp: str, bias: bool, tied: bool) -> None:
    body = resolve_body(ModelConfig.model_validate({"preset": preset}), 1000)
    assert (body.norm, body.mlp, body.bias, body.tied) == (norm, mlp, bias, tied)
    assert (body.padded_vocab, body.vocab_size) == (1024, 1000)


@pytest.mark.parametrize(
    ("depth", "width", "heads"),
    [(4, 256, 4), (12, 768, 12), (16, 1024, 8), (17, 1088, 17), (21, 1344, 21), (24, 1536, 12)],
)
def test_depth_is_the_one_dial(depth: int, width: int, heads: int) -> None:
    body = resolve_body(ModelConfig(depth=depth), 50_304)
    assert (body.n_layers, body.d_model, body.n_heads) == (depth, width, heads)


def test_rates_and_batches_follow_the_dial() -> None:
    small, large = (TrainConfig(model=ModelConfig(depth=depth, row_tokens=1024)) for depth in (4, 12))
    assert batch_rows(small) < batch_rows(large) == 512
    assert learning_rate(small.optimizer, 256) > learning_rate(large.optimizer, 768)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"d_model": 100, "n_heads": 3}, "model.d_model = 100"),
        ({"d_model": 96, "n_heads": 6, "n_kv_heads": 4}, "model.n_kv_heads = 4"),
        ({"preset": "gpt2", "n_heads": 4, "n_kv_heads": 2}, "the gpt2 preset has none"),
        ({"preset": "mpt", "qk_norm": True}, "the mpt preset has none"),
        ({"positions": "rope", "d_model": 27, "n_heads": 3}, "even width"),
        ({"positions": "sinusoidal", "d_model": 27, "n_heads": 3}, "even model.d_model"),
        ({"t5_max_distance": 16}, "model.t5_max_distance = 16"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_body(ModelConfig.model_validate(changes), 1000)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_rope_scaling_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"model.rope_scaling = 'longer': input should be 'none', 'linear'"):
        parse_config({"model": {"rope_scaling": "longer"}}, TrainConfig, place="x.toml")


def test_shipped_config_loads_and_writes_back(tmp_path: Path) -> None:
    config = load_config(Path(str(files("seimai.configs") / "model_tiny.toml")), TrainConfig)
    (tmp_path / "again.toml").write_text(dump_toml(config), encoding="utf-8")
    assert load_config(tmp_path / "again.toml", TrainConfig) == config
    assert resolve_body(config.model, 4096).head_dim % 2 == 0
