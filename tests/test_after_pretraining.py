"""docs/after_pretraining.md runs as written on a tiny export: PEFT, TRL, distillation, torchao and a pipeline."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from seimai.model.checkpoint import save_model
from seimai.model.config import ModelConfig, resolve_body
from seimai.model.transformer import build

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "after_pretraining.md"
EXTRA = ("accelerate", "datasets", "peft", "torchao", "transformers", "trl")
SPECIAL = ("<|bos|>", "<|eos|>", "<|pad|>", "<|reserved_0|>", "<|reserved_1|>")
VOCAB = 256 + len(SPECIAL)
CHECKS = """
import json
from pathlib import Path
merged = AutoModelForCausalLM.from_pretrained("with_lora")
row = sft.train_dataset[0]["input_ids"]
Path("checks.json").write_text(json.dumps({
    "generated": generated,
    "lora": lora_losses,
    "sft": sft_losses,
    "dpo": dpo_losses,
    "distilled": distilled,
    "eight_bits": eight_bit_divergence,
    "matrix": type(small.model.layers[0].self_attn.q_proj.weight).__name__,
    "adapters_left": [name for name, _ in merged.named_parameters() if "lora" in name],
    "vocabulary": [AutoModelForCausalLM.from_pretrained(n).config.vocab_size for n in ("exported", "preferred")],
    "bos": [row.count(tokenizer.bos_token_id), row[0] == tokenizer.bos_token_id],
    "row": tokenizer.decode(row),
}))
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def byte_tokenizer() -> Tokenizer:
    """A token for every byte, then the special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={symbol: number for number, symbol in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two exports of one tokenizer, `exported` and `larger`."""
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: pip install 'seimai[after]'")
    from seimai.model.export_hf import export_hf

    folder = tmp_path_factory.mktemp("after")
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    special = {"fingerprint": "ab" * 32, "vocab_size": VOCAB, "bos_id": 256, "eos_id": 257, "pad_id": 258}
    described = {"step": 0, "data": "cd" * 32, "config": "ef" * 32, "tokenizer": special}
    for seed, (name, width) in enumerate({"exported": 32, "larger": 48}.items()):
        config = ModelConfig(depth=2, d_model=width, n_heads=4, row_tokens=64)
        model = build(resolve_body(config, VOCAB), seed)
        with torch.no_grad():
            # Fresh weights write nothing to the residual stream; these do.
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)), alpha=0.1)
        save_model(folder / f"{name}_model", model, described, folder / "tokenizer.json")
        export_hf(folder / f"{name}_model", folder / name)
    return folder


def test_the_guide_runs_as_written(exports: Path) -> None:
    script = exports / "guide.py"
    script.write_text("\n".join([*blocks("python"), CHECKS]), encoding="utf-8")
    alone = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(exports / "hf"), "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    ran = subprocess.run(
        [sys.executable, script.name], cwd=exports, env={**os.environ, **alone}, capture_output=True, timeout=240
    )
    assert ran.returncode == 0, ran.stderr.decode()[-3000:]
    found: dict[str, Any] = json.loads((exports / "checks.json").read_text(encoding="utf-8"))
    assert found["generated"].startswith("お茶を淹れるときは")
    assert len(found["generated"]) > len("お茶を淹れるときは")
    for name, steps in (("lora", 20), ("sft", 5), ("dpo", 5), ("distilled", 10)):
        assert len(found[name]) == steps
        assert found[name][-1] < found[name][0], name
    assert found["dpo"][0] == pytest.approx(0.6931, abs=1e-3)
    assert 0 < found["eight_bits"] < 0.01
    assert found["matrix"] == "Int8Tensor"
    assert found["adapters_left"] == []
    assert found["vocabulary"] == [VOCAB, VOCAB]
    assert found["bos"] == [1, True]
    assert found["row"].endswith("糠を取り除くことです。<|reserved_1|>\n")


def test_the_guides_commands_are_known() -> None:
    from typer.main import get_command

    from seimai.cli import app

    commands = [line.split() for block in blocks("sh") for line in block.splitlines()]
    assert len(commands) == 3
    known = get_command(app).commands  # type: ignore[attr-defined]
    assert [words[:1] == ["seimai"] and words[1] in known for words in commands] == [True] * 3
