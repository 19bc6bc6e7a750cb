"""GGUF files: read back by Transformers (and llama.cpp where it is installed), what stands in them, what is refused."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFReader
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from typer.testing import CliRunner

from seimai.cli import app
from seimai.errors import ConfigError, RunError, VerifyError
from seimai.files import read_json
from seimai.model import export_gguf as exporting
from seimai.model.checkpoint import save_model
from seimai.model.config import ModelConfig, resolve_body
from seimai.model.export_gguf import export_gguf
from seimai.model.gguf_check import gguf_config
from seimai.model.gguf_layout import StoredAs, gguf_sizes, gguf_tensors
from seimai.model.transformer import Transformer, build
from seimai.tokenizer.split import split_pattern

VOCAB = 264
ROOT = "cd" * 32
SPECIAL = {"fingerprint": "ab" * 32, "vocab_size": VOCAB, "bos_id": 259, "eos_id": 260, "pad_id": 261}
TEXTS = ("精米は玄米から糠を取り除く。", "Rice is polished before it is cooked. ")

READ_BY_TRANSFORMERS: list[tuple[dict[str, Any], str]] = [
    ({"n_kv_heads": 2}, "llama"),
    ({"tied": True, "head_dim": 12}, "llama"),
    ({"positions": "none"}, "llama"),
    *(({"rope_scaling": kind, "rope_factor": 4.0}, "llama") for kind in ("linear", "ntk", "yarn", "llama3")),
    ({"qk_norm": True, "n_kv_heads": 3, "norm_eps": 1e-4}, "qwen3"),
    ({"qk_norm": True, "head_dim": 16, "rope_scaling": "yarn", "rope_factor": 4.0}, "qwen3"),
    *(({"preset": "gpt2", "positions": kind}, "gpt2") for kind in ("learned", "sinusoidal", "none")),
    ({"preset": "gpt2", "positions": "learned", "tied": False, "d_ff": 64}, "gpt2"),
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


@pytest.fixture(scope="module")
def tokenizer_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """256 bytes, three merges, five specials, of the split `qwen2`, which is tried first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split_pattern(name="qwen2")), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=259, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.add_special_tokens(["<|bos|>", "<|eos|>", "<|pad|>", "<|reserved_0|>", "<|reserved_1|>"])
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.fixture
def saved(tmp_path: Path, tokenizer_json: Path) -> Callable[..., Path]:
    """A model directory of a body."""

    def save(**changes: Any) -> Path:
        described = {"tokenizer": SPECIAL, "step": 7, "data": ROOT, "config": "ef" * 32}
        save_model(tmp_path / "model", filled(**changes), described, tokenizer_json)
        return tmp_path / "model"

    return save


@pytest.mark.parametrize(("changes", "name"), READ_BY_TRANSFORMERS, ids=lambda value: str(value))
def test_transformers_computes_the_same(
    saved: Callable[..., Path], tmp_path: Path, changes: dict[str, Any], name: str
) -> None:
    found = export_gguf(saved(**changes), tmp_path / "out", texts=None if changes.get("tied") is False else TEXTS)
    assert found.architecture == name
    reader, checked = found.checked[0]
    assert reader.startswith("Transformers 5")
    assert checked.logit_difference <= 1e-5
    learned = changes.get("positions") == "learned"
    assert (checked.rows, checked.greedy_tokens) == (f"2 × 48 and 1 × {48 if learned else 96}", 40 if learned else 64)


@pytest.mark.skipif(
    find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed; bench/gguf_readers.py asks it"
)
def test_llama_cpp_computes_alibi(saved: Callable[..., Path], tmp_path: Path) -> None:
    found = export_gguf(saved(positions="alibi", n_kv_heads=2), tmp_path / "out", texts=TEXTS)
    assert found.architecture == "refact"
    assert found.checked[0].found.greedy_tokens == 64


@pytest.mark.skipif(find_spec("llama_cpp") is not None, reason="llama-cpp-python is installed")
def test_alibi_wants_llama_cpp(saved: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pip install llama-cpp-python"):
        export_gguf(saved(positions="alibi"), tmp_path / "out", texts=TEXTS)
    with pytest.raises(ConfigError, match="ALiBi in q8_0 cannot be checked"):
        export_gguf(tmp_path / "model", tmp_path / "out", texts=TEXTS, dtype="q8_0")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize(
    ("dtype", "width", "type_name"),
    [("float16", 48, "F16"), ("bfloat16", 48, "BF16"), ("q8_0", 64, "Q8_0"), ("q8_0", 48, "F16")],
)
def test_smaller_types_hold_the_compared_weights(
    saved: Callable[..., Path], tmp_path: Path, dtype: StoredAs, width: int, type_name: str
) -> None:
    found = export_gguf(saved(d_model=width, n_heads=4), tmp_path / "out", texts=TEXTS, dtype=dtype)
    assert [each.reader.split()[0] for each in found.checked] == ["Transformers"]
    tensors = {each.name: each.tensor_type.name for each in GGUFReader(tmp_path / "out" / "model.gguf").tensors}
    assert tensors["token_embd.weight"] == tensors["blk.1.attn_q.weight"] == type_name
    assert tensors["output_norm.weight"] == "F32"


def test_the_file_says_what_it_is(saved: Callable[..., Path], tmp_path: Path, tokenizer_json: Path) -> None:
    found = export_gguf(saved(rope_scaling="yarn", rope_factor=2.0), tmp_path / "out", texts=TEXTS)
    assert found.files == ("README.md", "model.gguf", "tokenizer.json")
    assert found.notes == ()
    fields = {name: field.contents() for name, field in GGUFReader(tmp_path / "out" / "model.gguf").fields.items()}
    assert fields["seimai.data.merkle_root"] == ROOT
    assert fields["seimai.tokenizer.split"] == "exact"
    assert (fields["tokenizer.ggml.pre"], fields["tokenizer.ggml.model"]) == ("qwen2", "gpt2")
    assert [fields[f"tokenizer.ggml.{each}_token_id"] for each in ("bos", "eos", "padding")] == [259, 260, 261]
    assert (fields["tokenizer.ggml.add_bos_token"], fields["tokenizer.ggml.add_eos_token"]) == (True, False)
    assert fields["tokenizer.ggml.tokens"][255:261] == [*fields["tokenizer.ggml.tokens"][255:259], "<|bos|>", "<|eos|>"]
    assert [fields["tokenizer.ggml.token_type"][place] for place in (258, 259, 263)] == [1, 3, 3]
    assert "<|reserved_0|>" in fields["tokenizer.chat_template"]
    assert (fields["llama.rope.scaling.type"], fields["llama.rope.scaling.original_context_length"]) == ("yarn", 48)
    assert fields["llama.context_length"] == 96
    assert ROOT in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == tokenizer_json.read_bytes()


def test_the_same_model_gives_the_same_bytes(saved: Callable[..., Path], tmp_path: Path) -> None:
    model = saved()
    for name in ("first", "second"):
        export_gguf(model, tmp_path / name, texts=TEXTS)
    assert (tmp_path / "first" / "model.gguf").read_bytes() == (tmp_path / "second" / "model.gguf").read_bytes()


def test_another_split_is_told_in_the_file_and_to_the_user(saved: Callable[..., Path], tmp_path: Path) -> None:
    data = read_json(saved() / "tokenizer.json")
    data["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = split_pattern()
    (tmp_path / "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")
    save_model(tmp_path / "ours", filled(), {"tokenizer": SPECIAL}, tmp_path / "tokenizer.json")
    result = CliRunner().invoke(
        app, ["export", str(tmp_path / "ours"), "--out", str(tmp_path / "o"), "--format", "gguf"]
    )
    assert result.exit_code == 0, result.output
    assert "ANOTHER SPLIT" in result.stderr
    assert "tokenizer.json beside the file" in result.stderr
    fields = GGUFReader(tmp_path / "o" / "model.gguf").fields
    assert "nearest, qwen2: other ids on 0 of" in fields["seimai.tokenizer.split"].contents()


@pytest.mark.parametrize("name", ["blk.1.ffn_up.weight", "blk.0.attn_q.weight", "rope_freqs.weight"])
def test_a_difference_leaves_nothing(
    saved: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    true_tensors = gguf_tensors

    def wrong(*arguments: Any) -> dict[str, np.ndarray]:
        tensors = true_tensors(*arguments)
        return {**tensors, name: tensors[name][..., ::-1].copy()}

    monkeypatch.setattr(exporting, "gguf_tensors", wrong)
    model = saved(rope_scaling="llama3", rope_factor=4.0)
    with pytest.raises(VerifyError, match="logits of the export differ"):
        export_gguf(model, tmp_path / "out", texts=None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("attention.layer_norm_rms_epsilon", 0.1), ("rope.freq_base", 500.0), ("rope.scaling.factor", 2.0)],
)
def test_a_wrong_key_leaves_nothing(
    saved: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: float
) -> None:
    true_sizes = gguf_sizes
    monkeypatch.setattr(exporting, "gguf_sizes", lambda *arguments: {**true_sizes(*arguments), key: value})
    model = saved(rope_scaling="linear", rope_factor=4.0)
    with pytest.raises(VerifyError, match="logits of the export differ"):
        export_gguf(model, tmp_path / "out", texts=None)


def test_the_config_comes_from_the_file_alone(saved: Callable[..., Path], tmp_path: Path) -> None:
    export_gguf(saved(qk_norm=True, head_dim=16, n_kv_heads=2), tmp_path / "out", texts=None)
    config = gguf_config(tmp_path / "out" / "model.gguf", "qwen3")
    assert (config.head_dim, config.num_key_value_heads, config.vocab_size) == (16, 2, VOCAB)


def test_mistakes_are_one_line(saved: Callable[..., Path], tmp_path: Path) -> None:
    model = saved(preset="mpt", positions="alibi")
    with pytest.raises(ConfigError, match=r"GELU by tanh only, .*; leave --format gguf out"):
        export_gguf(model, tmp_path / "out", texts=TEXTS)
    with pytest.raises(RunError, match="exists; give a new folder"):
        export_gguf(model, model, texts=TEXTS)
    with pytest.raises(ConfigError, match="dtype = int4: there are float32, float16, bfloat16, q8_0"):
        export_gguf(model, tmp_path / "out", texts=TEXTS, dtype="int4")  # type: ignore[arg-type]
    run = ["export", str(model), "--out", str(tmp_path / "out")]
    for more, said in (
        (["--format", "onnx"], "--format onnx: there are hf and gguf"),
        (["--ids-only"], "--ids-only is for --format gguf"),
        (["--format", "gguf", "--dtype", "int4"], "--dtype int4: there are float32"),
        (["--dtype", "float16"], "--dtype float16: there are float32 and bfloat16"),
    ):
        assert said in str(CliRunner().invoke(app, [*run, *more]).exception)


def test_command_with_ids_only(saved: Callable[..., Path], tmp_path: Path) -> None:
    run = ["export", str(saved()), "--out", str(tmp_path / "out"), "--format", "gguf", "--dtype", "q8_0", "--ids-only"]
    result = CliRunner().invoke(app, run)
    assert result.exit_code == 0, result.output
    assert "token ids only" in result.stderr
    assert "read by Transformers" in result.stdout
    fields = GGUFReader(tmp_path / "out" / "model.gguf").fields
    assert fields["tokenizer.ggml.model"].contents() == "none"
    assert "tokenizer.ggml.tokens" not in fields
