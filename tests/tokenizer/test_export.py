"""Exports read back by their consumers: transformers, tiktoken, SentencePiece; what is not exact is refused."""

import json
from pathlib import Path

import pytest
import sentencepiece
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from seimai.errors import ConfigError, RunError
from seimai.tokenizer.count_sample import CountSettings
from seimai.tokenizer.encoder import Encoder
from seimai.tokenizer.export import FORMATS, export_tokenizer, format_named, read_tiktoken_file, tiktoken_encoding
from seimai.tokenizer.export_sentencepiece import why_not_sentencepiece
from seimai.tokenizer.train import TrainSettings, train_tokenizer
from seimai.tokenizer.vocabulary import load, load_manifest

HARD = (
    "コーヒーを飲む。佐々木さんは、「ヴァイオリン」を弾いた……。",
    "if x:\n        return 3.14\n\n\n# done\r\n\ttab  two   three\u3000\u00a0 end   ",
    "it's WE'LL don’t 👩‍👩‍👧‍👦 ▁e\u0301 が \x00\x01漢 $1,234.56 １２３４ <|eos|>",
)


@pytest.fixture(scope="module")
def everything(texts: dict[str, list[str]]) -> list[str]:
    """Hard texts and the articles."""
    return [*HARD, *(text for lang in texts for text in texts[lang][:20])]


@pytest.mark.parametrize("kind", [AutoTokenizer, PreTrainedTokenizerFast])
def test_transformers_reads_it(tokenizer: Path, tmp_path: Path, everything: list[str], kind: type) -> None:
    export_tokenizer(tokenizer, tmp_path / "hf", "hf")
    vocabulary, encoder = load(tokenizer), Encoder(tokenizer)
    found = kind.from_pretrained(tmp_path / "hf")  # type: ignore[attr-defined]
    assert (found.bos_token_id, found.eos_token_id, found.pad_token_id) == (
        *(vocabulary.bos_id, vocabulary.eos_id, vocabulary.pad_id),
    )
    assert len(found) == vocabulary.vocab_size
    for text, ids in zip(everything, encoder.ids(everything), strict=True):
        assert found(text, split_special_tokens=True).input_ids == [vocabulary.bos_id, *ids.tolist()]
        assert found.decode(ids.tolist()) == text


def test_the_chat_template_gives_one_token_for_each_mark(tokenizer: Path, tmp_path: Path) -> None:
    export_tokenizer(tokenizer, tmp_path / "hf", "hf")
    found = AutoTokenizer.from_pretrained(tmp_path / "hf")
    talk = [{"role": "user", "content": "お茶?"}, {"role": "assistant", "content": "はい。"}]
    text = found.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|bos|><|reserved_0|>user\nお茶?<|reserved_1|>\n<|reserved_0|>assistant\nはい。<|reserved_1|>\n"
        "<|reserved_0|>assistant\n"
    )
    ids = list(map(int, found.apply_chat_template(talk, add_generation_prompt=True, return_dict=False)))
    vocabulary = load(tokenizer)
    marks = [vocabulary.special_id(name) for name in ("<|bos|>", "<|reserved_0|>", "<|reserved_1|>")]
    assert [ids.count(mark) for mark in marks] == [1, 3, 2]
    export_tokenizer(tokenizer, tmp_path / "own", "hf", chat_template="{{ messages[0]['content'] }}")
    own = AutoTokenizer.from_pretrained(tmp_path / "own")
    assert own.apply_chat_template(talk, tokenize=False) == "お茶?"


def test_tiktoken_reads_it(tokenizer: Path, tmp_path: Path, everything: list[str]) -> None:
    export_tokenizer(tokenizer, tmp_path / "out", "tiktoken")
    encoding, vocabulary = tiktoken_encoding(tmp_path / "out"), load(tokenizer)
    assert encoding.n_vocab == vocabulary.vocab_size
    assert encoding.encode("<|eos|>", allowed_special="all") == [vocabulary.eos_id]
    for text, ids in zip(everything, Encoder(tokenizer).ids(everything), strict=True):
        assert encoding.encode_ordinary(text) == ids.tolist()
        assert encoding.decode(ids.tolist()) == text


def test_sentencepiece_reads_what_it_can_carry(tmp_path: Path, texts: dict[str, list[str]]) -> None:
    """Lines of plain ASCII: no cut inside a line, no part of a character."""
    path = tmp_path / "ascii.jsonl"
    plain = [text.encode("ascii", "ignore").decode() for text in texts["en"]]
    path.write_text("\n".join(json.dumps({"text": text, "split": "train"}) for text in plain), encoding="utf-8")
    counting = CountSettings(split="lines")
    train_tokenizer(path, tmp_path / "t", vocab_size=1024, counting=counting, settings=TrainSettings())
    export_tokenizer(tmp_path / "t", tmp_path / "out", "sentencepiece")
    model = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "out" / "tokenizer.model"))
    encoder = Encoder(tmp_path / "t")
    vocabulary = encoder.vocabulary
    assert (model.bos_id(), model.eos_id(), model.pad_id()) == (
        *(vocabulary.bos_id, vocabulary.eos_id, vocabulary.pad_id),
    )
    assert model.vocab_size() == vocabulary.vocab_size
    for text, ids in zip([*HARD, *plain], encoder.ids([*HARD, *plain]), strict=True):
        assert model.encode(text) == ids.tolist()
        assert model.decode(ids.tolist()) == text


@pytest.mark.parametrize(
    ("split", "model", "to", "said"),
    [
        ("ja-en", "bpe", "sentencepiece", "no split pattern"),
        ("lines", "bpe", "sentencepiece", "are parts of one"),
        ("ja-en", "unigram", "sentencepiece", "scores characters"),
        ("ja-en", "unigram", "tiktoken", "no merges"),
    ],
)
def test_what_is_not_exact_is_refused_with_the_reason(
    source: Path, tmp_path: Path, split: str, model: str, to: str, said: str
) -> None:
    counting = CountSettings(split=split)
    train_tokenizer(source, tmp_path / "t", vocab_size=640, counting=counting, settings=TrainSettings(model))
    with pytest.raises(ConfigError, match=said):
        export_tokenizer(tmp_path / "t", tmp_path / "out", to)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_the_reason_is_nothing_where_there_is_none(tokenizer: Path) -> None:
    assert "split pattern" in why_not_sentencepiece(load(tokenizer))


def test_the_card_names_what_it_was_made_of(tokenizer: Path, tmp_path: Path) -> None:
    figures = tmp_path / "eval.json"
    figures.write_text(json.dumps({"ja": {"bytes_per_token": 5.5}}), encoding="utf-8")
    export_tokenizer(tokenizer, tmp_path / "hf", "hf", evaluation=figures)
    card = (tmp_path / "hf" / "README.md").read_text(encoding="utf-8")
    manifest = load_manifest(tokenizer)
    for said in (manifest["fingerprint"], manifest["corpus"], manifest["counts"]["sha256"], "host_cap", "5.5"):
        assert said in card


def test_a_folder_that_holds_something_and_an_unknown_format_are_refused(tokenizer: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(RunError, match="--out"):
        export_tokenizer(tokenizer, tmp_path, "hf")
    with pytest.raises(ConfigError, match="--to hf"):
        format_named("gguf")
    assert [format_named(name) for name in FORMATS] == ["hf", "tiktoken", "sentencepiece"]


def test_a_line_that_is_no_rank_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.tiktoken").write_text("QQ== 0\nQg==\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 2"):
        read_tiktoken_file(tmp_path / "bad.tiktoken")
