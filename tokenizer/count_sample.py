"""How much text of each language there is in; which documents to count, and what a count of each language weighs, out.

All in integers, so that every machine chooses alike. A document's key is a seeded 64-bit hash of its id; of a language
those documents are counted whose key lies below a threshold, which depends neither on their order nor on who asks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import blake2b
from math import lcm
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seimai.errors import ConfigError

from .sources import Shard, batches
from .split import split_pattern

__all__ = [
    "ALL",
    "DEFAULTS",
    "READ_CHARS",
    "SURVEY",
    "Amount",
    "Balance",
    "CountSettings",
    "amounts",
    "keys",
    "read_balance",
    "survey",
    "thresholds",
    "weights",
]

SURVEY = pa.schema([("lang", pa.string()), ("bucket", pa.int64()), ("documents", pa.int64()), ("bytes", pa.int64())])
"""Training documents by language and by the upper bits of their keys."""
BUCKET_BITS = 12
ALL = 1 << 64
"""The threshold above every key."""
MAX_WEIGHT_BITS = 16
READ_CHARS = 1 << 18
"""Characters of text read at a time: some 15 bytes each meanwhile."""


@dataclass(frozen=True)
class Balance:
    """What part of the sample each language shall be: as it comes, by shares, or by a power of its bytes."""

    shares: Mapping[str, Fraction] = field(default_factory=dict)
    """Parts of named languages; one that is not named is left out. Empty: no shares."""
    exponent: Fraction = Fraction(1)
    """Without shares a language's part grows with bytes ** exponent, 0 to 1; 1 leaves all as it comes."""

    def parts(self, n_bytes: Mapping[str, int]) -> dict[str, int]:
        """The wished parts as whole numbers of any scale.

        >>> Balance(exponent=Fraction(1, 2)).parts({"en": 40_000, "ja": 90_000})["ja"] / 2**32
        300.0
        """
        if self.shares:
            scale = lcm(*(share.denominator for share in self.shares.values()))
            return {lang: int(self.shares.get(lang, Fraction(0)) * scale) for lang in n_bytes}
        if self.exponent == 1:
            return dict(n_bytes)
        over, under = self.exponent.numerator, self.exponent.denominator
        # 32 binary places, so that small corpora keep their proportions.
        return {lang: _root(int(size**over) << (32 * under), under) for lang, size in n_bytes.items()}

    @property
    def natural(self) -> bool:
        """Whether languages stay as they come."""
        return not self.shares and self.exponent == 1


def read_balance(shares: str, exponent: str) -> Balance:
    """`ja=0.5,en=0.5` or an exponent such as `0.7`; empty strings for neither. Raises ConfigError.

    >>> read_balance("ja=0.5,en=0.5", "").shares["ja"]
    Fraction(1, 2)
    """
    if shares and exponent:
        raise ConfigError(f"balance {shares!r} and exponent {exponent!r}: give one of the two")
    try:
        pairs = [item.split("=") for item in shares.split(",")] if shares else []
        found = {lang.strip(): Fraction(share) for lang, share in pairs}
        power = Fraction(exponent or 1)
    except (ValueError, ZeroDivisionError):
        raise ConfigError(f"{shares or exponent!r}: not a balance; write ja=0.5,en=0.5 or an exponent as 0.7") from None
    if len(found) != len(pairs) or any(share <= 0 for share in found.values()):
        raise ConfigError(f"balance {shares!r}: each language once, with a share above 0; write ja=0.5,en=0.5")
    if not 0 <= power <= 1 or power.denominator > 100:
        raise ConfigError(f"exponent {exponent!r}: from 0 (equal parts) to 1 (as it comes), two digits; try 0.7")
    return Balance(found, power)


@dataclass(frozen=True, kw_only=True)
class CountSettings:
    """What decides a counts table besides the text."""

    digits: int = 1
    """Most digits in one pre-token: 1, 2 or 3."""
    split: str = "ja-en"
    """Name of the split."""
    glue: bool = True
    """Whether punctuation joins the Japanese phrase behind it."""
    host_cap: int = 10
    """Most that a host (a document, where there is no host) adds to the count of one pre-token; 0 for no limit."""
    sample_bytes: int = 2_000_000_000
    """UTF-8 bytes of text to count, all languages together; 0 for everything."""
    seed: int = 1
    """Seed of the sample."""
    balance: Balance = field(default_factory=Balance)
    """What part each language shall be."""
    analyser: str = ""
    """sudachi or mecab: no pre-token goes over the end of a Japanese word; of counting alone, never of encoding."""

    @property
    def pattern(self) -> str:
        """The split's regular expression; ConfigError for an unknown split or option."""
        return split_pattern(self.digits, name=self.split, glue=self.glue)


DEFAULTS = CountSettings()


@dataclass
class Amount:
    """Training documents of a language."""

    documents: int
    bytes: int
    buckets: NDArray[np.int64]
    """Bytes by the upper bits of the key."""


def keys(ids: Sequence[str], seed: int) -> NDArray[np.uint64]:
    """The seeded hash of each id, 64 bits.

    >>> keys(["a", "b"], 1).tolist() == keys(["b", "a"], 1)[::-1].tolist()
    True
    """
    # One Python call a document, a microsecond: no kernel at hand hashes strings with a seed.
    digests = b"".join([blake2b(f"{seed}\n{name}".encode(), digest_size=8).digest() for name in ids])
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def survey(shard: Shard, seed: int) -> pa.Table:
    """Documents and bytes of a shard's training documents in the columns of SURVEY."""
    parts = []
    for batch in batches(shard, ("id", "split", "lang", "n_bytes"), max_chars=READ_CHARS):
        train = batch.filter(pc.equal(batch.column("split"), "train"))
        buckets = (keys(train.column("id").to_pylist(), seed) >> np.uint64(64 - BUCKET_BITS)).astype(np.int64)
        langs, ones = train.column("lang").fill_null("und"), np.ones(train.num_rows, np.int64)
        parts.append(pa.table([langs, buckets, ones, train.column("n_bytes")], schema=SURVEY))
    return _summed(pa.concat_tables([SURVEY.empty_table(), *parts]))


def amounts(surveys: pa.Table) -> dict[str, Amount]:
    """The sum of surveys by language, languages by name."""
    found: dict[str, Amount] = {}
    for row in _summed(surveys).to_pylist():
        amount = found.setdefault(row["lang"], Amount(0, 0, np.zeros(1 << BUCKET_BITS, np.int64)))
        amount.documents += row["documents"]
        amount.bytes += row["bytes"]
        amount.buckets[row["bucket"]] += row["bytes"]
    return {lang: found[lang] for lang in sorted(found)}


def thresholds(found: Mapping[str, Amount], sample_bytes: int, balance: Balance) -> dict[str, int]:
    """By language the key below which a document is counted: 0 for none, ALL for all.

    `sample_bytes`: UTF-8 bytes of all languages together, 0 for no limit. What a language cannot fill goes to the
    others. Inside a bucket of keys the bytes are taken to lie evenly, so a sample misses its size by a few documents.
    """
    sizes = {lang: amount.bytes for lang, amount in found.items()}
    parts = balance.parts(sizes)
    if sample_bytes == 0:
        return {lang: ALL if parts[lang] else 0 for lang in sizes}
    quotas = _quotas(sizes, parts, sample_bytes)
    return {lang: _threshold(amount.buckets, quotas[lang]) for lang, amount in found.items()}


def weights(mass: Mapping[str, int], parts: Mapping[str, int], largest: int) -> tuple[dict[str, int], int]:
    """What one occurrence of each language weighs so that languages stand to each other as `parts`.

    `mass`: counted bytes by language; `largest`: the largest count of a pre-token. Weights are whole numbers over
    2 ** bits (returned beside them); the least is 1.0, so that no pre-token is lost. Raises ConfigError where a weight
    would be so large that counts do not fit 64 bits.

    >>> weights({"en": 300, "ja": 100}, {"en": 1, "ja": 1}, largest=10)
    ({'en': 65536, 'ja': 196608}, 16)
    """
    ratios = {lang: Fraction(parts[lang], mass[lang]) for lang in sorted(mass) if mass[lang] and parts[lang]}
    if not ratios:
        return dict.fromkeys(sorted(mass), 0), 0
    least = min(ratios.values())
    heaviest = max(ratios.values()) / least
    room = 62 - (len(ratios) * largest * (int(heaviest) + 1)).bit_length()
    if room < 0:
        rarest = max(ratios, key=ratios.__getitem__)
        raise ConfigError(
            f"balance: {rarest} has too little text, it would weigh {int(heaviest):,} times; leave it out"
        )
    bits = min(MAX_WEIGHT_BITS, room)
    return {lang: int(ratios.get(lang, 0) / least * (1 << bits)) for lang in sorted(mass)}, bits


def _quotas(sizes: Mapping[str, int], parts: Mapping[str, int], total: int) -> dict[str, int]:
    """Bytes to take of each language: in proportion to the parts, no language more than it has."""
    quotas = {lang: 0 for lang in sizes}
    rest = {lang for lang in sizes if parts[lang]}
    while rest:
        whole = sum(parts[lang] for lang in rest)
        full = {lang for lang in rest if sizes[lang] * whole <= total * parts[lang]}
        if not full:
            return quotas | {lang: total * parts[lang] // whole for lang in rest}
        quotas |= {lang: sizes[lang] for lang in full}
        total -= sum(sizes[lang] for lang in full)
        rest -= full
    return quotas


def _threshold(buckets: NDArray[np.int64], quota: int) -> int:
    before = 0
    for bucket, size in enumerate(buckets.tolist()):
        if before + size > quota:
            width = 1 << (64 - BUCKET_BITS)
            return int(bucket * width + (quota - before) * width // size)
        before += size
    return ALL


def _root(value: int, degree: int) -> int:
    """The largest whole number whose `degree`-th power is not above `value` (Newton's method)."""
    guess = 1 << -(-value.bit_length() // degree)
    while value:
        better = ((degree - 1) * guess + value // int(guess ** (degree - 1))) // degree
        if better >= guess:
            return guess
        guess = better
    return 0


def _summed(table: pa.Table) -> pa.Table:
    """The rows of each language and bucket added up, in their order."""
    # No `group_by`: it imports Arrow's engine for queries, 8 MB.
    langs: Any = table["lang"].combine_chunks().dictionary_encode()
    keys = (langs.indices.to_numpy().astype(np.int64) << BUCKET_BITS) | table["bucket"].to_numpy()
    places, inverse = np.unique(keys, return_inverse=True)
    sums = np.zeros((2, len(places)), np.int64)
    for row, name in enumerate(("documents", "bytes")):
        np.add.at(sums[row], inverse, table[name].to_numpy())
    names = langs.dictionary.take(pa.array(places >> BUCKET_BITS))
    summed = pa.table([names, places & ((1 << BUCKET_BITS) - 1), *sums], schema=SURVEY)
    return summed.sort_by([("lang", "ascending"), ("bucket", "ascending")])
