"""A token in; its merges, its count, and the documents, hosts and languages that it comes from, out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seimai.errors import ConfigError

from .bpe_more import token_words
from .counts import FILE, load_counts_manifest
from .encoder import Encoder
from .report import Text, read_texts
from .token_table import Vocabulary
from .viterbi import best_tokens, joined, trie_of

__all__ = ["Why", "merge_tree", "why"]

PRETOKENS, EXAMPLES, HOSTS = 12, 5, 8
AROUND = 24
"""Characters shown on either side of the token."""
MAX_WORD_BYTES = 511
"""Of the pre-tokens that are merged again; a Unigram's may be as long as a line."""
Table = tuple[str, list[str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Why:
    """What made a token."""

    id: int
    token: bytes
    facts: dict[str, Any]
    """id, text, bytes, rank of its merge and how it is put together."""
    tables: list[Table] = field(default_factory=list)
    """Title, column names and rows: pre-tokens, languages, hosts, examples."""


def why(
    token: str, tokenizer: Path, *, counts: Path | None = None, source: Sequence[Path] = (), field: str = "text"
) -> Why:
    """Explain a token, named by its text or as #id.

    `counts`: the counts it was learned from; says in which pre-tokens it stands as a token, how often, on how many
    hosts and in which languages. `source`: text; the `train` documents are encoded and those with the token shown.
    Raises ConfigError where there is no such token.
    """
    encoder = Encoder(tokenizer)
    vocabulary = encoder.vocabulary
    number = _id_of(token, vocabulary)
    data = vocabulary.token_bytes[number]
    tree = merge_tree(data, vocabulary)
    facts = {"id": number, "text": data.decode(errors="replace"), "bytes": data.hex(" "), "merges": tree}
    if vocabulary.scores is not None and number < vocabulary.n_ordinary:
        facts["score"] = float(vocabulary.scores[number])
    if number in vocabulary.special_ids.values():
        return Why(number, data, facts | {"merges": "none: a special token, which no text gives"})
    tables: list[Table] = []
    if counts is not None:
        tables += _from_counts(data, number, encoder, counts)
    if source:
        tables += _from_texts(data, number, encoder, read_texts(source, split="train", field=field))
    return Why(number, data, facts, tables)


def merge_tree(token: bytes, vocabulary: Vocabulary) -> str:
    """How the merges put a token together, bytes of one character in hexadecimal.

    >>> merges = np.array([[0x61, 0x62], [256, 0x63]], np.int32)
    >>> merge_tree(b"abc", Vocabulary(merges, (), ""))
    '(a + b) + c'
    """
    if vocabulary.scores is not None:
        return "none: this model has scores and no merges"
    place = {each: at for at, each in enumerate(vocabulary.tokens[: vocabulary.n_ordinary])}
    joins = range(256, 256 + len(vocabulary.merges)) if vocabulary.joins is None else vocabulary.joins.tolist()
    pairs: dict[int, list[int]] = {}
    for made, pair in zip(joins, vocabulary.merges.tolist(), strict=False):
        pairs.setdefault(made, pair)

    def shown(at: int, inner: bool) -> str:
        if at not in pairs:
            data = vocabulary.tokens[at]
            return data.decode() if data.isascii() and data.decode().isprintable() else f"<{data.hex(' ')}>"
        text = " + ".join(shown(part, True) for part in pairs[at])
        return f"({text})" if inner else text

    return shown(place[token], False) if token in place else "none"


def _id_of(token: str, vocabulary: Vocabulary) -> int:
    if token.startswith("#") and token[1:].isdigit() and int(token[1:]) < vocabulary.vocab_size:
        return int(token[1:])
    places = [at for at, data in enumerate(vocabulary.token_bytes) if data == token.encode()]
    if not places:
        raise ConfigError(f"{token!r} is no token of this vocabulary; blanks count, and an id is written #300")
    return places[0]


def _from_counts(data: bytes, number: int, encoder: Encoder, counts: Path) -> list[Table]:
    """The pre-tokens that hold it as a token, and its count by language."""
    load_counts_manifest(counts)
    with pq.ParquetFile(counts / FILE) as file:
        table = file.read()
    near = table.filter(pc.match_substring(table["pretoken"], data))
    if encoder.vocabulary.scores is None:
        near = near.filter(pc.less_equal(pc.binary_length(near["pretoken"]), MAX_WORD_BYTES))
    uses = _uses(near["pretoken"].to_pylist(), number, encoder)
    held = near.append_column("uses", pa.array(uses, pa.int64())).filter(pa.array(uses > 0))
    if not len(held):
        return [("In the counts", [""], [("no pre-token there is encoded with it",)])]
    weight = pc.multiply(held["uses"], held["count"])
    totals: list[tuple[Any, ...]] = [("count", pc.sum(weight).as_py()), ("pre-tokens", len(held))]
    totals.append(("hosts, at least", pc.max(held["n_hosts"]).as_py()))
    totals.append(("documents, at least", pc.max(held["n_documents"]).as_py()))
    langs = [name for name in held.column_names if name.startswith("count_")]
    totals += [(name.removeprefix("count_"), pc.sum(pc.multiply(held["uses"], held[name])).as_py()) for name in langs]
    top = held.append_column("weight", weight).sort_by([("weight", "descending"), ("pretoken", "ascending")])
    rows = [
        (_clipped(row["pretoken"], data), row["count"], row["n_documents"], row["n_hosts"])
        for row in top.slice(0, PRETOKENS).to_pylist()
    ]
    return [
        ("In the counts", ["", ""], totals),
        ("Pre-tokens that hold it", ["pre-token", "count", "documents", "hosts"], rows),
    ]


def _uses(words: list[bytes], number: int, encoder: Encoder) -> np.ndarray[Any, Any]:
    """How often each word's encoding has the token."""
    vocabulary = encoder.vocabulary
    if not words:
        return np.zeros(0, np.int64)
    data, offsets = joined(tuple(words))
    if vocabulary.scores is None:
        tokens, sizes = token_words(data, offsets, vocabulary)
        ids = tokens if vocabulary.ids is None else vocabulary.ids[tokens]
    else:
        trie = trie_of(vocabulary.tokens[: vocabulary.n_ordinary], vocabulary.scores)
        ids, sizes = best_tokens(data, offsets, trie)
    return np.bincount(np.repeat(np.arange(len(words)), sizes), ids == number, len(words)).astype(np.int64)


def _clipped(pretoken: bytes, token: bytes) -> str:
    """The pre-token, of a long one what stands around the token; ends of lines as ↵.

    >>> _clipped(b"x" * 99 + b"abc\\n", b"abc")
    '…xxxxxxxxxxxxxxxxxxxxxxxxabc↵'
    """
    before, found, behind = pretoken.decode(errors="replace").partition(token.decode(errors="replace"))
    left = "…" + before[-AROUND:] if len(before) > AROUND else before
    right = behind[:AROUND] + "…" if len(behind) > AROUND else behind
    return f"{left}{found}{right}".replace("\n", "↵")


def _from_texts(data: bytes, number: int, encoder: Encoder, texts: Sequence[Text]) -> list[Table]:
    """Documents, hosts and languages with the token, and examples from different hosts first."""
    langs: Counter[str] = Counter()
    hosts: Counter[str] = Counter()
    documents, shown = 0, set()
    examples: list[tuple[Any, ...]] = []
    near = [text for text in texts if data in text.text.encode()]
    for text in near:
        [ids] = encoder.ids([text.text])
        at = np.flatnonzero(ids == number)
        if not len(at):
            continue
        documents += 1
        langs[text.lang] += len(at)
        hosts[text.host] += len(at)
        if len(examples) < EXAMPLES and text.host not in shown:
            shown.add(text.host)
            before = encoder.bytes_of(ids[: at[0]]).tobytes().decode(errors="replace")[-AROUND:]
            behind = encoder.bytes_of(ids[at[0] + 1 :]).tobytes().decode(errors="replace")[:AROUND]
            middle = data.decode(errors="replace")
            examples.append((text.lang, text.id, f"{before}[{middle}]{behind}".replace("\n", " ")))
    if not documents:
        return [("In the text", [""], [("no document there is encoded with it",)])]
    summary = [("uses", sum(langs.values())), ("documents", documents), ("hosts", len(hosts)), *sorted(langs.items())]
    return [
        ("In the text", ["", ""], summary),
        (
            "Hosts that use it most",
            ["host", "uses"],
            sorted(hosts.items(), key=lambda item: (-item[1], item[0]))[:HOSTS],
        ),
        ("Examples", ["language", "document", "text"], examples),
    ]
