"""False spans in clean text: `python bench/decontamination_clean.py`, half an hour of one core.

The goal is under one false span per million clean documents, searched for the items of ../shared/data/evals. There are
not a million documents at hand, so four sorts of clean text stand for them, all of documents of the sizes of real ones
(data/text and the archives' pages, 7 kB on average):

- real: the real documents and the real items.
- mixed: sentences of the real documents drawn across documents, with other numbers and names.
- chains: Markov chains of orders 1 to 5 over characters or words, trained on real documents and a third of the sets
  (for language of questions and exercises), searched for the items of the others; each third in turn.
- decoys: items cut from real documents, as many and as long as the real ones, searched for in the real documents of
  other collections. A set of decoys in n documents is worth n documents.

One document searched for all items is one document's worth; for two thirds of them, two thirds of one. A span is
literal where a plain comparison (NFKC, lower case, letters and digits; common runs by difflib) finds the whole item in
what it covers, or 30 characters or 13 words of it in one run, or nine tenths of an item of 24 characters or 12 words in
runs of 6 or 5. Every other span counts as false. The first of each are printed. Exit code 1 where a sort has one false
span per million or more.
"""

import argparse
import difflib
import math
import platform
import re
import sys
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numba
import numpy as np
import pyarrow as pa
from clean_texts import Chain, Document, Mixture, is_japanese, read_documents
from decontamination import DATA, FIELDS

from seimai.pipeline.contamination import ENOUGH, eval_overlaps
from seimai.pipeline.eval_index import FLOOR, SEED, EvalIndex, build_eval_index
from seimai.pipeline.eval_items import EvalItem, EvalSet, read_eval_items

MILLIONS = {"mixed": 2.0, "chains": 1.0, "decoys": 1.0}
TRAINING_BYTES = 600_000
MOST_CHARS = 20_000
GSM8K_ROWS = 1_319
SHOWN = 40
QUOTED = (24, 12)
"""Units of an item from which nine tenths of it in runs are a quotation (行くへ for ゆくへ in a poem)."""
CONTROL = 0.99
START = re.compile(r"(?<=[。！？!?\n])[」』）\s]*(?=[^\s。！？」』）])|(?<=[.!?] )(?=\w)")
LEAST_SOURCE_BYTES = 500_000


class Said(NamedTuple):
    """A span: where the item is from, the item and what the span covers."""

    origin: str
    item: str
    said: str


@dataclass
class Tally:
    """What one sort of text came to."""

    name: str
    documents: int = 0
    worth: float = 0.0
    bytes_: int = 0
    search_s: float = 0.0
    control: float = 1.0
    """Share of decoys found where they were cut from: a search that finds nothing proves nothing."""
    literal: list[Said] = field(default_factory=list)
    false: list[Said] = field(default_factory=list)

    def search(self, texts: pa.Array, index: EvalIndex, share: float = 1.0) -> None:
        """Search texts, a share of all items, and sort the spans."""
        began = time.thread_time()
        spans = eval_overlaps(texts, index).to_pylist()
        self.search_s += time.thread_time() - began
        self.documents += len(texts)
        self.worth += share * len(texts)
        self.bytes_ += texts.nbytes
        known = {(item.name, item.row, item.field): item.text for item in index.items} if spans else {}
        for span in spans:
            text = texts[span["text"]].as_py()[span["start"] : span["end"]]
            said = Said(span["set"], known[span["set"], span["row"], span["field"]], text)
            (self.literal if stands_there(said) else self.false).append(said)

    def line(self) -> str:
        """A row of the table."""
        worth = self.worth / 1e6
        return (
            f"{self.name:8} {self.documents:10,} {self.bytes_ / 1e9:6.2f} {self.worth:10,.0f} "
            f"{len(self.literal):8} {len(self.false):6} {len(self.false) / worth:9.2f} "
            f"{upper_bound(len(self.false)) / worth:9.2f} {self.bytes_ / 1e6 / self.search_s:6.0f}"
        )


def upper_bound(events: int) -> float:
    """The mean of a Poisson count at which so few events have a chance of 5 %: 3.0 for none."""
    low, high = 0.0, 2 * events + 10.0
    for _ in range(60):
        mean = (low + high) / 2
        chance = sum(math.exp(-mean) * mean**k / math.factorial(k) for k in range(events + 1)) if events < 100 else 0.0
        low, high = (mean, high) if chance > 0.05 else (low, mean)
    return low if events < 100 else events + 1.645 * math.sqrt(events) + 2


def stands_there(span: Said) -> bool:
    """Whether the item, or a passage long enough, stands in the span letter by letter; uses nothing of the search."""
    words = not is_japanese(span.item)
    item, said = plain(span.item, words), plain(span.said, words)
    runs = [run.size for run in difflib.SequenceMatcher(None, item, said, autojunk=False).get_matching_blocks()]
    quoted = len(item) >= QUOTED[words] and sum(run for run in runs if run >= SEED[words]) >= 0.9 * len(item)
    return quoted or max(runs) >= min(len(item), ENOUGH[words])


def real_items() -> list[EvalItem]:
    """The distinct items of data/evals."""
    files = sorted((DATA / "evals").glob("*.gz")) + sorted((DATA / "evals" / "jmmlu").glob("*.gz"))
    items = read_eval_items([EvalSet(path, FIELDS.get(path.name, ("0",))) for path in files])
    return list(build_eval_index(items).items)


def search_mixed(
    documents: list[Document], items: list[EvalItem], millions: float, random: np.random.Generator
) -> Tally:
    """Sentences of either language mixed anew."""
    tally, index = Tally("mixed"), build_eval_index(items)
    mixtures = [Mixture([one.text for one in documents if one.japanese == japanese]) for japanese in (True, False)]
    while tally.worth < millions * 1e6:
        for mixture in mixtures:
            tally.search(mixture.draw(random), index)
    return tally


def plain(text: str, words: bool) -> list[str]:
    """Words or characters of a text: NFKC, lower case, letters and digits."""
    found = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).casefold())
    return found if words else list("".join(found))


def runs_of(text: str) -> set[tuple[str, ...]]:
    """All runs of as many units as the shortest item has that is looked for."""
    words = not is_japanese(text)
    units = plain(text, words)
    return {tuple(units[n : n + FLOOR[words]]) for n in range(len(units) - FLOOR[words] + 1)}


def third_of(item: EvalItem) -> int:
    """Which of three parts an item belongs to: all that asks about one passage or problem is in one part."""
    if item.name in ("gsm8k_test", "mgsm_en", "mgsm_ja"):
        return 0 if item.row < GSM8K_ROWS // 2 else 1
    return {"jglue_jsquad_valid": 2, "jglue_jcommonsenseqa_valid": 0}.get(item.name, 1)


def search_chains(
    documents: list[Document], items: list[EvalItem], millions: float, random: np.random.Generator
) -> Tally:
    """Chains trained on a third of the sets and ever other real documents, searched for the items of the other sets."""
    tally = Tally("chains")
    texts = [[one.text for one in documents if one.japanese == japanese] for japanese in (False, True)]
    sizes = [np.array([len(text.encode()) for text in some]) for some in texts]
    for part in range(3):
        searched = [item for item in items if third_of(item) != part]
        index, known = build_eval_index(searched), {run for item in searched for run in runs_of(item.text)}
        # An item of which a searched one has a run is its variant; a chain would copy it.
        trained = [item.text for item in items if third_of(item) == part and known.isdisjoint(runs_of(item.text))]
        while tally.worth < millions * 1e6 * (part + 1) / 3:
            for japanese in (False, True):
                asked = [text for text in trained if is_japanese(text) == japanese]
                order = random.permutation(len(texts[japanese]))
                enough = np.searchsorted(np.cumsum(np.minimum(sizes[japanese][order], MOST_CHARS)), TRAINING_BYTES)
                some = [texts[japanese][n][:MOST_CHARS] for n in order[:enough]]
                chain = Chain(asked + some, japanese, sizes[japanese])
                tally.search(chain.draw(random), index, len(searched) / len(items))
    return tally


def cut_items(sources: list[Document], units: list[int], words: bool, random: np.random.Generator) -> Iterator[str]:
    """For each length a text from the start of a random sentence of random documents; characters or words."""
    starts: dict[int, list[int]] = {}
    for size in units:
        while True:
            number = int(random.integers(len(sources)))
            text = sources[number].text
            if number not in starts:
                starts[number] = [0, *(found.end() for found in START.finditer(text))]
            begin = starts[number][random.integers(len(starts[number]))]
            piece = text[begin : begin + size * (15 if words else 2) + 20].split()
            cut = " ".join(piece[:size]) if words else "".join(piece)[: size + size // 20]
            if len(piece) >= size if words else len(cut) >= size:
                yield cut
                break


def search_decoys(
    documents: list[Document], items: list[EvalItem], millions: float, random: np.random.Generator
) -> Tally:
    """Items of real sentences of one collection in the documents of all others, collection by collection."""
    tally = Tally("decoys")
    real = build_eval_index(items)
    sizes = [[int(n) for n in real.item_units[real.kinds == kind] if n >= FLOOR[kind]] for kind in (0, 1)]
    pools: list[dict[str, list[Document]]] = [{}, {}]
    for one in documents:
        pools[not one.japanese].setdefault(one.collection, []).append(one)
    large = [[n for n, of in pool.items() if sum(len(o.text) for o in of) > LEAST_SOURCE_BYTES] for pool in pools]
    turn = 0
    while tally.worth < millions * 1e6:
        names = [some[turn % len(some)] for some in large]
        decoys = [
            EvalItem(names[kind], turn, f"{kind}.{n}", text)
            for kind in (0, 1)
            for n, text in enumerate(cut_items(pools[kind][names[kind]], sizes[kind], kind == 1, random))
        ]
        index, subjects = build_eval_index(decoys), {subject(name) for name in names}
        of_others, own = (
            [o.text for o in documents if (subject(o.collection) in subjects) == k] for k in (False, True)
        )
        tally.search(pa.array(of_others, pa.large_string()), index)
        if not turn:
            found = set(eval_overlaps(pa.array(own, pa.large_string()), index)["field"].to_pylist())
            tally.control = len(found) / (len(index.items) - index.too_short)
        turn += 1
    return tally


def subject(collection: str) -> str:
    """What a collection is about, without its language: its documents in two languages quote the same."""
    return collection.partition("_")[2] or collection


def show(tally: Tally) -> None:
    """The first spans of each kind."""
    for kind, spans in (("false", tally.false), ("literal", tally.literal)):
        for span in dict.fromkeys(spans[:SHOWN]):
            item, said = (re.sub(r"\s+", " ", text)[:90] for text in span[1:])
            print(f"    {kind} {span.origin}: {item} | {said}", flush=True)


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="part of the documents, for a short trial")
    parser.add_argument("--sorts", nargs="*", choices=MILLIONS, default=list(MILLIONS), help="only these")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(
        f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}, numba {numba.__version__}"
    )
    documents, items = read_documents(), real_items()
    print(f"{len(items):,} distinct items, {len(documents):,} real documents; one core, processor time of the search\n")
    print("sort      documents     GB      worth  literal  false  /million  95% below   MB/s")
    real = Tally("real")
    real.search(pa.array([one.text for one in documents], pa.large_string()), build_eval_index(items))
    tallies = [real]
    print(real.line(), flush=True)
    show(real)
    searches = {"mixed": search_mixed, "chains": search_chains, "decoys": search_decoys}
    for name in given.sorts:
        random = np.random.default_rng([given.seed, list(MILLIONS).index(name)])
        tallies.append(searches[name](documents, items, MILLIONS[name] * given.share, random))
        print(tallies[-1].line(), flush=True)
        show(tallies[-1])
    missed = [tally.name for tally in tallies if len(tally.false) >= max(1.0, tally.worth / 1e6)]
    print(
        f"control   {tallies[-1].control:.4f} of the first decoys are found where they were cut from (least {CONTROL})"
    )
    missed += ["control"] if tallies[-1].control < CONTROL else []
    false, worth = (sum(values) for values in zip(*[(len(t.false), t.worth / 1e6) for t in tallies], strict=True))
    print(
        f"together  {worth:.2f} million documents' worth, {false} false: "
        f"below {upper_bound(int(false)) / worth:.2f} per million at 95 %"
    )
    print(f"MISSED in {', '.join(missed)}" if missed else "the goal is kept in every sort")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
