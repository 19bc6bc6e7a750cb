"""Texts of a WET file in; for each page whether its archive is worth asking, which only a sure no denies.

A WET file has all text of a page, menus too, and its charset was guessed by others: it can rule a page out, never in.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from .fetch_file import digest_fault
from .language_codes import ISO_639_1
from .warc import Record

__all__ = ["EXTRACT_COLUMNS", "LEFT_OUT", "VERSION", "names_language", "read_extracts", "verdicts", "wet_name"]

VERSION = 1

Identify = Callable[..., pa.Table]
"""`identify_language`, with a model; called with `per`."""

SURE = 0.8
"""Probability of an unwanted language below which a page is read all the same."""
SECOND = 0.02
"""Probability, or share of the letters, from which a wanted language in second place lets a page be read."""
MIN_CHARS = 200
"""Shorter texts tell no language."""
MIN_KANA = 5
"""Kana from which a page may be Japanese, as in prefilter.py."""
MAX_REPLACED_SHARE = 0.01
MAX_MARKS_SHARE = 0.02
"""Share of replacement characters, and of signs and controls from U+0080 to U+00BF, that a text in its own charset
hardly has: what is above was decoded wrongly, and its language is unknown."""
BATCH_TEXTS = 256

LEFT_OUT = "left_out"
"""The only verdict that leaves a page where it is; the others are the reasons to read it."""

EXTRACT_COLUMNS = pa.schema(
    [
        ("url", pa.string()),
        ("lang", pa.string()),
        ("lang_score", pa.float32()),
        ("lang_declared", pa.string()),
        ("verdict", pa.dictionary(pa.int8(), pa.string())),
    ]
)
"""A row for every text of a WET file: its address, our language and probability, the crawl's languages, the verdict."""

_KANA = r"[\x{3041}-\x{309f}\x{30a1}-\x{30fa}\x{ff66}-\x{ff9d}]"
_MARKS = r"[\x{80}-\x{bf}]"
_NEVER = 1 << 30


def wet_name(name: str) -> str:
    """Where the WET file of an archive lies.

    >>> wet_name("crawl-data/C/segments/1/warc/x.warc.gz")
    'crawl-data/C/segments/1/wet/x.warc.wet.gz'
    """
    return name.replace("/warc/", "/wet/").removesuffix(".warc.gz") + ".warc.wet.gz"


def names_language(languages: Sequence[str]) -> str:
    """An expression for lists of ISO 639-3 codes with commas that name one of the languages (ISO 639-1, else 639-3).

    >>> bool(re.search(names_language(["ja"]), "eng,jpn")), bool(re.search(names_language(["ja"]), "eng"))
    (True, False)
    """
    codes = {three for three, two in ISO_639_1.items() if two in languages and len(three) == 3} | set(languages)
    return f"(^|,)({'|'.join(sorted(re.escape(code) for code in codes))})(,|$)"


def verdicts(texts: pa.Array, declared: pa.Array, languages: Sequence[str], identify: Identify) -> pa.Table:
    """Columns lang, lang_score and verdict of texts (large_string) whose languages the crawl declares, row-aligned.

    A page is left out when its text is long and whole, the model is sure of a language that is not wanted, the crawl
    declares no wanted one, neither the text nor its paragraphs name one as first or second, and there are no kana where
    Japanese is wanted. docs/fetching.md has the share of pages that this loses.
    """
    found, parts = identify(texts, per="text"), identify(texts, per="paragraph")
    least_kana = MIN_KANA if "ja" in languages else _NEVER
    reasons = {
        "language": _first(found, languages),
        "declared": pc.match_substring_regex(declared, names_language(languages)),
        "kana": pc.greater_equal(pc.count_substring_regex(texts, _KANA), least_kana),
        "second_language": _any([_second(found, languages), _first(parts, languages), _second(parts, languages)]),
        "damaged": _any([_often(texts, "\ufffd", MAX_REPLACED_SHARE), _often(texts, _MARKS, MAX_MARKS_SHARE)]),
        "short": pc.less(pc.utf8_length(texts), MIN_CHARS),
        "unsure": pc.less(found["lang_score"].fill_null(0.0), SURE),
    }
    masks = pa.StructArray.from_arrays([_filled(mask) for mask in reasons.values()], list(reasons))
    verdict = pc.case_when(masks, *[pa.scalar(name) for name in reasons], pa.scalar(LEFT_OUT))
    return pa.table({"lang": found["lang"], "lang_score": found["lang_score"], "verdict": verdict})


def _first(found: pa.Table, languages: Sequence[str]) -> pa.ChunkedArray:
    return pc.is_in(found["lang"], pa.array(languages, pa.string()))


def _second(found: pa.Table, languages: Sequence[str]) -> pa.ChunkedArray:
    named = pc.is_in(found["lang_2nd"], pa.array(languages, pa.string()))
    return pc.and_(named, pc.greater_equal(found["lang_2nd_score"].fill_null(0.0), SECOND))


def _often(texts: pa.Array, expression: str, share: float) -> pa.Array:
    count = pc.count_substring_regex(texts, expression).cast(pa.float64())
    return pc.greater(count, pc.multiply(pc.utf8_length(texts).cast(pa.float64()), share))


def _any(masks: Sequence[pa.Array]) -> pa.Array:
    found = _filled(masks[0])
    for mask in masks[1:]:
        found = pc.or_(found, _filled(mask))
    return found


def _filled(mask: pa.Array | pa.ChunkedArray) -> pa.Array:
    whole = mask.combine_chunks() if isinstance(mask, pa.ChunkedArray) else mask
    return whole.fill_null(False)


def read_extracts(records: Iterable[Record], languages: Sequence[str], identify: Identify) -> pa.Table:
    """EXTRACT_COLUMNS of every conversion record but those whose text is not what its digest says."""
    tables = []
    for batch in _batches(record for record in records if record.kind == "conversion" and not digest_fault(record)):
        texts = pa.array([record.content.decode("utf-8", "replace") for record in batch], pa.large_string())
        headers = [record.headers for record in batch]
        declared = pa.array([h.get("warc-identified-content-language", "").replace(" ", "") for h in headers])
        table = verdicts(texts, declared, languages, identify)
        url = pa.array([h.get("warc-target-uri", "").strip("<> ") for h in headers], pa.string())
        columns = {"url": url, "lang_declared": declared} | {name: table[name] for name in table.column_names}
        tables.append(pa.table({name: columns[name] for name in EXTRACT_COLUMNS.names}))
    rows = pa.concat_tables([EXTRACT_COLUMNS.empty_table(), *(table.cast(EXTRACT_COLUMNS) for table in tables)])
    return rows.unify_dictionaries()


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    for record in records:
        batch.append(record)
        if len(batch) == BATCH_TEXTS:
            yield batch
            batch = []
    if batch:
        yield batch
