"""Text sources or counts in; a directory with a SentencePiece model of characters, and what it loses, out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seimai.errors import ConfigError, RunError
from seimai.files import fingerprint, read_json
from seimai.pipeline.progress import Progress, Silent

from .count_sample import DEFAULTS, CountSettings
from .counts import load_counts_manifest, read_counts
from .sources import HELD_OUT, HeldOut, PartMap
from .train import TrainSettings, counts_first
from .unigram_characters import FORMAT, learn_characters, save_characters
from .vocabulary import merges_for

__all__ = ["CharacterSummary", "train_characters"]

VERSION = 1
"""Raised when the same settings and counts would give other pieces."""


@dataclass(frozen=True)
class CharacterSummary:
    """What was trained, and what its model cannot do."""

    fingerprint: str
    """SHA-256 (hex) of tokenizer.model."""
    vocab_size: int
    n_pretokens: int
    """Distinct pre-tokens in the counts."""
    not_round_trip: tuple[str, ...]
    """What does not come back from the ids as it was."""
    directory: Path
    reused: bool
    """The directory held all this already, and nothing was done."""


def train_characters(
    source: Path | Sequence[Path],
    out: Path,
    *,
    vocab_size: int = 65536,
    counting: CountSettings = DEFAULTS,
    field: str = "text",
    held_out: HeldOut = HELD_OUT,
    part_map: PartMap = map,
    progress: Progress | None = None,
) -> CharacterSummary:
    """Train on the documents with split `train`: `out/tokenizer.model`, the same as `tokenizer.json`, `manifest.json`.

    Arguments as for `train_tokenizer`. The same documents and settings give the same bytes. Raises ConfigError,
    InputError, or RunError where `out` holds something made otherwise.
    """
    n_pieces = merges_for(vocab_size) - 1
    if n_pieces < 1:
        raise ConfigError(f"vocab_size {vocab_size} leaves no room beside 256 bytes and 65 specials; try 32768")
    told = progress or Silent()
    settings = TrainSettings(model="unigram")
    _, counts = counts_first(source, out, settings, counting, field, held_out, part_map, told)
    manifest = load_counts_manifest(counts)
    facts: dict[str, Any] = {
        "settings": {**manifest["settings"], "version": VERSION, "model": "unigram", "alphabet": "characters"},
        "split": {name: manifest["split"][name] for name in ("name", "fingerprint")},
        "corpus": fingerprint(sorted(entry["sha256"] for entry in manifest["inputs"])),
        "counts": {"fingerprint": manifest["fingerprint"], "sha256": manifest["files"][0]["sha256"]},
        "n_pretokens": manifest["n_pretokens"],
        "sample": manifest["sample"],
        "asked": vocab_size,
    }
    reused = _stands(out, facts)
    if not reused:
        told.begin("train", 0)
        save_characters(learn_characters(read_counts(counts), n_pieces), out, facts)
        told.end("train")
    found = read_json(out / "manifest.json")
    return CharacterSummary(
        found["fingerprint"], found["vocab_size"], manifest["n_pretokens"], tuple(found["not_round_trip"]), out, reused
    )


def _stands(out: Path, facts: dict[str, Any]) -> bool:
    """Whether the directory holds this tokenizer; RunError where it holds another one."""
    path = out / "manifest.json"
    if not path.exists():
        return False
    found = read_json(path)
    if found.get("format") != FORMAT or any(found.get(name) != value for name, value in facts.items()):
        raise RunError(f"{out}: holds another tokenizer; give another --out or delete it first")
    return all((out / file["path"]).is_file() for file in found["files"])
