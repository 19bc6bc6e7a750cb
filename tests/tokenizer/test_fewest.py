"""The vocabulary of the fewest tokens: fewer than its merges give, the same each time, the library's ids, lossless."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.errors import ConfigError
from seimai.tokenizer import fewest
from seimai.tokenizer.base import open_base
from seimai.tokenizer.bpe import learn_merges
from seimai.tokenizer.count_job import count_sources
from seimai.tokenizer.count_sample import CountSettings
from seimai.tokenizer.counts import count, flat_counts
from seimai.tokenizer.cut import cut_unreached
from seimai.tokenizer.encoder import Encoder
from seimai.tokenizer.evaluate import evaluate
from seimai.tokenizer.export import export_tokenizer
from seimai.tokenizer.fewest import FewestPieces, learn_fewest
from seimai.tokenizer.gguf_tokenizer import gguf_tokenizer
from seimai.tokenizer.judged import open_judged
from seimai.tokenizer.merge_kernels import encode_words, rank_table
from seimai.tokenizer.report import Text, judge
from seimai.tokenizer.sources import open_sources
from seimai.tokenizer.split import split_pattern
from seimai.tokenizer.token_table import Vocabulary
from seimai.tokenizer.train import TrainSettings, train_tokenizer
from seimai.tokenizer.viterbi import best_tokens, joined, trie_of
from seimai.tokenizer.vocabulary import engine, load
from seimai.tokenizer.why import why

FEWEST = TrainSettings(model="fewest")
LINES = CountSettings(split="lines")


@pytest.fixture(scope="module")
def counts(texts: dict[str, list[str]]) -> pa.Table:
    """Lines of the articles."""
    return count([pa.RecordBatch.from_pydict({"text": texts["ja"] + texts["en"]})], split_pattern(name="lines"))


@pytest.fixture(scope="module")
def found(counts: pa.Table) -> FewestPieces:
    return learn_fewest(counts, [1500])[1500]


@pytest.fixture(scope="module")
def directory(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer over lines."""
    out = tmp_path_factory.mktemp("fewest") / "t"
    train_tokenizer(source, out, vocab_size=2048, settings=FEWEST, counting=LINES)
    return out


def _n_tokens(counts: pa.Table, tokens: tuple[bytes, ...], scores: Any) -> int:
    data, offsets, weights = flat_counts(counts)
    return int((best_tokens(data, offsets, trie_of(tokens, scores))[1] * weights).sum())


def test_fewer_tokens_than_its_merges(counts: pa.Table, found: FewestPieces) -> None:
    """Than BPE on the same counts at the same size, and than the same BPE cut into the fewest."""
    merges = learn_merges(counts, 1500)
    data, offsets, weights = flat_counts(counts)
    by_rank = int((encode_words(data, offsets, rank_table(merges, 256))[1] * weights).sum())
    at_best = _n_tokens(counts, Vocabulary(merges, (), "").tokens, -np.ones(1756))
    ours = _n_tokens(counts, found.tokens, found.scores)
    assert ours < 0.99 * at_best
    assert at_best < 0.99 * by_rank


def test_the_score_takes_the_fewest(counts: pa.Table, found: FewestPieces) -> None:
    """The likelihood in the scores only chooses among as many."""
    assert _n_tokens(counts, found.tokens, found.scores) == _n_tokens(counts, found.tokens, -np.ones(len(found.tokens)))


def test_what_only_led_to_a_longer_token_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three tokens of five, one left out at a time: without `ef`, which nothing uses, `efg` saves more than `ab`."""
    monkeypatch.setattr(fewest, "KEPT", 0.9)
    table = pa.table({"pretoken": pa.array([b"ab", b"cd", b"efg", b"hi"], pa.large_binary()), "count": [5, 9, 4, 7]})
    assert set(learn_fewest(table, [3])[3].tokens[256:]) == {b"cd", b"hi", b"efg"}


def test_ids_by_falling_score_and_exact_sums(found: FewestPieces) -> None:
    assert found.tokens[:256] == tuple(bytes([byte]) for byte in range(256))
    assert len(set(found.tokens)) == len(found.tokens) == 256 + 1500
    assert (np.diff(found.scores[256:]) <= 0).all()
    assert (found.scores <= -1).all()
    assert (found.scores > -2).all()
    assert (found.scores.astype(np.float64) * 2**16 % 1 == 0).all()


def test_tokens_keep_the_boundary_rule(found: FewestPieces) -> None:
    assert trie_of(found.tokens, found.scores).whole


def test_order_of_texts_and_other_sizes_do_not_matter(texts: dict[str, list[str]], found: FewestPieces) -> None:
    batch = pa.RecordBatch.from_pydict({"text": (texts["ja"] + texts["en"])[::-1]})
    again = learn_fewest(count([batch], split_pattern(name="lines")), [1500, 800])[1500]
    assert again.tokens == found.tokens
    assert again.scores.tolist() == found.scores.tolist()


def test_cutting_where_no_token_reaches_changes_no_token(counts: pa.Table, found: FewestPieces) -> None:
    """The oracle is the uncut table; pieces of one byte, which are left out, can only be byte tokens."""
    data, offsets, weights = flat_counts(counts)
    cut = cut_unreached(data, offsets, weights, *joined(found.tokens[256:]))
    assert len(cut[0]) < len(data)
    uses = []
    for some, begins, sizes in (cut, (data, offsets, weights)):
        tokens, n_tokens = best_tokens(some, begins, trie_of(found.tokens, found.scores))
        uses.append(np.bincount(tokens, np.repeat(sizes, n_tokens), len(found.tokens)))
    assert uses[0][256:].tolist() == uses[1][256:].tolist()


def test_max_token_chars(counts: pa.Table) -> None:
    tokens = learn_fewest(counts, [300], max_token_chars=2)[300].tokens[256:]
    assert max(len(token.decode("utf-8", "ignore")) for token in tokens) == 2
    rule = pa.table({"pretoken": pa.array([b"=" * 500], pa.large_binary()), "count": [9]})
    assert max(map(len, learn_fewest(rule, [50])[50].tokens)) == 64


def test_nothing_to_learn_from_is_one_line() -> None:
    table = pa.table({"pretoken": pa.array([b"ab"], pa.large_binary()), "count": [1]})
    with pytest.raises(ConfigError, match="count more text"):
        learn_fewest(table, [5])


def test_ids_are_those_of_the_library(directory: Path, texts: dict[str, list[str]]) -> None:
    encoder, library = Encoder(directory), engine(directory)
    chosen = [*texts["ja"], *texts["en"], "", "\n\n\n", "ハ" * 5000, "<|bos|> <|eos|>", "か\u3099\r\n\x00 👩‍👩‍👧" * 9]
    for text, ids in zip(chosen, encoder.ids(chosen), strict=True):
        assert ids.tolist() == library.encode(text, add_special_tokens=False).ids
    assert encoder.failures(chosen, encoder.ids(chosen)) == []
    assert encoder.ids(["<|bos|>"])[0].max() < encoder.vocabulary.n_ordinary


def test_any_text_comes_back(directory: Path) -> None:
    encoder, library = Encoder(directory), engine(directory)

    @given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
    @settings(max_examples=150, deadline=None)
    def check(text: str) -> None:
        [ids] = encoder.ids([text])
        assert encoder.bytes_of(ids).tobytes() == text.encode()
        assert ids.tolist() == library.encode(text, add_special_tokens=False).ids
        assert library.decode(ids.tolist(), skip_special_tokens=False) == text

    check()


def test_a_tokenizer_like_any_other(directory: Path, source: Path, tmp_path: Path) -> None:
    """Made twice it has the same bytes; it is evaluated, exported, and refused with the reason where it cannot be."""
    from transformers import AutoTokenizer

    again = tmp_path / "again"
    train_tokenizer(source, again, vocab_size=2048, settings=FEWEST, counting=LINES)
    assert (again / "tokenizer.json").read_bytes() == (directory / "tokenizer.json").read_bytes()
    assert load(directory).vocab_size == 2048
    assert {row["round_trip_failures"] for row in evaluate(directory, source).to_pylist()} == {0}
    export_tokenizer(directory, tmp_path / "hf", "hf")
    theirs, text = AutoTokenizer.from_pretrained(tmp_path / "hf"), "東京タワーは1958年。\nHello, world"
    found = theirs(text, split_special_tokens=True, add_special_tokens=False)["input_ids"]
    assert found == Encoder(directory).ids([text])[0].tolist()
    with pytest.raises(ConfigError, match="a Unigram has scores and no merges"):
        export_tokenizer(directory, tmp_path / "tiktoken", "tiktoken")
    with pytest.raises(ConfigError, match="this Unigram scores bytes"):
        export_tokenizer(directory, tmp_path / "sentencepiece", "sentencepiece")
    assert "Unigram for the fewest tokens, trained by Seimai" in (tmp_path / "hf" / "README.md").read_text()
    with pytest.raises(ConfigError, match="a Unigram has no merges to add to"):
        open_base(directory)
    exported = tmp_path / "hf" / "tokenizer.json"
    with pytest.raises(ConfigError, match="its model is Unigram"):
        open_base(exported)
    with pytest.raises(ConfigError, match="the tokenizer is Unigram; give --ids-only"):
        gguf_tokenizer(json.loads(exported.read_text(encoding="utf-8")), 2048, [text])


def test_an_export_is_judged_like_the_tokenizer(directory: Path, texts: dict[str, list[str]], tmp_path: Path) -> None:
    export_tokenizer(directory, tmp_path / "hf", "hf")
    chosen = [Text(str(n), "ja", "articles", str(n), text) for n, text in enumerate(texts["ja"][:9])]
    judged = [open_judged(directory, "ours"), open_judged(tmp_path / "hf" / "tokenizer.json", "exported")]
    report = judge(judged, chosen, time_it=False)
    ours, theirs = ({**row, "tokenizer": ""} for row in report["rows"] if row["domain"] == "all")
    assert ours == theirs
    assert ours["round_trip_failures"] == 0


def test_why_counts_in_whole_lines(directory: Path, source: Path, texts: dict[str, list[str]], tmp_path: Path) -> None:
    """Lines are longer than what merges are counted in again; what is shown of them is what stands around the token."""
    count_sources(open_sources(source), tmp_path / "counts", CountSettings(split="lines", host_cap=0))
    encoder, train = Encoder(directory), [text for n, text in enumerate(texts["ja"] + texts["en"]) if n % 10]
    assert max(len(line.encode()) for text in train for line in text.splitlines()) > 511
    number = encoder.vocabulary.tokens.index("ます。".encode())
    found = why(f"#{number}", directory, counts=tmp_path / "counts", source=[source])
    tables: dict[str, list[Any]] = {title: rows for title, _, rows in found.tables}
    uses = sum(int((ids == number).sum()) for ids in encoder.ids(train))
    assert uses > 20
    assert dict(tables["In the counts"])["count"] == dict(tables["In the text"])["uses"] == uses
    shown = [row[0] for row in tables["Pre-tokens that hold it"]]
    assert all("ます。" in each and "\n" not in each and len(each) <= 53 for each in shown)
    assert any(each.startswith("…") for each in shown)


def test_other_splits_and_sizes(source: Path, tmp_path: Path) -> None:
    """A size is what it is alone, and no token crosses a cut of the split (those that text of it is made of)."""
    train_tokenizer(source, tmp_path / "t", vocab_sizes=[1024, 1536], settings=FEWEST)
    train_tokenizer(source, tmp_path / "alone", vocab_size=1024, settings=FEWEST)
    assert load(tmp_path / "t" / "1024").fingerprint == load(tmp_path / "alone").fingerprint
    assert load(tmp_path / "t" / "1536").vocab_size == 1536
    whole = [token.decode() for token in load(tmp_path / "alone").pieces if _whole(token)]
    assert all(len(re.findall(split_pattern(), token)) == 1 for token in whole if not token.isspace())
    rows = json.loads((tmp_path / "t" / "curve.json").read_text())
    assert rows
    loose = TrainSettings(model="fewest", boundary=False)
    with pytest.raises(ConfigError, match="boundary"):
        train_tokenizer(source, tmp_path / "b", vocab_size=1024, settings=loose)
    with pytest.raises(ConfigError, match="superwords"):
        train_tokenizer(
            source, tmp_path / "s", vocab_size=1024, settings=FEWEST, counting=CountSettings(split="ja-en-superwords")
        )


def _whole(token: bytes) -> bool:
    return token.decode("utf-8", "ignore").encode() == token
