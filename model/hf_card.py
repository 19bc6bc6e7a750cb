"""What a model came from and what was compared in; the model card of its Hugging Face folder out."""

from typing import Any

from .config import Body
from .export_check import Checked
from .hf_config import context_tokens

__all__ = ["hf_card", "origin_rows"]


def hf_card(body: Body, described: dict[str, Any], class_name: str, native: bool, dtype: str, checked: Checked) -> str:
    """README.md: front matter of the hub, sizes, origin by hash, how it was checked, how it is loaded."""
    trust = "" if native else ", trust_remote_code=True"
    named = class_name if native else f"{class_name} (`modeling_seimai.py` in this folder)"
    sizes = [("Class", named), *origin_rows(body, described, dtype)]
    lines = [
        *("---", "library_name: transformers", "pipeline_tag: text-generation", "tags:", "- seimai", "---", ""),
        *("# A decoder trained with Seimai", "", "| | |", "|---|---|"),
        *(f"| {name} | {value} |" for name, value in sizes),
        *("", "## Checked", ""),
        "This folder was loaded with Transformers and compared with the model it was made of, in fp32: rows of "
        f"{checked.rows} random tokens, largest difference of two logits {checked.logit_difference:.1e}; "
        f"{checked.greedy_tokens} greedy tokens, all the same.",
        *("", "## Use", "", "```python", "from transformers import AutoModelForCausalLM, AutoTokenizer", ""),
        f'model = AutoModelForCausalLM.from_pretrained("FOLDER"{trust})',
        f'tokenizer = AutoTokenizer.from_pretrained("FOLDER"{trust})',
        *("```", ""),
        "The model was not tuned to follow instructions. A text begins with the BOS token, which the tokenizer adds.",
    ]
    if not native:
        lines += ["", "**No class of Transformers computes this model: loading it runs the code in this folder.**"]
    return "\n".join(lines) + "\n"


def origin_rows(body: Body, described: dict[str, Any], dtype: str) -> list[tuple[str, str]]:
    """Names and values of a card's table: sizes, and by which data, tokenizer and config the model was made."""
    scaling = "" if body.rope_scaling == "none" else f", scaled by {body.rope_scaling} × {body.rope_factor:g}"
    return [
        (
            "Layers, width, heads, key and value heads",
            f"{body.n_layers}, {body.d_model}, {body.n_heads}, {body.n_kv_heads}",
        ),
        ("Positions", f"{body.positions}{scaling}; trained on {body.row_tokens:,} tokens"),
        ("Context", f"{context_tokens(body):,} tokens"),
        ("Vocabulary", f"{body.vocab_size:,} tokens"),
        ("Weights", dtype),
        ("Training steps", str(described.get("step", "not told"))),
        ("Data set (Merkle root of the token shards)", f"`{described.get('data', 'not told')}`"),
        ("Tokenizer (fingerprint)", f"`{described['tokenizer']['fingerprint']}`"),
        ("Training config (fingerprint)", f"`{described.get('config', 'not told')}`"),
    ]
