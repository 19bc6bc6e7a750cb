"""A tokenizer's manifest and figures in; its model card out."""

from collections.abc import Mapping
from typing import Any

from .token_table import Vocabulary

__all__ = ["model_card"]

FIGURES = ("bytes_per_token", "chars_per_token", "fertility", "single_byte_share", "partial_char_share")
HOW = {
    "hf": 'tokenizer = AutoTokenizer.from_pretrained("THIS FOLDER")\n'
    "tokenizer(text, split_special_tokens=True)  # names of special tokens in web text stay text",
    "tiktoken": "from seimai.tokenizer.export import tiktoken_encoding\n"
    'encoding = tiktoken_encoding(Path("THIS FOLDER"))\nencoding.encode_ordinary(text)  # specials in text stay text',
    "sentencepiece": 'processor = sentencepiece.SentencePieceProcessor(model_file="THIS FOLDER/tokenizer.model")',
}


def model_card(
    vocabulary: Vocabulary, manifest: Mapping[str, Any], to: str, evaluation: Mapping[str, Any] | None = None
) -> str:
    """Markdown: what it is, what it was made of (hashes), the settings, and `evaluation` (rows of `tokenizer eval`)."""
    model = manifest.get("settings", {}).get("model")
    scored = "Unigram for the fewest tokens" if model == "fewest" else "Unigram"
    kind = scored if vocabulary.scores is not None else "byte-level BPE"
    counts = manifest.get("counts", {})
    facts = {
        "fingerprint": vocabulary.fingerprint,
        "ids": f"{vocabulary.vocab_size:,} ({vocabulary.n_ordinary:,} for text, {len(vocabulary.specials):,} special)",
        "bos, eos, pad": f"{vocabulary.bos_id}, {vocabulary.eos_id}, {vocabulary.pad_id}",
        "corpus root": manifest.get("corpus", "not known"),
        "counts": counts.get("sha256", "not known"),
        "split": f"{manifest.get('split', {}).get('name', 'its own')}, {vocabulary.pattern[:60]!r} …",
    }
    parts = [
        f"---\nlibrary_name: {'transformers' if to == 'hf' else to}\ntags: [tokenizer, ja, en]\n---\n",
        f"# Tokenizer {vocabulary.fingerprint[:12]}\n",
        f"{kind}, trained by Seimai. Every text comes back byte for byte; there is no normaliser.\n",
        _table(("", ""), facts.items()),
        "## Use\n",
        f"```python\n{HOW[to]}\n```\n",
        "## Made of\n",
        _table(("setting", "value"), sorted(manifest.get("settings", {}).items())),
    ]
    if "base" in manifest:
        parts += ["## Continues\n", _table(("", ""), sorted(manifest["base"].items()))]
    if sample := manifest.get("sample"):
        rows = [(lang, f"{sums['documents']:,}", f"{sums['bytes']:,}") for lang, sums in sorted(sample.items())]
        parts.append(_table(("language", "documents", "bytes"), rows))
    parts += ["## Evaluation\n", _figures(evaluation)]
    return "\n".join(parts)


def _figures(evaluation: Mapping[str, Any] | None) -> str:
    if not evaluation:
        return "None given: `seimai tokenizer eval TOKENIZER RUN --json eval.json`, then `--evaluation eval.json`.\n"
    rows = evaluation["rows"] if "rows" in evaluation else [{"lang": k, **v} for k, v in evaluation.items()]
    names = [name for name in ("tokenizer", "lang", "domain", *FIGURES) if any(name in row for row in rows)]
    return _table(names, [[_shown(row.get(name)) for name in names] for row in rows])


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(names: Any, rows: Any) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"
