"""Exports: every body computes the same in Transformers; what is written, and that a difference leaves nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, processors
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from seimai.cli import app
from seimai.errors import ConfigError, RunError, VerifyError
from seimai.model import export_hf as exporting
from seimai.model.checkpoint import save_model
from seimai.model.config import ModelConfig, resolve_body
from seimai.model.export_check import quiet
from seimai.model.export_hf import export_hf
from seimai.model.hf_weights import to_hf
from seimai.model.transformer import Transformer, build

VOCAB = 264
ROOT = "cd" * 32
SPECIAL = {"fingerprint": "ab" * 32, "vocab_size": VOCAB, "bos_id": 256, "eos_id": 257, "pad_id": 258}

NATIVE: list[tuple[dict[str, Any], str]] = [
    ({"n_kv_heads": 2}, "LlamaForCausalLM"),
    ({"tied": True, "head_dim": 12}, "LlamaForCausalLM"),
    ({"qk_norm": True, "n_kv_heads": 3, "norm_eps": 1e-4}, "Qwen3ForCausalLM"),
    *(
        ({"rope_scaling": kind, "rope_factor": 4.0, "qk_norm": kind == "yarn"}, "")
        for kind in ("linear", "ntk", "dynamic", "yarn", "llama3")
    ),
    *(({"preset": "gpt2", "positions": kind}, "GPT2LMHeadModel") for kind in ("learned", "sinusoidal", "none")),
    ({"preset": "gpt2", "positions": "learned", "tied": False}, "GPT2LMHeadModel"),
    ({"preset": "mpt", "positions": "alibi"}, "MptForCausalLM"),
]
REMOTE: list[dict[str, Any]] = [
    *({"positions": kind} for kind in ("learned", "sinusoidal", "t5", "alibi", "none")),
    {"positions": "shaw", "qk_norm": True, "n_kv_heads": 2, "tied": True, "shaw_max_distance": 9},
    *({"preset": "gpt2", "positions": kind} for kind in ("shaw", "alibi", "rope")),
    {"preset": "mpt", "positions": "alibi", "tied": False},
    {"preset": "mpt", "positions": "t5", "d_ff": 64, "t5_buckets": 8, "t5_max_distance": 20},
    *(
        {"preset": "mpt", "positions": "rope", "rope_scaling": kind, "rope_factor": 4.0}
        for kind in ("linear", "ntk", "dynamic", "yarn", "llama3")
    ),
]


def filled(**changes: Any) -> Transformer:
    """Two layers of width 48 with six heads whose every weight is drawn."""
    config = {"depth": 2, "d_model": 48, "n_heads": 6, "row_tokens": 48, **changes}
    model = build(resolve_body(ModelConfig.model_validate(config), VOCAB), seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return model


@pytest.fixture(autouse=True)
def modules_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Transformers copies remote code there before it runs it."""
    cache = str(tmp_path_factory.getbasetemp() / "modules")
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", cache)


@pytest.fixture
def saved(tmp_path: Path, small_tokens: Path) -> Callable[..., Path]:
    """A model directory of a body; its tokenizer has the reserved tokens that the chat template needs."""

    def save(model: Transformer | None = None, reserved: bool = True, **changes: Any) -> Path:
        tokenizer = Tokenizer.from_file(str(small_tokens / "tokenizer.json"))
        if reserved:
            tokenizer.add_special_tokens(["<|reserved_0|>", "<|reserved_1|>"])
        tokenizer.save(str(tmp_path / "tokenizer.json"))
        described = {"tokenizer": SPECIAL, "step": 7, "data": ROOT, "config": "ef" * 32}
        save_model(tmp_path / "model", model or filled(**changes), described, tmp_path / "tokenizer.json")
        return tmp_path / "model"

    return save


@pytest.mark.parametrize(("changes", "name"), NATIVE, ids=lambda value: str(value))
def test_native_classes(saved: Callable[..., Path], tmp_path: Path, changes: dict[str, Any], name: str) -> None:
    found = export_hf(saved(**changes), tmp_path / "out")
    expected = "Qwen3ForCausalLM" if changes.get("qk_norm") else "LlamaForCausalLM"
    assert (found.class_name, found.native) == (name or expected, True)
    assert found.checked.greedy_tokens == (40 if changes.get("positions") == "learned" else 64)
    assert "modeling_seimai.py" not in found.files
    limit = 48 if changes.get("positions") == "learned" else 96
    assert found.checked.rows == f"2 × 48 and 1 × {limit}"


@pytest.mark.parametrize("changes", REMOTE, ids=lambda value: str(value))
def test_remote_code(saved: Callable[..., Path], tmp_path: Path, changes: dict[str, Any]) -> None:
    found = export_hf(saved(**changes), tmp_path / "out")
    assert (found.class_name, found.native) == ("SeimaiForCausalLM", False)
    assert "modeling_seimai.py" in found.files
    assert "runs the code in this folder" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("changes", [{}, {"positions": "t5"}, {"positions": "learned"}, {"positions": "shaw"}])
def test_what_is_loaded_again_generates_from_ragged_prompts(
    saved: Callable[..., Path], tmp_path: Path, changes: dict[str, Any]
) -> None:
    """Left padding, KV cache and beams of the exported class against each prompt alone."""
    out = tmp_path / "out"
    export_hf(saved(**changes), out)
    with quiet():
        model: Any = AutoModelForCausalLM.from_pretrained(out, trust_remote_code=True)
        tokenizer = AutoTokenizer.from_pretrained(out, trust_remote_code=True)
        prompts = ["Rice is", "精米は玄米から", "a"]
        options: dict[str, Any] = {"max_new_tokens": 12, "do_sample": False, "num_beams": 2}
        batch = model.generate(**tokenizer(prompts, return_tensors="pt", padding=True), **options)
        for prompt, row in zip(prompts, batch, strict=True):
            alone = tokenizer(prompt, return_tensors="pt")
            assert alone["input_ids"][0, 0] == 256
            found = model.generate(**alone, **options)[0, alone["input_ids"].shape[1] :].tolist()
            assert row[batch.shape[1] - 12 :].tolist()[: len(found)] == found


def test_gradients_reach_every_weight_of_remote_code(saved: Callable[..., Path], tmp_path: Path) -> None:
    export_hf(saved(positions="shaw"), tmp_path / "out")
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", trust_remote_code=True)
    tokens = torch.arange(20)[None]
    model(tokens, labels=tokens).loss.backward()
    assert [name for name, each in model.named_parameters() if each.grad is None or not each.grad.any()] == []


def test_bfloat16_is_compared_with_the_rounded_weights(saved: Callable[..., Path], tmp_path: Path) -> None:
    export_hf(saved(), tmp_path / "out", dtype="bfloat16")
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert {each.dtype for each in weights.values()} == {torch.bfloat16}
    assert weights["model.embed_tokens.weight"].shape == (VOCAB, 48)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"


def test_the_folder_says_what_it_is(saved: Callable[..., Path], tmp_path: Path) -> None:
    found = export_hf(saved(rope_scaling="yarn", rope_factor=2.0), tmp_path / "out")
    assert {"README.md", "chat_template.jinja", "config.json", "generation_config.json"} <= set(found.files)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["rope_parameters"] == {"rope_theta": 10_000.0, **config["rope_scaling"]}
    assert (config["max_position_embeddings"], config["rope_scaling"]["original_max_position_embeddings"]) == (96, 48)
    assert [config[f"{name}_token_id"] for name in ("bos", "eos", "pad")] == [256, 257, 258]
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert ROOT in card
    assert "`" + "ab" * 32 + "`" in card
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "米"}], tokenize=False)
    assert {"<|pad|>", "<|reserved_0|>", "<|reserved_1|>"} <= set(tokenizer.all_special_tokens)
    assert chat == "<|bos|><|reserved_0|>user\n米<|reserved_1|>\n"
    assert tokenizer("米")["input_ids"] == [256, *"米".encode()]


def test_a_bos_of_the_tokenizers_own_is_kept(saved: Callable[..., Path], tmp_path: Path) -> None:
    directory = saved(reserved=False)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(single="<|bos|> $A", special_tokens=[("<|bos|>", 256)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    save_model(tmp_path / "own", filled(), {"tokenizer": SPECIAL}, tmp_path / "tokenizer.json")
    export_hf(tmp_path / "own", tmp_path / "out")
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == (tmp_path / "tokenizer.json").read_bytes()
    found = export_hf(directory, tmp_path / "without", chat_template="{{ bos_token }}")
    assert found.notes == ()
    assert (tmp_path / "without" / "chat_template.jinja").read_text() == "{{ bos_token }}"


@pytest.mark.parametrize(
    ("name", "amount", "said"),
    [
        ("model.layers.1.mlp.up_proj.weight", 1e-2, "logits of the export differ"),
        ("model.norm.weight", float("nan"), "logits of the export differ by inf"),
        ("model.layers.7.mlp.up_proj.weight", 0.0, "unexpected keys in the export, first model.layers.7"),
    ],
)
def test_a_difference_leaves_nothing(
    saved: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, amount: float, said: str
) -> None:
    true_weights = to_hf

    def wrong(*arguments: Any) -> dict[str, torch.Tensor]:
        weights = true_weights(*arguments)
        weights[name] = weights.get(name, weights["model.norm.weight"]) + amount
        return weights

    monkeypatch.setattr(exporting, "to_hf", wrong)
    directory = saved()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(VerifyError, match=said):
        export_hf(directory, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before


def test_another_tokenizer_leaves_nothing(
    saved: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = saved()
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: lambda text: {"input_ids": [0]})
    with pytest.raises(VerifyError, match="tokenizer gives other ids"):
        export_hf(directory, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_mistakes_are_one_line(saved: Callable[..., Path], tmp_path: Path) -> None:
    directory = saved()
    with pytest.raises(RunError, match="exists; give a new folder"):
        export_hf(directory, directory)
    with pytest.raises(ConfigError, match="float32 and bfloat16"):
        export_hf(directory, tmp_path / "out", dtype="int8")  # type: ignore[arg-type]
    save_model(tmp_path / "bare", filled(), {}, tmp_path / "none")
    with pytest.raises(RunError, match="no tokenizer beside the weights"):
        export_hf(tmp_path / "bare", tmp_path / "out")


def test_command(saved: Callable[..., Path], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["export", str(saved(positions="t5")), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "REMOTE CODE" in result.stderr
    assert "greedy tokens compared" in result.stdout
    result = CliRunner().invoke(app, ["export", str(tmp_path / "model"), "--out", "x", "--dtype", "int8"])
    assert "--dtype int8" in str(result.exception)
