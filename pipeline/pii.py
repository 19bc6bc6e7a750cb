"""Texts in; the personal data that stand in them, counted or masked, out: docs/scores.md has what counts and how well.

Masking never leaves anything to be found: what replaces an address or a number belongs to nobody.
"""

import re
from collections.abc import Collection, Sequence
from typing import get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seimai.config import Section

from .edits import Spans, apply_edits, text_buffers
from .pii_rules import KINDS, Kind, PiiMatch, find_addresses, find_ipv6, find_mails, find_numbers

__all__ = ["PII_SCHEMA", "PII_SIGNALS", "VERSION", "PiiConfig", "count_pii", "find_pii", "mask_pii"]

VERSION = 2

PII_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("kind", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("replacement", pa.string()),
    ]
)

PII_SIGNALS = {f"n_pii_{kind}": kind for kind in KINDS}
"""Columns that the signals of a run have for personal data, and the kind each counts."""

DEFAULT: tuple[Kind, ...] = ("email", "ip", "phone", "my_number", "card")
LEFT_BYTES, RIGHT_BYTES = 240, 260
"""What is looked at around a candidate: words that name it, and the rest of an address."""
LABEL_CHARS = 6
"""Characters behind a number that say whether it ends there: a joined label (https:), or more digits."""


class PiiConfig(Section):
    """Section [pii]: personal data. Kinds: email, ip, phone, my_number, card, address (Japanese postal addresses)."""

    count: list[Kind] = list(DEFAULT)
    """Kinds that are counted into the columns n_pii_<kind>; the others' columns are null."""
    mask: list[Kind] = list(DEFAULT)
    """Kinds that are masked in the shards; [] writes the texts as they are."""


def find_pii(
    texts: Sequence[str | None] | pa.Array | pa.ChunkedArray, *, kinds: Collection[Kind] = DEFAULT
) -> pa.Table:
    """Personal data in texts: row of the text, kind, [start, end) in code points, and the replacement; in order.

    email: addresses, full-width ones too, but for those of example domains. ip: public IPv4 and IPv6 addresses. phone:
    Japanese forms, North American ones, and any with +. my_number: 12 digits with the check digit. card: an issuer's
    prefix, length, groups and Luhn's digit. address: what follows the municipality in a Japanese address (not among
    the default). Time is linear in the text; ValueError for an unknown kind.

    >>> find_pii(["連絡先 taro@seimai.jp、０３－１２３４－５６７８"]).select(["kind", "start", "end"]).to_pylist()
    [{'kind': 'email', 'start': 4, 'end': 18}, {'kind': 'phone', 'start': 19, 'end': 31}]
    """
    from .text_kernels import as_strings

    for kind in kinds:
        if kind not in get_args(Kind):
            raise ValueError(f"kinds: {kind!r} is none of {', '.join(KINDS)}")
    array = as_strings(texts)
    rows = [row for row in _from_candidates(array) if row[1] in kinds]
    if "address" in kinds:
        for at, text in enumerate(array.to_pylist()):
            rows += [(at, *match) for match in find_addresses(text or "")]
    rows = _apart(sorted(rows, key=lambda row: (row[0], row[2], -row[3])))
    columns = zip(*rows, strict=True) if rows else [()] * len(PII_SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, PII_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=PII_SCHEMA)


def mask_pii(
    texts: Sequence[str | None] | pa.Array | pa.ChunkedArray, *, kinds: Collection[Kind] = DEFAULT
) -> pa.Array:
    """The texts with personal data replaced, as large_string; null stays null.

    Addresses become name@example.com, 192.0.2.1 and 2001:db8::1; digits of numbers become 0, in their own width.

    >>> mask_pii(["電話は０３－１２３４－５６７８、taro@seimai.jp まで"]).to_pylist()
    ['電話は００－００００－００００、name@example.com まで']
    """
    from .text_kernels import as_strings

    array = as_strings(texts)
    return masked(array, find_pii(array, kinds=kinds))


def masked(array: pa.Array, found: pa.Table) -> pa.Array:
    """The texts of a large_string array with what `find_pii` found in them replaced."""
    row, start, end = (found[name].to_numpy() for name in ("row", "start", "end"))
    return apply_edits(array, Spans(row, start, end, found["replacement"].combine_chunks()))


def count_pii(texts: pa.Array, kinds: Collection[Kind]) -> pa.Table:
    """The columns of PII_SIGNALS: finds of each text by kind; null where the text is null or nobody asks."""
    found = find_pii(texts, kinds=kinds)
    row, null = found["row"].to_numpy(), texts.is_null().to_numpy(zero_copy_only=False)
    kind_of = np.array(found["kind"].to_pylist(), object)
    columns = {}
    for name, kind in PII_SIGNALS.items():
        counts = np.bincount(row[kind_of == kind], minlength=len(texts)).astype(np.int64)
        columns[name] = pa.array(counts, mask=null) if kind in kinds else pa.nulls(len(texts), pa.int64())
    return pa.table(columns)


Row = tuple[int, Kind, int, int, str]


def _apart(rows: list[Row]) -> list[Row]:
    """The rows without those that overlap the one before."""
    kept: list[Row] = []
    for row in rows:
        if not kept or row[0] != kept[-1][0] or row[2] >= kept[-1][3]:
            kept.append(row)
    return kept


def _from_candidates(array: pa.Array) -> list[Row]:
    """What the rules make of the kernel's candidates."""
    from .pii_kernels import ADDRESS_V6, MAIL, char_places, find_candidates

    if len(array) == 0:
        return []
    data, ends = text_buffers(array)
    present = array.is_valid().to_numpy(zero_copy_only=False)
    texts, kinds, starts, stops = find_candidates(data, ends, present)
    if len(texts) == 0:
        return []
    chars = char_places(data, ends[texts], starts)
    rows: list[Row] = []
    for text, kind, start, stop, char in zip(*(a.tolist() for a in (texts, kinds, starts, stops, chars)), strict=True):
        left = _whole(data, max(int(ends[text]), start - LEFT_BYTES), start)
        right = data[start : min(int(ends[text + 1]), stop + RIGHT_BYTES)].tobytes().decode("utf-8", "ignore")
        around, begin = left + right, len(left)
        if kind == MAIL:
            mail = find_mails(around, begin)
            found = [mail] if mail else []
        elif kind == ADDRESS_V6:
            token = right[: stop - start]
            cut = re.match(r"\.[0-9]", right[len(token) :])  # ::ffff:8.8.8.8 holds another address than its beginning
            found = [PiiMatch("ip", begin, begin + len(token), "2001:db8::1")] if find_ipv6(token) and not cut else []
        else:
            number = right[: len(data[start:stop].tobytes().decode()) + LABEL_CHARS]
            found = list(find_numbers(left + number, begin))
        rows += [(text, m.kind, m.start - begin + char, m.end - begin + char, m.replacement) for m in found]
    return rows


def _whole(data: NDArray[np.uint8], start: int, stop: int) -> str:
    """The characters that begin in [start, stop)."""
    return data[start:stop].tobytes().decode("utf-8", "ignore")
