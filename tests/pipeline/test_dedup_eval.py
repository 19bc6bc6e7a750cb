"""A run judged by a sample: pairs against Python's sets, figures against counting; and the goals on labelled pages."""

import itertools
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.config import dump_toml
from seimai.errors import RunError
from seimai.pipeline.dedup import DedupConfig
from seimai.pipeline.dedup_eval import SampleIndex, judge_files, judge_run
from seimai.pipeline.document import document_id
from seimai.pipeline.duplicates import duplicate_clusters
from seimai.pipeline.jaccard import ShingleSets
from seimai.pipeline.order import write_order
from seimai.pipeline.settings import RunConfig
from seimai.pipeline.shingles import shingle_hashes

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("SEIMAI_DATA", ROOT.parent / "shared" / "data")) / "neardup"


def as_sets(sets: list[set[int]]) -> ShingleSets:
    flat = [np.array(sorted(one), np.uint32) for one in sets]
    ends = np.cumsum([0, *map(len, flat)], dtype=np.int64)
    return ShingleSets(ends, np.concatenate([*flat, np.zeros(0, "u4")]))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sets(st.sampled_from([0, 1, 2, 3, 7, 2**31, 2**32 - 2, 2**32 - 1])), max_size=8),
    st.lists(st.sets(st.sampled_from([0, 1, 2, 3, 9, 2**31, 2**32 - 1])), max_size=8),
    st.sampled_from([0.2, 0.5, 1.0]),
)
def test_the_index_finds_every_pair(sample: list[set[int]], others: list[set[int]], at_least: float) -> None:
    found = SampleIndex(as_sets(sample)).resembling(as_sets(others), at_least)
    got = {(int(a), int(b)): float(j) for a, b, j in zip(*found, strict=True)}
    pairs = itertools.product(range(len(sample)), range(len(others)))
    every = {(a, b): len(sample[a] & others[b]) / len(sample[a] | others[b]) for a, b in pairs if sample[a] & others[b]}
    assert got == {pair: jaccard for pair, jaccard in every.items() if jaccard >= at_least}


def some_texts(count: int) -> list[str]:
    """Pages of which every fourth is new and the others change a few words of the one before."""
    generator, texts, words = np.random.default_rng(3), [], [""]
    for n in range(count):
        if n % 4 == 0:
            words = [f"w{k}" for k in generator.integers(0, 10**6, 80)]
        for place in generator.choice(80, n % 4, replace=False):
            words[place] = f"n{generator.integers(0, 10**6)}"
        texts.append(" ".join(words))
    return texts


def write_run(
    run: Path, texts: list[str | None], langs: list[str], clusters: list[int], part_rows: int, **dedup: object
) -> None:
    """As much of a finished run as is judged."""
    ids = [document_id("x", n, 0) for n in range(len(texts))]
    for folder in ("documents", "clusters", "state"):
        (run / folder).mkdir(parents=True)
    parts = [(f"p{n}", slice(n, n + part_rows)) for n in range(0, len(texts), part_rows)]
    for name, span in parts:
        columns = {"id": ids[span], "text": texts[span], "lang": langs[span], "source": ["crawl"] * len(ids[span])}
        pq.write_table(pa.table(columns), run / "documents" / f"{name}.parquet")
        names = [ids[c] if text else None for c, text in zip(clusters[span], texts[span], strict=True)]
        sizes = [clusters.count(c) if text else None for c, text in zip(clusters[span], texts[span], strict=True)]
        table = pa.table({"id": ids[span], "cluster": pa.array(names, pa.string()), "cluster_size": sizes})
        pq.write_table(table, run / "clusters" / f"{name}.parquet")
    write_order(run / "state" / "order.arrow", [(name, len(texts[span])) for name, span in parts])
    (run / "config.toml").write_text(dump_toml(RunConfig(dedup=DedupConfig.model_validate(dedup))), encoding="utf-8")


@pytest.mark.parametrize("joined", ["ours", "all", "none"])
def test_a_run_is_judged_as_by_counting(tmp_path: Path, joined: str) -> None:
    texts: list[str | None] = [*some_texts(60), None, "短い文書の重複です。", "短い文書の重複です"]
    langs = ["en"] * 61 + ["ja"] * 2
    ours = duplicate_clusters(texts, lang=langs).tolist()
    clusters = {"ours": ours, "all": [0] * 63, "none": list(range(63))}[joined]
    write_run(tmp_path / "run", texts, langs, clusters, part_rows=17)
    sets = [set(shingle_hashes(t or "", lang=lang).tolist()) for t, lang in zip(texts, langs, strict=True)]
    judged = {quality.lang: quality for quality in judge_run(tmp_path / "run", documents=1000)}
    assert set(judged) == {"en", "ja"}
    for lang, quality in judged.items():
        alike = together = both = near = 0
        own = [n for n in range(63) if langs[n] == lang and texts[n]]
        for a, b in itertools.product(own, range(63)):
            if a == b:
                continue
            jaccard = len(sets[a] & sets[b]) / max(len(sets[a] | sets[b]), 1)
            alike += jaccard >= 0.8
            together += clusters[a] == clusters[b]
            both += jaccard >= 0.8 and clusters[a] == clusters[b]
            near += jaccard >= 0.7 and clusters[a] == clusters[b]
        assert quality.documents == len(own)
        assert (quality.recall.pairs, quality.precision.pairs) == (alike, together)
        assert quality.recall.value == both / alike
        assert quality.precision.value == (both / together if together else 1.0)
        assert quality.nearly.value == (near / together if together else 1.0)


@pytest.mark.parametrize(("within", "pairs"), [("everything", 6), ("language", 2), ("dump", 6)])
def test_pairs_that_are_never_compared_are_not_missed(tmp_path: Path, within: str, pairs: int) -> None:
    texts: list[str | None] = ["one text, in two languages", "one text in two languages", "One text in two languages."]
    write_run(tmp_path / "run", texts, ["en", "fr", "en"], [0, 1, 0], part_rows=2, within=within)
    judged = judge_run(tmp_path / "run")
    assert sum(quality.recall.pairs for quality in judged) == pairs
    assert judged[0].recall.value == (1.0 if within == "language" else 0.5)


def test_a_sample_is_the_same_every_time_and_about_as_large_as_asked(tmp_path: Path) -> None:
    texts: list[str | None] = list(some_texts(400))
    write_run(tmp_path / "run", texts, ["en"] * 400, duplicate_clusters(texts, lang="en").tolist(), part_rows=100)
    one, again, other = (judge_run(tmp_path / "run", documents=100, seed=seed) for seed in (1, 1, 2))
    assert one == again != other
    assert 60 <= one[0].documents <= 140
    assert one[0].recall.value > 0.9


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has no clusters"):
        judge_run(tmp_path)


@pytest.mark.skipif(not DATA.is_dir(), reason="the labelled pages are not beside this checkout")
def test_the_goals_hold_on_labelled_pages() -> None:
    files = DATA / "revisions_docs.dev.jsonl.gz", DATA / "revisions_pairs.dev.jsonl.gz"
    verified = judge_files(*files, DedupConfig())
    assert [quality.lang for quality in verified] == ["en", "ja", "all"]
    for quality in verified:
        assert quality.recall.value >= 0.98
        assert quality.precision.value >= 0.98
        assert quality.ceiling == pytest.approx(0.95, abs=0.01)
        assert quality.strict_precision.value >= quality.ceiling - 0.03
    plain = judge_files(*files, DedupConfig(preset="fineweb"))
    assert all(0.6 <= quality.precision.value <= 0.9 for quality in plain)
