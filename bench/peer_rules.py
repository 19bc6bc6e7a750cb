"""The decisions of other systems' own code, rule by rule: JSON lines of texts in, JSON lines of broken rules out.

Runs in the peer's environment, never in ours: `PEER_PYTHON bench/peer_rules.py PEER LISTS < texts > decisions`; LISTS
is a folder of word lists (ad.txt, adult.txt, …). Every rule is asked by itself, with all others switched off, so that a
difference has one cause; rules carry the names of our reasons.
"""

import importlib.metadata
import json
import sys
import types
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

Rules = dict[str, dict[str, Callable[[str], bool]]]
"""Preset, rule, and whether a text breaks it."""

GOPHER_TOP = {2: 0.2, 3: 0.18, 4: 0.16}
GOPHER_DUP = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.1}
# FineWeb-2, configs/jpn_Jpan.yml as released (../shared/research/pipeline.md 2.5).
FINEWEB2_TOP = {2: 0.239, 3: 0.196, 4: 0.172}
FINEWEB2_DUP = {5: 0.243, 6: 0.225, 7: 0.207, 8: 0.19, 9: 0.175, 10: 0.159}
FINEWEB2_STOP_WORDS = tuple("のにをはたてがとで年し・月れさ")


def datatrove(_lists: Path) -> Rules:
    """Filters of datatrove; words are split once per text."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )
    from datatrove.pipeline.filters import fineweb_quality_filter as fineweb_module
    from datatrove.pipeline.filters import gopher_quality_filter as quality_module
    from datatrove.pipeline.filters import gopher_repetition_filter as repetition_module

    split = lru_cache(maxsize=4)(quality_module.split_into_words)
    for module in (fineweb_module, quality_module, repetition_module):
        module.split_into_words = split

    def breaks(chosen: Any, why: str | None = None) -> Callable[[str], bool]:
        def judge(text: str) -> bool:
            try:
                verdict = chosen.filter(Document(text=text, id="", metadata={}))
            except ZeroDivisionError:
                return True  # a text without words: datatrove fails on it and the document is lost
            return verdict is not True and (why is None or verdict[1] == why)

        return judge

    off: dict[str, Any] = {f"{end}_doc_words": None for end in ("min", "max")}
    off |= {f"{end}_avg_word_length": None for end in ("min", "max")}
    off |= {f"max_{part}_ratio": None for part in ("symbol_word", "bullet_lines", "ellipsis_lines", "non_alpha_words")}
    off |= {"min_stop_words": None}

    def quality(language: str, **one: Any) -> Callable[[str], bool]:
        why = {"hashes": "gopher_too_many_hashes", "ellipsis": "gopher_too_many_ellipsis"}.get(one.pop("why", ""))
        return breaks(GopherQualityFilter(**{**off, **one}, language=language), why)

    none = {"dup_line_frac": 0, "dup_para_frac": 0, "dup_line_char_frac": 0, "dup_para_char_frac": 0}

    def repetition(language: str, **one: Any) -> Callable[[str], bool]:
        return breaks(
            GopherRepetitionFilter(**{**none, "top_n_grams": (), "dup_n_grams": (), **one}, language=language)
        )

    def ngrams(language: str, top: Mapping[int, float], dup: Mapping[int, float]) -> dict[str, Callable[[str], bool]]:
        return {
            **{f"max_top_{n}word_char_ratio": repetition(language, top_n_grams=((n, t),)) for n, t in top.items()},
            **{f"max_dup_{n}word_char_ratio": repetition(language, dup_n_grams=((n, t),)) for n, t in dup.items()},
        }

    gopher = {
        "max_dup_paragraph_ratio": repetition("eng_Latn", dup_para_frac=0.3),
        "max_dup_paragraph_char_ratio": repetition("eng_Latn", dup_para_char_frac=0.2),
        "max_dup_line_ratio": repetition("eng_Latn", dup_line_frac=0.3),
        "max_dup_line_char_ratio": repetition("eng_Latn", dup_line_char_frac=0.2),
        **ngrams("eng_Latn", GOPHER_TOP, GOPHER_DUP),
        "min_words": quality("eng_Latn", min_doc_words=50),
        "max_words": quality("eng_Latn", max_doc_words=100000),
        "min_mean_word_chars": quality("eng_Latn", min_avg_word_length=3),
        "max_mean_word_chars": quality("eng_Latn", max_avg_word_length=10),
        "max_hash_word_ratio": quality("eng_Latn", max_symbol_word_ratio=0.1, why="hashes"),
        "max_ellipsis_word_ratio": quality("eng_Latn", max_symbol_word_ratio=0.1, why="ellipsis"),
        "max_bullet_line_ratio": quality("eng_Latn", max_bullet_lines_ratio=0.9),
        "max_ellipsis_line_ratio": quality("eng_Latn", max_ellipsis_lines_ratio=0.3),
        "min_alpha_word_ratio": quality("eng_Latn", max_non_alpha_words_ratio=0.8),
        "min_stop_words": quality("eng_Latn", min_stop_words=2),
    }

    def fineweb(language: str, **one: Any) -> Callable[[str], bool]:
        all_off = {"line_punct_thr": 0, "short_line_thr": 2, "char_duplicates_ratio": 2, "new_line_ratio": 1e9}
        return breaks(FineWebQualityFilter(**{**all_off, **one}, language=language))

    own = {
        "min_terminal_line_ratio": fineweb("eng_Latn", line_punct_thr=0.12),
        "max_short_line_ratio": fineweb("eng_Latn", short_line_thr=0.67),
        "max_dup_text_line_char_ratio": fineweb("eng_Latn", char_duplicates_ratio=0.01),
        "max_newline_word_ratio": fineweb("eng_Latn", new_line_ratio=0.3),
    }
    c4 = {
        "max_lorem_ipsum": breaks(C4QualityFilter(min_num_sentences=-1, filter_curly_bracket=False)),
        "max_curly_brackets": breaks(C4QualityFilter(min_num_sentences=-1, filter_lorem_ipsum=False)),
        "min_sentences": breaks(C4QualityFilter(filter_curly_bracket=False, filter_lorem_ipsum=False)),
    }
    ja = "jpn_Jpan"
    fineweb2 = {
        "max_dup_line_ratio": repetition(ja, dup_line_frac=0.328),
        **ngrams(ja, FINEWEB2_TOP, FINEWEB2_DUP),
        "min_terminal_line_ratio": fineweb(ja, line_punct_thr=0.096),
        "max_dup_text_line_char_ratio": fineweb(ja, char_duplicates_ratio=0.1),
        "max_newline_word_ratio": fineweb(ja, new_line_ratio=0.13),
        "min_words": quality(ja, min_doc_words=50),
        "max_words": quality(ja, max_doc_words=100000),
        "min_mean_word_chars": quality(ja, min_avg_word_length=1),
        "max_mean_word_chars": quality(ja, max_avg_word_length=6),
        "max_hash_word_ratio": quality(ja, max_symbol_word_ratio=0.1, why="hashes"),
        "max_ellipsis_word_ratio": quality(ja, max_symbol_word_ratio=0.1, why="ellipsis"),
        "max_bullet_line_ratio": quality(ja, max_bullet_lines_ratio=0.9),
        "max_ellipsis_line_ratio": quality(ja, max_ellipsis_lines_ratio=0.3),
        "min_alpha_word_ratio": quality(ja, max_non_alpha_words_ratio=0.759),
        "min_stop_words": quality(ja, min_stop_words=2, stop_words=list(FINEWEB2_STOP_WORDS)),
    }
    return {"gopher@datatrove": gopher, "fineweb": own, "c4": c4, "fineweb2-ja": fineweb2}


def dolma(_lists: Path) -> Rules:
    """Dolma's gopher_v1 attributes under the thresholds of its mixer configurations."""
    root = Path(str(importlib.metadata.distribution("dolma").locate_file("dolma")))
    # The package's __init__ loads every tagger with its models; the one that is asked needs none of them.
    for name, path in (("dolma", root), ("dolma.core", root / "core"), ("dolma.taggers", root / "taggers")):
        module = types.ModuleType(name)
        module.__path__ = [str(path)]
        sys.modules[name] = module
    from dolma.taggers.gopher import get_attributes

    attributes = lru_cache(maxsize=4)(get_attributes)

    def number(name: str) -> Callable[[str], float]:
        return lambda text: getattr(attributes(text), name)

    def ngram(name: str, n: int) -> Callable[[str], float]:
        return lambda text: dict(getattr(attributes(text), name)).get(n, 0.0)

    top, dup = "fraction_of_characters_in_most_common_ngram", "fraction_of_characters_in_duplicate_ngrams"
    limits: dict[str, tuple[Callable[[str], float], str, float]] = {
        "min_words": (number("word_count"), "<", 50),
        "max_words": (number("word_count"), ">", 100000),
        "min_median_word_chars": (number("median_word_length"), "<", 3),
        "max_median_word_chars": (number("median_word_length"), ">", 10),
        "max_symbol_word_ratio": (number("symbol_to_word_ratio"), ">", 0.1),
        "min_alpha_word_ratio": (number("fraction_of_words_with_alpha_character"), "<", 0.8),
        "min_stop_words": (number("required_word_count"), "<", 2),
        "max_bullet_line_ratio": (number("fraction_of_lines_starting_with_bullet_point"), ">", 0.9),
        "max_ellipsis_line_ratio": (number("fraction_of_lines_ending_with_ellipsis"), ">", 0.3),
        "max_dup_line_ratio": (number("fraction_of_duplicate_lines"), ">", 0.3),
        "max_dup_line_char_ratio": (number("fraction_of_characters_in_duplicate_lines"), ">", 0.3),
        **{f"max_top_{n}word_char_ratio": (ngram(top, n), ">", t) for n, t in GOPHER_TOP.items()},
        **{f"max_dup_{n}word_char_ratio": (ngram(dup, n), ">", t) for n, t in GOPHER_DUP.items()},
    }

    def judge(value: Callable[[str], float], sign: str, limit: float) -> Callable[[str], bool]:
        return (lambda text: value(text) < limit) if sign == "<" else (lambda text: value(text) > limit)

    return {"gopher@dolma": {reason: judge(*limit) for reason, limit in limits.items()}}


def hojichar(lists: Path) -> Rules:
    """Filters of HojiChar, and llm-jp-corpus v1, which is made of them and of zlib."""
    import zlib

    from hojichar import Document
    from hojichar.filters import document_filters as f

    def breaks(chosen: Any) -> Callable[[str], bool]:
        return lambda text: chosen.apply(Document(text)).is_rejected

    def more_than(words: Any, limit: int) -> Callable[[str], bool]:
        # llm-jp-corpus replaces the filters' own test by a count of matches.
        return lambda text: len(words.keyword_pat.findall(text)) > limit

    def zlib_ratio(text: str) -> float:
        data = text.encode()
        return len(zlib.compress(data, 9)) / len(data) if data else 0.0

    own = {
        "min_kana": breaks(f.AcceptJapanese()),
        "min_kuten_ratio": breaks(f.DiscardRareKuten()),
        "max_bbs_marks": breaks(f.DiscardBBSComments()),
        "max_ad_words": breaks(f.DiscardAds(lists / "ad.txt")),
        "max_adult_words": breaks(f.DiscardAdultContentJa(lists / "adult.txt")),
        "max_discrimination_words": breaks(f.DiscardDiscriminationContentJa(lists / "discrimination.txt")),
        "max_violence_words": breaks(f.DiscardViolenceContentJa(lists / "violence.txt")),
        "max_char_repetition_ratio": breaks(f.CharRepetitionRatioFilter()),
        "max_noun_ratio": breaks(f.DiscardTooManyNouns()),
        "max_word_repetition_ratio": breaks(f.WordRepetitionRatioFilter()),
        "max_special_char_ratio": breaks(f.DiscardTooManySpecialToken()),
        "max_char_run": breaks(f.SingleCharacterRepetitionFilter()),
        "max_ellipsis_line_ratio": breaks(f.DiscardTooManyEndingEllipsis()),
        "max_tiny_line_ratio": breaks(f.DiscardTooShortLines()),
    }
    llmjp = {
        "min_kana": breaks(f.AcceptJapanese()),
        "max_ad_words": breaks(f.DiscardAds(lists / "ad.txt", max_allowed_num=10)),
        "max_adult_words": more_than(f.DiscardAdultContentJa(lists / "adult.txt", ignore_confused=True), 3),
        "max_discrimination_words": more_than(
            f.DiscardDiscriminationContentJa(lists / "discrimination.txt", ignore_confused=True), 3
        ),
        "max_violence_words": more_than(f.DiscardViolenceContentJa(lists / "violence.txt", ignore_confused=True), 3),
        "min_kuten_ratio": breaks(f.DiscardRareKuten(max_average_sentence_length=250)),
        "min_zlib_ratio": lambda text: zlib_ratio(text) < 0.3,
        "max_zlib_ratio": lambda text: zlib_ratio(text) > 0.7,
    }
    return {"hojichar-ja": own, "llmjp-v1": llmjp}


def uniseg(_lists: Path) -> Rules:
    """RefinedWeb's document rules as DCLM's configuration states them, on the words of uniseg, which DCLM uses.

    DCLM is in no registry: this is our reading of its content_filters.py, not its code.
    """
    import re
    from collections import Counter

    from uniseg.wordbreak import words as cut

    words = lru_cache(maxsize=4)(lambda text: [word for word in cut(text) if word[0].isalnum()])
    stops = {"the", "be", "to", "of", "and", "that", "have", "with"}

    def pieces(text: str, end: str) -> list[str]:
        return [piece.strip() for piece in re.split(end, text) if piece.strip()]

    def copied(text: str, end: str, limit: float, chars: bool) -> bool:
        found = pieces(text, end)
        if len(found) < 2:
            return not found
        weights = [(len(piece) if chars else 1) * n for piece, n in Counter(found).items() if n > 1]
        return sum(weights) / (sum(map(len, found)) if chars else len(found)) > limit

    def repeated(text: str, n: int, limit: float) -> bool:
        found = words(text)
        grams = Counter(tuple(found[k : k + n]) for k in range(len(found) - n + 1))
        most = max(grams.values(), default=1)
        if most == 1:
            return False
        if n <= 4:
            chars = most * max(sum(map(len, gram)) for gram, times in grams.items() if times == most)
        else:
            inside = {k + i for k in range(len(found) - n + 1) if grams[tuple(found[k : k + n])] > 1 for i in range(n)}
            chars = sum(len(found[k]) for k in inside)
        return chars / sum(map(len, found)) > limit

    def lines_share(text: str, marks: tuple[str, ...], begin: bool) -> float:
        found = pieces(text, "\n")
        return sum(line.startswith(marks) if begin else line.endswith(marks) for line in found) / max(len(found), 1)

    def mean_chars(text: str) -> float:
        found = text.split()
        return sum(map(len, found)) / len(found) if found else 0.0

    def symbols(text: str) -> bool:
        n = sum(text.count(symbol) for symbol in ("#", "...", ". . .", "…"))
        return n > 0.1 * len(text.split()) or not text.split()

    def alpha(text: str) -> float:
        found = text.split()
        return sum(not any(c.isalpha() for c in word) for word in found) / len(found) if found else 1.0

    refinedweb: dict[str, Callable[[str], bool]] = {
        "min_words": lambda text: len(words(text)) < 50,
        "max_words": lambda text: len(words(text)) > 100000,
        "min_mean_word_chars": lambda text: mean_chars(text) < 3,
        "max_mean_word_chars": lambda text: mean_chars(text) > 10,
        "max_symbol_word_ratio": symbols,
        "max_bullet_line_ratio": lambda text: lines_share(text, ("●", "•", "*", "-"), True) > 0.9,
        "max_ellipsis_line_ratio": lambda text: lines_share(text, ("...", ". . .", "…"), False) > 0.3,
        "min_alpha_word_ratio": lambda text: alpha(text) > 0.2,
        "min_stop_words": lambda text: sum(word.lower() in stops for word in text.split()) < 2,
        "max_dup_line_ratio": lambda text: copied(text, "\n", 0.3, False),
        "max_dup_paragraph_ratio": lambda text: copied(text, "\n\n", 0.3, False),
        "max_dup_line_char_ratio": lambda text: copied(text, "\n", 0.2, True),
        "max_dup_paragraph_char_ratio": lambda text: copied(text, "\n\n", 0.2, True),
    }
    for n, limit in GOPHER_TOP.items():
        refinedweb[f"max_top_{n}word_char_ratio"] = lambda text, n=n, limit=limit: repeated(text, n, limit)
    for n, limit in GOPHER_DUP.items():
        refinedweb[f"max_dup_{n}word_char_ratio"] = lambda text, n=n, limit=limit: repeated(text, n, limit)
    return {"refinedweb": refinedweb}


PEERS: Mapping[str, Callable[[Path], Rules]] = {
    "datatrove": datatrove,
    "dolma": dolma,
    "hojichar": hojichar,
    "uniseg": uniseg,
}


def main(peer: str, lists: Path) -> None:
    """First line: the peer, its version, its rules by preset. Then a line a text: the rules it breaks, by preset."""
    rules = PEERS[peer](lists)
    asked = {preset: list(judges) for preset, judges in rules.items()}
    print(json.dumps({"peer": peer, "version": importlib.metadata.version(peer), "rules": asked}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        found = {}
        for preset in asked["presets"]:
            if preset in rules:
                found[preset] = [reason for reason, breaks in rules[preset].items() if breaks(asked["text"])]
        print(json.dumps(found, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
