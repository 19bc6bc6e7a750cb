"""Labelled texts and their scores in; precision, recall and AUC by language, and a model card, out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["Judged", "area_under_curve", "judged", "model_card"]

THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Judged:
    """How a model did on texts of one language that it had not seen; a share is None where it has no texts."""

    lang: str
    good: int
    bad: int
    precision: float | None
    """Share of good texts among those scored 0.5 or more."""
    recall: float | None
    """Share of the good texts that are scored 0.5 or more."""
    auc: float | None
    """Probability that a good text is scored above a bad one."""


def judged(texts: pa.Table, scores: NDArray[np.float32]) -> tuple[Judged, ...]:
    """One line for each language and, last, one for all (`*`); texts have the columns lang and good."""
    langs = np.array([lang or "" for lang in texts["lang"].to_pylist()], object)
    good = texts["good"].to_numpy()
    names = [*sorted(set(langs.tolist())), "*"]
    return tuple(_judge(name or "und", good[rows], scores[rows]) for name in names for rows in [_rows(langs, name)])


def _rows(langs: NDArray[np.object_], name: str) -> NDArray[np.bool_]:
    return np.ones(len(langs), bool) if name == "*" else np.asarray(langs == name)


def _judge(name: str, good: NDArray[np.bool_], scores: NDArray[np.float32]) -> Judged:
    said = scores >= THRESHOLD
    hits = int((said & good).sum())
    n_good, n_said = int(good.sum()), int(said.sum())
    return Judged(
        name,
        n_good,
        len(good) - n_good,
        hits / n_said if n_said else None,
        hits / n_good if n_good else None,
        area_under_curve(good, scores),
    )


def area_under_curve(good: NDArray[np.bool_], scores: NDArray[np.float32]) -> float | None:
    """Area under the ROC curve, 0 to 1, ties counted half; None where one side is empty.

    >>> area_under_curve(np.array([True, True, False]), np.array([0.9, 0.4, 0.4], np.float32))
    0.75
    """
    n_good = int(good.sum())
    n_bad = len(good) - n_good
    if not n_good or not n_bad:
        return None
    values, place = np.unique(scores, return_inverse=True)
    counts = np.bincount(place, minlength=len(values))
    ranks = np.cumsum(counts) - (counts - 1) / 2  # mean rank of equal scores, from 1
    return float((ranks[place][good].sum() - n_good * (n_good + 1) / 2) / (n_good * n_bad))


_FED = {
    "chars": "every kana and kanji is a token, so n-grams of tokens are n-grams of characters in Japanese",
    "pieces": "a run of hiragana, katakana or kanji is a token",
}


def model_card(card: Mapping[str, Any], report: Sequence[Judged]) -> str:
    """The card as Markdown: what the model is for, what it was trained on, how it did, how to use it."""
    settings, made = card["settings"], card["fasttext"]
    again = "the same texts and settings give the same bytes" if card["reproducible"] else "**not reproducible**"
    sides: dict[tuple[str, bool, str], list[int]] = {}
    for row in card["texts"]:
        counts = sides.setdefault((row["set"], row["good"], row["lang"] or "und"), [0, 0])
        counts[row["held_out"]] += row["texts"]
    lines = [
        "# Quality model",
        "",
        "Probability, 0 to 1, that a text is like the good texts below rather than like the bad ones. It knows nothing",
        "else of quality: what the two sides differ in besides quality (source, subject, length) is learned too.",
        "",
        f"- fastText, {made['dim']} wide, {made['wordNgrams']}-grams of tokens, {card['model']['bytes']:,} bytes, "
        f"SHA-256 `{card['model']['sha256']}`; {again}"
        + (f"; settings found by {settings['autotune_s']} s of autotune" if settings["autotune_s"] else ""),
        f"- input: the first {card['max_chars']:,} characters, lower case, digits as 0; {_FED[card['feed']]}; other",
        "  scripts come in words, marks one by one",
        f'- use: `[quality_model] path = "FOLDER"` in the config of a run; texts in {", ".join(card["languages"])}',
        "  get the column `quality`, which rules may ask and which ranks the members of a cluster",
        "",
        "| set | side | language | trained on | held out |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {'good' if good else 'bad'} | {lang} | {seen:,} | {unseen:,} |"
            for (name, good, lang), (seen, unseen) in sorted(sides.items())
        ),
        "",
        "Held-out texts, of hosts the training never saw (threshold 0.5):",
        "",
        "| language | good | bad | precision | recall | AUC |",
        "|---|---|---|---|---|---|",
        *(
            f"| {line.lang} | {line.good:,} | {line.bad:,} | "
            + " | ".join("" if value is None else f"{value:.3f}" for value in (line.precision, line.recall, line.auc))
            + " |"
            for line in report
        ),
    ]
    return "\n".join(lines) + "\n"
