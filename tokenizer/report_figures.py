"""Sums of documents in; ratios with intervals, parity, worst documents and tokens of few hosts out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .judged import Judged

__all__ = ["Documents", "compression", "hosts_of_tokens", "interval", "parity", "worst"]

DRAWS, SEED = 500, 1
WORST = 5
OFTEN, FEW_HOSTS, SHOWN = 20, 1, 20
"""A token used so often, on so few hosts, is shown; at most so many."""
Sums = NDArray[np.int64]


@dataclass(frozen=True)
class Documents:
    """One row a document, in columns."""

    lang: NDArray[np.str_]
    source: NDArray[np.str_]
    host: NDArray[np.str_]
    n_bytes: Sums
    n_chars: Sums
    n_tokens: Sums
    n_words: Sums
    single_byte: Sums
    partial_char: Sums
    failures: Sums


def compression(documents: Documents) -> list[dict[str, Any]]:
    """Figures of every language and domain; shares of tokens from 0 to 1, null where there is nothing to divide by."""
    rows = []
    for lang, domain, chosen in _cells(documents):
        of = {name: getattr(documents, name)[chosen] for name in ("n_bytes", "n_chars", "n_tokens", "n_words")}
        hosts = np.unique(documents.host[chosen], return_inverse=True)[1]
        row: dict[str, Any] = {"lang": lang, "domain": domain, "documents": int(chosen.sum())}
        row |= {"hosts": int(hosts.max()) + 1, **{name: int(values.sum()) for name, values in of.items()}}
        for name in ("bytes", "chars"):
            low, high = interval(of[f"n_{name}"], of["n_tokens"], hosts)
            row[f"{name}_per_token"] = _ratio(of[f"n_{name}"].sum(), of["n_tokens"].sum())
            row |= {f"{name}_per_token_low": low, f"{name}_per_token_high": high}
        row["fertility"] = _ratio(of["n_tokens"].sum(), of["n_words"].sum())
        row["single_byte_share"] = _ratio(documents.single_byte[chosen].sum(), of["n_tokens"].sum())
        row["partial_char_share"] = _ratio(documents.partial_char[chosen].sum(), of["n_tokens"].sum())
        row["round_trip_failures"] = int(documents.failures[chosen].sum())
        rows.append(row)
    return rows


def interval(above: Sums, below: Sums, group: NDArray[np.intp]) -> tuple[float | None, float | None]:
    """2.5th and 97.5th percentile of sum(above) / sum(below), whole groups drawn again; None for a single group.

    >>> low, high = interval(np.array([2, 4, 6]), np.array([1, 2, 3]), np.arange(3))
    >>> low, high
    (2.0, 2.0)
    """
    n_groups = int(group.max()) + 1
    if n_groups < 2:
        return None, None
    tops, bottoms = (np.bincount(group, weights, n_groups) for weights in (above, below))
    draw = np.random.default_rng(SEED)
    ratios = []
    for _ in range(DRAWS):
        chosen = draw.integers(0, n_groups, n_groups)
        ratios.append(tops[chosen].sum() / max(bottoms[chosen].sum(), 1))
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(low), float(high)


def parity(documents: Documents, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Tokens of Japanese for a token of English, over documents of one id in both languages; nothing without any."""
    rows: dict[str, dict[str, int]] = {}
    for at, (identity, lang) in enumerate(zip(ids, documents.lang.tolist(), strict=True)):
        if lang in ("ja", "en"):
            rows.setdefault(identity, {}).setdefault(lang, at)
    pairs = [(row["ja"], row["en"]) for row in rows.values() if len(row) == 2]
    if not pairs:
        return []
    japanese, english = (documents.n_tokens[list(side)] for side in zip(*pairs, strict=True))
    low, high = interval(japanese, english, np.arange(len(pairs)))
    return [{"pairs": len(pairs), "ja_over_en": _ratio(japanese.sum(), english.sum()), "low": low, "high": high}]


def worst(documents: Documents, texts: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Of each language the documents with the fewest bytes a token, at least 100 bytes long."""
    rows = []
    for lang in sorted(set(documents.lang.tolist())):
        chosen = np.flatnonzero((documents.lang == lang) & (documents.n_bytes >= 100))
        rate = documents.n_bytes[chosen] / np.maximum(documents.n_tokens[chosen], 1)
        for at in chosen[np.argsort(rate, kind="stable")[:WORST]].tolist():
            ratio = _ratio(documents.n_bytes[at], documents.n_tokens[at])
            rows.append({"lang": lang, "id": texts[at][0], "bytes_per_token": ratio, "begins": texts[at][1][:80]})
    return rows


def hosts_of_tokens(tokenizer: Judged, documents: Documents, ids: Sequence[NDArray[Any]]) -> list[dict[str, Any]]:
    """Tokens of several characters used at least 20 times and on one host only, the most used first."""
    uses = np.zeros(tokenizer.vocab_size, np.int64)
    n_hosts = np.zeros(tokenizer.vocab_size, np.int64)
    hosts = np.unique(documents.host, return_inverse=True)[1]
    order = np.argsort(hosts, kind="stable")
    if len(np.unique(hosts)) <= FEW_HOSTS:
        return []
    for group in np.split(order, np.flatnonzero(np.diff(hosts[order])) + 1):
        seen = np.bincount(np.concatenate([ids[at] for at in group.tolist()]), minlength=tokenizer.vocab_size)
        uses += seen
        n_hosts += seen > 0
    few = np.flatnonzero((uses >= OFTEN) & (n_hosts <= FEW_HOSTS) & ~tokenizer.partial & (tokenizer.lengths > 1))
    chosen = few[np.argsort(-uses[few], kind="stable")][:SHOWN]
    return [
        {"token": tokenizer.token_bytes[number].decode(), "uses": int(uses[number]), "hosts": int(n_hosts[number])}
        for number in chosen.tolist()
    ]


def _cells(documents: Documents) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    for lang in sorted(set(documents.lang.tolist())):
        of_lang = documents.lang == lang
        yield lang, "all", of_lang
        domains = sorted(set(documents.source[of_lang].tolist()))
        for domain in domains if len(domains) > 1 else ():
            yield lang, domain, of_lang & (documents.source == domain)


def _ratio(part: Any, whole: Any) -> float | None:
    return float(part) / float(whole) if whole else None
