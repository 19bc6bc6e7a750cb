"""Weights of others as the beginning of a training: the same logits, extended vocabularies, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MptConfig,
    MptForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from typer.testing import CliRunner

from seimai.cli import app
from seimai.config import parse_config
from seimai.errors import ConfigError, InputError, RunError, SeimaiError, VerifyError
from seimai.model.checkpoint import load_model, save_model
from seimai.model.config import ModelConfig, resolve_body
from seimai.model.export_check import quiet
from seimai.model.export_hf import export_hf
from seimai.model.hf_weights import from_hf
from seimai.model.init_from import extended_rows, load_initial, sized_like
from seimai.model.shards import open_tokens
from seimai.model.train import train
from seimai.model.train_config import TrainConfig
from seimai.model.transformer import Transformer, build

VOCAB = 264
ROW = 32
SIZES: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 2, "num_attention_heads": 4}
ROPE = {"rope_type": "default", "rope_theta": 5_000.0}


def theirs(kind: str) -> Any:
    """A model of Transformers with its own random weights, none of its sizes our defaults."""
    torch.manual_seed(3)
    shared: dict[str, Any] = {"vocab_size": VOCAB + 3, "tie_word_embeddings": False, "max_position_embeddings": 64}
    yarn = {**ROPE, "rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 32, "beta_fast": 16.0}
    models: dict[str, Callable[[], Any]] = {
        "llama": lambda: LlamaForCausalLM(
            LlamaConfig(**SIZES, **shared, num_key_value_heads=2, rms_norm_eps=1e-5, rope_parameters=ROPE)
        ),
        "tied": lambda: LlamaForCausalLM(
            LlamaConfig(**SIZES, **(shared | {"tie_word_embeddings": True}), rope_parameters=yarn)
        ),
        "qwen3": lambda: Qwen3ForCausalLM(
            Qwen3Config(**SIZES, **shared, num_key_value_heads=1, head_dim=16, rope_parameters=ROPE)
        ),
        "gpt2": lambda: GPT2LMHeadModel(
            GPT2Config(vocab_size=VOCAB + 3, n_positions=64, n_embd=32, n_layer=2, n_head=4, n_inner=40)
        ),
        "mpt": lambda: MptForCausalLM(
            MptConfig(vocab_size=VOCAB + 3, d_model=32, n_heads=4, n_layers=2, max_seq_len=64)
        ),
    }
    model = models[kind]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape), alpha=0.1)
    return model.eval()


@pytest.fixture
def folder_of(tmp_path: Path, small_tokens: Path) -> Callable[[str], Path]:
    """That model as a folder, with the tokenizer of `small_tokens`."""

    def save(kind: str) -> Path:
        with quiet():
            theirs(kind).save_pretrained(tmp_path / kind)
        (tmp_path / kind / "tokenizer.json").write_bytes((small_tokens / "tokenizer.json").read_bytes())
        return tmp_path / kind

    return save


def config_of(folder: Path, embedding_map: Path | None = None, **model: Any) -> TrainConfig:
    """A training of 3 steps that goes on from a folder."""
    settings = {
        "model": {"row_tokens": ROW, **model},
        "data": {"batch_rows": 2},
        "optimizer": {"learning_rate": 1e-4},
        "train": {
            **{"steps": 3, "checkpoint_every": 2, "device": "cpu", "evaluate_max_documents": 1},
            **{"init_from": str(folder), "embedding_map": str(embedding_map) if embedding_map else None},
        },
    }
    return parse_config(settings, TrainConfig, place="test")


def begun(config: TrainConfig, tokens: Path) -> Transformer:
    """The model before its first step."""
    sized, shards = sized_like(config), open_tokens(tokens)
    model = build(resolve_body(sized.model, shards.tokenizer["vocab_size"]), seed=0).eval()
    load_initial(model, sized, shards)
    return model


@pytest.mark.parametrize("kind", ["llama", "tied", "qwen3", "gpt2", "mpt"])
@torch.no_grad()
def test_the_first_logits_are_theirs(folder_of: Callable[[str], Path], small_tokens: Path, kind: str) -> None:
    """Rows beyond the vocabulary of the shards are left out, in ours and in theirs."""
    model = begun(config_of(folder_of(kind)), small_tokens)
    tokens = torch.randint(0, VOCAB, (2, ROW), generator=torch.Generator().manual_seed(1))
    expected = theirs(kind)(tokens, use_cache=False).logits[..., :VOCAB]
    torch.testing.assert_close(model.logits(model(tokens)), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "changes",
    [
        {"n_kv_heads": 2, "rope_scaling": "llama3", "rope_factor": 4.0, "norm_eps": 1e-4},
        {"qk_norm": True, "tied": True, "rope_scaling": "dynamic", "rope_factor": 2.0},
        {"rope_scaling": "linear", "rope_factor": 3.0},
        {"preset": "gpt2", "positions": "learned", "tied": False},
        {"preset": "gpt2", "positions": "sinusoidal"},
        {"preset": "mpt", "positions": "alibi"},
    ],
)
@torch.no_grad()
def test_exports_come_back(tmp_path: Path, small_tokens: Path, changes: dict[str, Any]) -> None:
    sizes = {"depth": 2, "d_model": 48, "n_heads": 6, "row_tokens": ROW, **changes}
    model = build(resolve_body(ModelConfig.model_validate(sizes), VOCAB), seed=0).eval()
    for parameter in model.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)), alpha=0.1)
    described = {"tokenizer": open_tokens(small_tokens).tokenizer, "step": 1}
    save_model(tmp_path / "model", model, described, small_tokens / "tokenizer.json")
    export_hf(tmp_path / "model", tmp_path / "hf")
    back = begun(config_of(tmp_path / "hf"), small_tokens)
    tokens = torch.randint(0, VOCAB, (2, ROW), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(back.logits(back(tokens)), model.logits(model(tokens)), atol=2e-5, rtol=0)
    if "positions" not in changes:
        # L means nothing to linear scaling, and the export's context is not it.
        written = {"norm_eps": model.body.eps, "rope_original_tokens": back.body.rope_original_tokens}
        assert back.body == model.body.model_copy(update=written)
        assert changes["rope_scaling"] == "linear" or back.body.rope_original_tokens == ROW


def test_training_goes_on_and_resumes(folder_of: Callable[[str], Path], small_tokens: Path, tmp_path: Path) -> None:
    config = config_of(folder_of("llama"))
    whole = train(config, small_tokens, tmp_path / "whole")
    train(config, small_tokens, tmp_path / "cut", stop=lambda done: done == 2)
    train(config, small_tokens, tmp_path / "cut")
    ours, theirs_ = (load_model(tmp_path / name)[0].state_dict() for name in ("whole", "cut"))
    assert all(torch.equal(ours[name], theirs_[name]) for name in ours)
    assert whole.finished
    described = load_model(tmp_path / "whole")[0].body
    assert (described.n_layers, described.n_kv_heads, described.rope_base) == (2, 2, 5_000.0)
    with pytest.raises(RunError, match="was begun with"):
        train(config_of(folder_of("tied")), small_tokens, tmp_path / "whole")


def test_command(folder_of: Callable[[str], Path], small_tokens: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f"[model]\nrow_tokens = {ROW}\n[data]\nbatch_rows = 2\n[train]\nsteps = 1\nevaluate = false\ndevice = 'cpu'\n"
    )
    out = tmp_path / "out"
    words = ["train", str(config), "--data", str(small_tokens), "--out", str(out)]
    result = CliRunner().invoke(app, [*words, "--init-from", str(folder_of("mpt"))])
    assert result.exit_code == 0, result.output
    assert load_model(out)[0].body.positions == "alibi"
    result = CliRunner().invoke(app, [*words[:-1], str(tmp_path / "o"), "--embedding-map", "x"])
    assert "--init-from" in str(result.exception)


def write_map(path: Path, **changes: Any) -> Path:
    """The map of an extension of 260 tokens by four."""
    about = {
        "format": "seimai-embedding-map/1",
        "base_vocab_size": 260,
        "vocab_size": VOCAB,
        "fingerprint": "ab" * 32,
        "rows": [[1, 2], [5], [7, 7, 8], []],
    }
    path.write_text(json.dumps(about | changes))
    return path


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_new_tokens_are_means_of_old_rows(
    folder_of: Callable[[str], Path], small_tokens: Path, tmp_path: Path, kind: str
) -> None:
    folder = folder_of(kind)
    (folder / "tokenizer.json").unlink()
    model = begun(config_of(folder, write_map(tmp_path / "map.json")), small_tokens)
    old = theirs(kind).get_input_embeddings().weight
    found = [model.embedding.weight] + ([] if model.head is None else [model.head.weight])
    for ours, before in zip(found, [old, theirs(kind).get_output_embeddings().weight], strict=False):
        assert torch.equal(ours[:260], before[:260])
        expected = torch.stack([(before[1] + before[2]) / 2, before[5], (2 * before[7] + before[8]) / 3])
        torch.testing.assert_close(ours[260:263], expected)
        torch.testing.assert_close(ours[263], before[:260].mean(0))


def test_extended_rows_without_new_ones() -> None:
    old = torch.randn(3, 2)
    assert extended_rows(old, []) is old


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "x"}, "format 'x'"),
        ({"fingerprint": "cd" * 32}, "of another tokenizer than the shards"),
        ({"vocab_size": 300}, "of another tokenizer than the shards"),
        ({"base_vocab_size": 500}, "extends 500 tokens, and the model has 267"),
        ({"rows": [[1]]}, r"rows do not fit 260 \+ 4 tokens"),
        ({"rows": [[1], [2], [3], [260]]}, "rows do not fit"),
        ({"rows": None}, "no embedding map"),
    ],
)
def test_wrong_maps_are_refused(
    folder_of: Callable[[str], Path], small_tokens: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        begun(config_of(folder_of("mpt"), write_map(tmp_path / "map.json", **changes)), small_tokens)


@pytest.mark.parametrize(
    ("kind", "changes", "error", "said"),
    [
        ("llama", {"model_type": "gemma"}, ConfigError, "model_type 'gemma': read are llama"),
        ("llama", {"attention_bias": True}, ConfigError, "attention_bias = True"),
        ("llama", {"rope_parameters": {**ROPE, "rope_type": "longrope"}}, ConfigError, "rope_type = 'longrope'"),
        ("llama", {"rope_parameters": {**ROPE, "rope_theta": 9_000.0}}, None, ""),
        ("llama", {"hidden_size": 64}, ConfigError, "weights do not fit config.json"),
        ("llama", {"num_hidden_layers": 3}, ConfigError, "model.layers.2"),
        ("gpt2", {"activation_function": "relu"}, ConfigError, "activation_function = 'relu'"),
        ("gpt2", {"n_positions": 16}, ConfigError, "knows 16 positions; lower it"),
        ("mpt", {"attn_config": {"alibi": False}}, ConfigError, "alibi = False"),
    ],
)
def test_what_is_refused(
    folder_of: Callable[[str], Path],
    small_tokens: Path,
    kind: str,
    changes: dict[str, Any],
    error: type[SeimaiError] | None,
    said: str,
) -> None:
    folder = folder_of(kind)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    if error is None:
        begun(config_of(folder), small_tokens)
        return
    with pytest.raises(error, match=said):
        begun(config_of(folder), small_tokens)


def test_more_mistakes(folder_of: Callable[[str], Path], small_tokens: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config.json"):
        sized_like(config_of(tmp_path))
    folder = folder_of("llama")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocab = tokenizer["model"]["vocab"]
    vocab["a"], vocab["b"] = vocab["b"], vocab["a"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ConfigError, match="token 97 of the shards is 'a', which the model has as 98"):
        begun(config_of(folder), small_tokens)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match=r"no tokenizer.json to compare"):
        begun(config_of(folder), small_tokens)
    (folder / "model.safetensors").rename(folder / "model.bin")
    with pytest.raises(InputError, match="pickled weights are not read"):
        begun(config_of(folder), small_tokens)


def test_other_logits_are_noticed(
    folder_of: Callable[[str], Path], small_tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*arguments: Any) -> dict[str, torch.Tensor]:
        weights = from_hf(*arguments)
        weights["norm.weight"] = weights["norm.weight"] + 0.01
        return weights

    monkeypatch.setattr("seimai.model.init_from.from_hf", wrong)
    with pytest.raises(VerifyError, match="our logits differ"):
        begun(config_of(folder_of("qwen3")), small_tokens)


def test_weights_in_several_files(folder_of: Callable[[str], Path], small_tokens: Path) -> None:
    """And without the first part of their names, as GPT-2 was published."""
    folder = folder_of("gpt2")
    weights = {
        name.removeprefix("transformer."): each for name, each in load_file(folder / "model.safetensors").items()
    }
    names = sorted(weights)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, inside in parts.items():
        save_file({name: weights[name] for name in inside}, folder / file, metadata={"format": "pt"})
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {name: file for file, inside in parts.items() for name in inside}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    begun(config_of(folder), small_tokens)


def test_a_scaling_that_is_written_stays(folder_of: Callable[[str], Path], small_tokens: Path) -> None:
    """Going on with longer rows: the logits that are compared are those without it."""
    config = config_of(folder_of("llama"), rope_scaling="yarn", rope_factor=4.0)
    body = begun(config, small_tokens).body
    assert (body.rope_scaling, body.rope_factor, body.rope_original_tokens) == ("yarn", 4.0, 64)
