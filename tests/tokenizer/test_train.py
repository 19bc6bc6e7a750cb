"""Training from sources or counts: only training documents, several sizes, both backends, the same again; refusals."""

import json
from pathlib import Path

import pytest

from seimai.errors import ConfigError, RunError
from seimai.files import sha256_file
from seimai.tokenizer.count_job import count_sources
from seimai.tokenizer.count_sample import Balance, CountSettings
from seimai.tokenizer.encoder import Encoder
from seimai.tokenizer.sources import HeldOut, open_sources
from seimai.tokenizer.split import split_pattern
from seimai.tokenizer.train import TrainSettings, train_tokenizer
from seimai.tokenizer.vocabulary import engine, load


def _tokenizer(directory: Path) -> str:
    return sha256_file(directory / "tokenizer.json")


def test_held_out_documents_are_not_read(tmp_path: Path) -> None:
    rows = [{"text": "train " * 50, "split": "train"}, {"text": "secret " * 500, "split": "held_out"}]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    summary = train_tokenizer(path, tmp_path / "out", vocab_size=512)
    assert summary.sample == {"und": {"documents": 1, "bytes": 300}}
    assert "secr" not in (tmp_path / "out" / "tokenizer.json").read_text(encoding="utf-8")


def test_the_same_source_gives_the_same_file_in_any_order_of_work(
    source: Path, tokenizer: Path, tmp_path: Path
) -> None:
    def backwards(function, items):  # type: ignore[no-untyped-def]
        return [function(item) for item in reversed(list(items))]

    train_tokenizer(source, tmp_path / "again", vocab_size=2048, part_map=backwards)
    assert _tokenizer(tmp_path / "again") == _tokenizer(tokenizer)


def test_counts_given_are_the_counts_made(source: Path, tokenizer: Path, tmp_path: Path) -> None:
    count_sources(open_sources(source), tmp_path / "counts")
    summary = train_tokenizer(tmp_path / "counts", tmp_path / "out", vocab_size=2048)
    assert _tokenizer(tmp_path / "out") == _tokenizer(tokenizer)
    assert {"ja", "en"} == set(summary.sample)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["counts", "out"]


def test_each_size_is_what_a_training_of_that_size_gives(source: Path, tokenizer: Path, tmp_path: Path) -> None:
    sizes = (512, 1024, 2048)
    summary = train_tokenizer(source, tmp_path / "out", vocab_sizes=sizes)
    assert summary.directories == tuple(tmp_path / "out" / str(size) for size in sizes)
    assert _tokenizer(tmp_path / "out" / "2048") == _tokenizer(tokenizer)
    for size in sizes:
        vocabulary = load(tmp_path / "out" / str(size))
        assert vocabulary.vocab_size == size
        assert vocabulary.merges.tolist() == load(tokenizer).merges[: size - 320].tolist()
    curve = json.loads((tmp_path / "out" / "curve.json").read_text(encoding="utf-8"))
    assert curve == summary.curve
    for lang in ("en", "ja"):
        ratios = [row["bytes_per_token"] for row in curve if row["lang"] == lang]
        assert len(ratios) == 3
        assert 1 < ratios[0] < ratios[1] < ratios[2]


def test_the_librarys_trainer_learns_the_same_merges(source: Path, tmp_path: Path) -> None:
    library = train_tokenizer(source, tmp_path / "hf", vocab_size=1024, settings=TrainSettings(backend="hf"))
    ours = TrainSettings(boundary=False)
    train_tokenizer(source, tmp_path / "ours", vocab_size=1024, settings=ours, counting=CountSettings(host_cap=0))
    assert _tokenizer(tmp_path / "hf") == _tokenizer(tmp_path / "ours")
    assert not library.reused


def test_a_unigram_is_trained_saved_and_encodes_as_the_library_does(source: Path, tmp_path: Path) -> None:
    settings = TrainSettings(model="unigram")
    summary = train_tokenizer(source, tmp_path / "out", vocab_sizes=(640,), settings=settings)
    [directory] = summary.directories
    vocabulary, encoder, library = load(directory), Encoder(directory), engine(directory)
    assert vocabulary.vocab_size == 640
    assert vocabulary.token_bytes[:256] == tuple(bytes([byte]) for byte in range(256))
    for text in ("東京タワーは、1958年に完成した。It's tall.", "\x00 <|eos|>\t\n👩‍👩‍👧 ▁", ""):
        [ids] = encoder.ids([text])
        assert encoder.bytes_of(ids).tobytes().decode() == text
        assert ids.tolist() == library.encode(text, add_special_tokens=False).ids
    assert train_tokenizer(source, tmp_path / "out", vocab_sizes=(640,), settings=settings).reused


@pytest.mark.parametrize("split", ["script", "cl100k"])
def test_another_split_goes_through_to_the_file(source: Path, tmp_path: Path, split: str) -> None:
    train_tokenizer(source, tmp_path / "out", vocab_size=640, counting=CountSettings(split=split))
    assert load(tmp_path / "out").pattern == split_pattern(name=split)
    encoder, library = Encoder(tmp_path / "out"), engine(tmp_path / "out")
    text = "東京タワーは、1958年に完成した。It's tall.\n  x"
    [ids] = encoder.ids([text])
    assert ids.tolist() == library.encode(text, add_special_tokens=False).ids


def test_tokens_have_at_most_the_characters_asked_for(source: Path, tmp_path: Path) -> None:
    train_tokenizer(source, tmp_path / "out", vocab_size=1024, settings=TrainSettings(max_token_chars=3))
    vocabulary = load(tmp_path / "out")
    ordinary = vocabulary.token_bytes[: 256 + len(vocabulary.merges)]
    assert max(len(token.decode(errors="replace")) for token in ordinary) == 3


def test_the_same_again_does_nothing_and_another_is_refused(source: Path, tokenizer: Path) -> None:
    before = (tokenizer / "tokenizer.json").stat().st_mtime_ns
    assert train_tokenizer(source, tokenizer, vocab_size=2048).reused
    assert (tokenizer / "tokenizer.json").stat().st_mtime_ns == before
    with pytest.raises(RunError, match="vocab_size 2048 there, 1024 asked"):
        train_tokenizer(source, tokenizer, vocab_size=1024)
    with pytest.raises(RunError, match="boundary True there, False asked"):
        train_tokenizer(source, tokenizer, vocab_size=2048, settings=TrainSettings(boundary=False))


def test_a_table_of_others_is_kept_apart(source: Path, tmp_path: Path) -> None:
    """Counts beside a tokenizer stand under their fingerprint: other settings neither use nor destroy them."""
    train_tokenizer(source, tmp_path / "out", vocab_size=512)
    with pytest.raises(RunError, match="digits 1 there, 2 asked"):
        train_tokenizer(source, tmp_path / "out", vocab_size=512, counting=CountSettings(digits=2))
    assert len(list(tmp_path.glob("out.counts-*"))) == 2


@pytest.mark.parametrize(
    ("settings", "counting", "sizes", "words"),
    [
        (TrainSettings(model="wordpiece"), CountSettings(), (), "use --model bpe"),
        (TrainSettings(backend="gpu"), CountSettings(), (), "use --backend seimai"),
        (TrainSettings(min_count=0), CountSettings(), (), "min_count 0"),
        (TrainSettings(max_token_chars=0), CountSettings(), (), "max_token_chars 0"),
        (TrainSettings(backend="hf", max_token_chars=4), CountSettings(), (), "it counts bytes"),
        (TrainSettings(model="unigram", max_token_chars=4), CountSettings(), (), "is for bpe"),
        (TrainSettings(), CountSettings(split="french"), (), "split 'french'"),
        (TrainSettings(backend="hf"), CountSettings(balance=Balance(exponent=0)), (), "cannot weigh"),  # type: ignore[arg-type]
        (TrainSettings(), CountSettings(), (300, 512), "vocab_size 300"),
        (TrainSettings(), CountSettings(), (512, 512), "each size once"),
    ],
)
def test_a_wrong_setting_is_one_line_before_any_work(
    source: Path, tmp_path: Path, settings: TrainSettings, counting: CountSettings, sizes: tuple[int, ...], words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        train_tokenizer(source, tmp_path / "out", vocab_sizes=sizes, settings=settings, counting=counting)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_counts_come_alone_and_not_to_the_library(source: Path, tmp_path: Path) -> None:
    counts = tmp_path / "counts"
    count_sources(open_sources(source), counts)
    with pytest.raises(ConfigError, match="one folder of counts, or text"):
        train_tokenizer([counts, source], tmp_path / "out")
    with pytest.raises(ConfigError, match="reads text, not counts"):
        train_tokenizer(counts, tmp_path / "out", settings=TrainSettings(backend="hf"))


def test_files_without_a_split_hold_out_what_a_run_would(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"text": f"words of page {n}", "url": f"https://host{n % 40}.example/{n}"} for n in range(400)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    summary = train_tokenizer(path, tmp_path / "out", vocab_size=512, held_out=HeldOut(0.3, 7))
    assert 160 < summary.sample["und"]["documents"] < 380
    assert summary.sample["und"]["documents"] % 10 == 0
