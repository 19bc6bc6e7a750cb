"""An index of former dumps for deduplication: hashes, band keys and shingle sets of a run's documents, without a text.

`manifest.json`, written last, says what it was made with, of which runs, and every file with its SHA-256 (`seimai
verify` compares them). A piece is a batch of up to 200,000 documents: `N.documents.parquet` (id, hashes, whether it
took part and passed the rules), its band keys sorted (`N.bands-*`), and what verification needs: `N.sets.parquet` holds
the sorted shingle hashes (exact) or the signature (estimated), or is left out (candidates are joined as they are).

On disk 16 bytes a band and about 30 more for each document; exact sets about 3 bytes for each different shingle,
signatures 4 for each permutation. Estimates have a standard error of sqrt(J (1 - J) / num_perm): 0.035 at 0.8.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from seimai.errors import InputError
from seimai.files import read_json, sha256_file

from .dedup import DedupConfig, signature_settings

__all__ = ["FORMAT", "HEAD", "DedupIndex", "Verification", "compare", "made_with", "open_index"]

FORMAT = "seimai-dedup-index/1"
HEAD = "manifest.json"
Verification = Literal["exact", "estimated", "none"]


@dataclass(frozen=True, slots=True)
class DedupIndex:
    """An index as its manifest tells; `open_index` makes it."""

    root: Path
    head: dict[str, Any]
    digest: str
    """SHA-256 of the manifest, which names every file with its own."""

    @property
    def rows(self) -> int:
        """Documents in it, with those that took no part."""
        return sum(int(piece["rows"]) for piece in self.head["pieces"])

    @property
    def verification(self) -> Verification:
        """What decides about candidates."""
        found: Verification = self.head["verification"]
        return found


def made_with(config: DedupConfig) -> dict[str, Any]:
    """What two indexes, or an index and a run, must have in common.

    >>> made_with(DedupConfig())["bands"], made_with(DedupConfig())["rows"]
    (16, 6)
    """
    shape = config.shape
    return {
        **signature_settings(**config.signing()),
        "bands": shape.bands,
        "rows": shape.rows,
        "threshold": config.threshold,
        "verify": config.verify,
        "same_url": config.same_url,
        "within": config.within,
        "scope": config.scope,
    }


def open_index(path: Path, config: DedupConfig | None = None) -> DedupIndex:
    """The index in a folder; InputError where there is none, or it was made with other settings than `config`."""
    place = path / HEAD
    try:
        head = read_json(place)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no index of duplicates (it has no {HEAD}); `seimai index build` makes one") from None
    except ValueError:
        raise InputError(f"{place}: is damaged; build the index again") from None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        found = head.get("format") if isinstance(head, dict) else None
        raise InputError(f"{place}: format {found!r}, this version reads {FORMAT!r}; `seimai index build` makes one")
    for entry in head["files"]:
        file = path / entry["path"]
        if not file.is_file() or file.stat().st_size != entry["bytes"]:
            raise InputError(f"{file}: is not as {HEAD} says; build the index again")
    if config is not None:
        compare(place, head["made_with"], made_with(config), "this run")
    return DedupIndex(path, head, sha256_file(place))


def compare(place: Path, found: dict[str, Any], wanted: dict[str, Any], who: str) -> None:
    """Raise InputError for the first parameter of `wanted` that is another in `found`, which stands at `place`."""
    for key, value in wanted.items():
        if found.get(key) != value:
            raise InputError(
                f"{place}: was made with {key} = {found.get(key)}, {who} has {value}; "
                "use the same [dedup], or build the index again"
            )
