"""Tokenizers and held-out documents in; what they cost, by language and domain, and what looks wrong, out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from seimai.errors import InputError

from .extend_pattern import japanese_letters
from .judged import Judged
from .report_cases import boundaries, cases, speed
from .report_figures import Documents, compression, hosts_of_tokens, parity, worst
from .sources import batches, open_sources
from .split import word_pattern

__all__ = ["FORMAT", "Report", "Text", "judge", "read_texts"]

FORMAT = "seimai-evaluation/1"
MAX_BYTES = 8_000_000
"""Most text of one language and source that is read."""
JAPANESE_SHARE = 0.1
"""Share of kana and kanji from which a document without a language counts as Japanese."""
BATCH = 256
Report = dict[str, Any]


@dataclass(frozen=True)
class Text:
    """One document to be encoded."""

    id: str
    lang: str
    source: str
    host: str
    text: str


def read_texts(
    source: Sequence[Path], *, split: str = "held_out", field: str = "text", max_bytes: int = MAX_BYTES
) -> list[Text]:
    """The documents of that split, of each language and source the first `max_bytes` or a document more.

    A document without a host is its own. InputError where there is none.
    """
    found: list[Text] = []
    held: dict[tuple[str, str], int] = {}
    for shard in open_sources(source, field=field):
        for batch in batches(shard, ("id", "split", "text", "lang", "source", "host")):
            for row in batch.filter(pc.equal(batch.column("split"), split)).to_pylist():
                lang = row["lang"] or _language(row["text"])
                key = lang, row["source"] or "unknown"
                if row["text"] and held.get(key, 0) < max_bytes:
                    held[key] = held.get(key, 0) + len(row["text"].encode())
                    found.append(Text(row["id"], *key, row["host"] or row["id"], row["text"]))
    if not found:
        raise InputError(f"no document with split {split!r} in the sources; give a run, or a field split in the files")
    return found


def judge(tokenizers: Sequence[Judged], texts: Sequence[Text], *, time_it: bool = True) -> Report:
    """Every figure of `tokenizers` on the same texts, as JSON values; the same each time but for `speed`.

    rows: bytes and characters a token with 95 % intervals (bootstrap over hosts), by language and domain, `all` for
    every domain; parity: tokens of Japanese over tokens of English where both have a document of one id; worst: the
    documents that cost most; few_hosts: tokens used often and on one host only; vocabulary, cases, boundaries, speed.
    """
    import re

    find_words = re.compile(word_pattern()).findall
    words = np.array([len(find_words(each.text)) for each in texts], np.int64)
    report: Report = {"format": FORMAT, "documents": len(texts)}
    report |= {name: [] for name in ("tokenizers", "rows", "parity", "vocabulary", "worst", "few_hosts")}
    report |= {name: [] for name in ("cases", "boundaries", "speed")}
    for each in tokenizers:
        # The cases come first, as what is loaded on first use is no speed; then the speed, while the texts are new.
        of_cases = cases(each)
        of_speed = speed(each, _by_language(texts)) if time_it else []
        ids = _encoded(each, [text.text for text in texts])
        documents = _documents(each, texts, ids, words)
        report["tokenizers"].append(
            {"tokenizer": each.name, "kind": each.kind, "vocab_size": each.vocab_size, "fingerprint": each.fingerprint}
        )
        for name, rows in (
            ("rows", compression(documents)),
            ("parity", parity(documents, [text.id for text in texts])),
            ("worst", worst(documents, [(text.id, text.text) for text in texts])),
            ("few_hosts", hosts_of_tokens(each, documents, ids)),
            ("vocabulary", [_vocabulary(each, ids)]),
            ("cases", of_cases),
            ("boundaries", boundaries(each, [text.text for text in texts if text.lang == "ja"])),
            ("speed", of_speed),
        ):
            report[name] += [{"tokenizer": each.name, **row} for row in rows]
    return report


def _encoded(tokenizer: Judged, texts: Sequence[str]) -> list[NDArray[Any]]:
    found: list[NDArray[Any]] = []
    for at in range(0, len(texts), BATCH):
        found += tokenizer.encode(texts[at : at + BATCH])
    return found


def _documents(
    tokenizer: Judged, texts: Sequence[Text], ids: Sequence[NDArray[Any]], words: NDArray[np.int64]
) -> Documents:
    lengths, partial = tokenizer.lengths, tokenizer.partial
    sums = [
        (len(each.text.encode()), len(each.text), len(row), int((lengths[row] == 1).sum()), int(partial[row].sum()),
         int(tokenizer.decode(row) != each.text))
        for each, row in zip(texts, ids, strict=True)
    ]  # fmt: skip
    n_bytes, n_chars, n_tokens, single, part, failures = np.array(sums, np.int64).T
    lang, source, host = (np.array([getattr(text, name) for text in texts]) for name in ("lang", "source", "host"))
    return Documents(lang, source, host, n_bytes, n_chars, n_tokens, words, single, part, failures)


def _vocabulary(tokenizer: Judged, ids: Sequence[NDArray[Any]]) -> dict[str, Any]:
    """Tokens that neither these texts nor their own string reach, tokens not used here, and the longest."""
    whole = [number for number, token in enumerate(tokenizer.token_bytes) if token and not tokenizer.partial[number]]
    strings = [tokenizer.token_bytes[number].decode() for number in whole]
    reached = _encoded(tokenizer, strings)
    used = np.zeros(tokenizer.vocab_size, bool)
    for row in ids:
        used[row] = True
    # A piece such as ート stands only behind other katakana, so its string alone may be cut otherwise.
    never = [n for n, row in zip(whole, reached, strict=True) if not used[n] and row.tolist() != [n]]
    longest = sorted(strings, key=lambda text: (-len(text), text))
    return {
        "never_reached": len(never),
        "never_reached_examples": [tokenizer.token_bytes[number].decode() for number in never[:20]],
        "unused_share": 1 - int(used.sum()) / tokenizer.vocab_size,
        "partial_tokens": int(tokenizer.partial.sum()),
        "longest": longest[:20],
    }


def _by_language(texts: Iterable[Text]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in texts:
        found.setdefault(each.lang, []).append(each.text)
    return found


def _language(text: str) -> str:
    """Of a document that has none: ja with kana and kanji, en in plain letters, else und."""
    codes = np.frombuffer(text[:4096].encode("utf-32-le"), np.uint32)
    if not len(codes):
        return "und"
    if japanese_letters()[codes].mean() >= JAPANESE_SHARE:
        return "ja"
    return "en" if (codes < 0x80).mean() > 1 - JAPANESE_SHARE else "und"
