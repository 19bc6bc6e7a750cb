"""Pre-token counts in; a Unigram of characters as SentencePiece's own `.model` and as the same `tokenizer.json`, out.

For programs that read nothing but a `.model`. It is trained on the same counts over the same split as every other
tokenizer here, but a `.model` carries no split: pieces never cross a cut in training, and may while encoding. Blanks
are U+2581 inside, as everywhere in SentencePiece; what has no piece becomes bytes. `not_round_trip` says what does not
come back.

Both encoders give the same ids: scores are multiples of 2^-6, so that sums of some 30,000 tokens are exact in
SentencePiece's 32 bits; and no piece goes on behind a `<`, where `tokenizer.json` cuts, so that the names of bytes and
specials, which `tokenizers` would look up in a text, never stand there whole.
"""

import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seimai.errors import ConfigError
from seimai.files import sha256_file, write_atomic

from .counts import COUNTS, merge_counts
from .sentencepiece_file import BYTE, CONTROL, NORMAL, UNKNOWN, Piece, byte_name, model_file
from .token_table import BOS, EOS, PAD, special_names
from .unigram import THREADS, commonest, sentencepiece_library

__all__ = ["FORMAT", "CharacterUnigram", "learn_characters", "library_json", "not_round_trip", "save_characters"]

FORMAT = "seimai-sentencepiece/1"
BLANK = "▁"
UNKNOWN_NAME = "<unk>"
SCORE_STEP = 2.0**-6
COVERAGE = 0.9995
"""Share of all characters that get a piece of their own, as SentencePiece advises for Japanese; the rest is bytes."""
MAX_PIECE_CHARS = 16
MAX_PRETOKENS = 1_000_000
STAND_INS = {"\t": "\ufdd0", "\n": "\ufdd1", "\r": "\ufdd2"}
"""Noncharacters in training for what would end a line or a field there."""
NOT_LEARNED = (BLANK, "▅", "\0", *STAND_INS.values())
"""Characters that mean something to the trainer, or to us; they become bytes, but for the first, which is a blank."""
PROBES = {
    "U+2581 (▁)": "a▁b",
    "blanks in front and behind": "  a  ",
    "runs of blanks": "a    b",
    "ideographic blanks": "\u3000山\u3000",
    "tabs and newlines": "\ta\n\n\r\nb\n",
    "NUL and other control characters": "a\0b\x01\x7f\x85",
    "characters never seen": "\U0002a6d6\u0ddf\U0001fae8",
    "characters to be composed": "か\u3099e\u0301ﾊﾞ①㌔",
    "emoji sequences": "👩\u200d👩\u200d👧🇯🇵☺\ufe0f",
    "noncharacters": "\ufdd0\ufdd1\uffff",
    "names of special tokens": "<|bos|><unk></s><0x41>▁".replace(BLANK, ""),
}
"""What is tried: the name of each case and a text."""


class CharacterUnigram(NamedTuple):
    """Pieces by id: 256 bytes, the learned ones by falling score, the unknown, specials."""

    pieces: list[Piece]
    n_learned: int

    @property
    def unknown_id(self) -> int:
        """Never used, since every byte has a piece; both libraries want one."""
        return 256 + self.n_learned

    @property
    def specials(self) -> list[str]:
        """Names of the special tokens, whose ids follow the unknown's."""
        return [name for name, _, _ in self.pieces[self.unknown_id + 1 :]]

    @property
    def model(self) -> bytes:
        """The SentencePiece model."""
        ids = {name: self.unknown_id + 1 + place for place, name in enumerate(("bos", "eos", "pad"))}
        return model_file(self.pieces, "unigram", {"unk": self.unknown_id, **ids}, escape=True)


def learn_characters(counts: pa.Table, n_pieces: int, *, max_pretokens: int = MAX_PRETOKENS) -> CharacterUnigram:
    """At most `n_pieces` pieces beside bytes and specials, from columns `pretoken` and `count` of a counts table.

    The same table gives the same pieces. Raises ConfigError where SentencePiece is not installed or finds the
    vocabulary too small.
    """
    chosen = commonest(_cut_behind_brackets(counts), max_pretokens)
    lines = _lines(chosen, n_pieces // 2)
    if not lines:
        raise ConfigError("no pre-token to learn from; count more text")
    library, model = sentencepiece_library(), io.BytesIO()
    try:
        library.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=model, input_format="tsv", model_type="unigram",
            vocab_size=n_pieces + 1, hard_vocab_limit=False, character_coverage=1.0,
            max_sentence_length=1 << 16, max_sentencepiece_length=MAX_PIECE_CHARS,
            normalization_rule_name="identity", add_dummy_prefix=False, remove_extra_whitespaces=False,
            split_by_unicode_script=False, split_by_whitespace=False, split_by_number=False,
            allow_whitespace_only_pieces=True, unk_id=0, unk_piece="▅", bos_id=-1, eos_id=-1, pad_id=-1,
            num_threads=THREADS, minloglevel=2,
        )  # fmt: skip
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"SentencePiece refuses {n_pieces} pieces ({reason}); give a larger --vocab-size") from None
    processor = library.SentencePieceProcessor(model_proto=model.getvalue())
    back = {stand_in: character for character, stand_in in STAND_INS.items()}
    learned: list[Piece] = []
    for number in range(1, processor.vocab_size()):
        name = processor.id_to_piece(number).translate(str.maketrans(back))
        learned.append((name, round(processor.get_score(number) / SCORE_STEP) * SCORE_STEP, NORMAL))
    pieces = [(byte_name(byte), 0.0, BYTE) for byte in range(256)] + learned + [(UNKNOWN_NAME, 0.0, UNKNOWN)]
    names = special_names(len(learned) + 1)
    return CharacterUnigram(pieces + [(name, 0.0, CONTROL) for name in names], len(learned))


def library_json(unigram: CharacterUnigram) -> dict[str, Any]:
    """The content of `tokenizer.json`: the same ids by `tokenizers`."""
    worst = min(score for _, score, kind in unigram.pieces if kind == NORMAL)
    # Bytes and the unknown are never found in a text (see the cut); the least score keeps what an unknown one costs.
    vocab = [
        [name, score if kind == NORMAL else worst] for name, score, kind in unigram.pieces[: unigram.unknown_id + 1]
    ]
    bos, first, second = ({kind: {"id": name, "type_id": 0}}
                          for kind, name in (("SpecialToken", BOS), ("Sequence", "A"), ("Sequence", "B")))  # fmt: skip
    flags = {"special": True, "normalized": False, "single_word": False, "lstrip": False, "rstrip": False}
    bos_id = unigram.unknown_id + 1
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": bos_id + place, "content": name, **flags} for place, name in enumerate(unigram.specials)
        ],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": BLANK},
        "pre_tokenizer": {
            "type": "Split", "pattern": {"String": "<"}, "behavior": "MergedWithPrevious", "invert": False,
        },
        "post_processor": {
            "type": "TemplateProcessing", "single": [bos, first], "pair": [bos, first, second],
            "special_tokens": {BOS: {"id": BOS, "ids": [bos_id], "tokens": [BOS]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": BLANK}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {"type": "Unigram", "unk_id": unigram.unknown_id, "vocab": vocab, "byte_fallback": True},
    }  # fmt: skip


def not_round_trip(unigram: CharacterUnigram) -> list[str]:
    """The cases of PROBES whose text does not come back from the model, by trying each."""
    processor = sentencepiece_library().SentencePieceProcessor(model_proto=unigram.model)
    return [name for name, text in PROBES.items() if processor.decode(processor.encode(text)) != text]


def save_characters(unigram: CharacterUnigram, directory: Path, facts: dict[str, Any]) -> list[str]:
    """Write `tokenizer.model`, `tokenizer.json` and the manifest; returns what does not come back."""
    lost = not_round_trip(unigram)
    model, library = directory / "tokenizer.model", directory / "tokenizer.json"
    write_atomic(model, unigram.model)
    write_atomic(library, json.dumps(library_json(unigram), ensure_ascii=False, indent=1) + "\n")
    ids = {"bos_id": BOS, "eos_id": EOS, "pad_id": PAD}
    files = [{"path": p.name, "bytes": p.stat().st_size, "sha256": sha256_file(p)} for p in (library, model)]
    names = [name for name, _, _ in unigram.pieces]
    manifest = {
        "format": FORMAT,
        "fingerprint": sha256_file(model),
        "vocab_size": len(names),
        **{field: unigram.unknown_id + 1 + unigram.specials.index(name) for field, name in ids.items()},
        "not_round_trip": lost,
        **facts,
        "files": files,
    }
    write_atomic(directory / "manifest.json", json.dumps(manifest, ensure_ascii=False, indent=2) + "\n")
    return lost


def _cut_behind_brackets(counts: pa.Table) -> pa.Table:
    """The counts with every pre-token cut behind each `<`."""
    rows = counts.select(COUNTS.names)
    held = pc.match_substring(rows["pretoken"], b"<")
    cut: dict[bytes, int] = {}
    for pretoken, count in zip(*(rows.filter(held)[name].to_pylist() for name in COUNTS.names), strict=True):
        for part in pretoken.replace(b"<", b"<\0").split(b"\0"):
            if part:
                cut[part] = cut.get(part, 0) + count
    parts = pa.table([pa.array(cut.keys(), pa.large_binary()), pa.array(cut.values(), pa.int64())], schema=COUNTS)
    return merge_counts([rows.filter(pc.invert(held)), parts])


def _lines(table: pa.Table, most_characters: int) -> list[str]:
    """Lines of the trainer's TSV: what stands between rare characters, which become bytes."""
    texts = [pretoken.decode("utf-8", "replace") for pretoken in table["pretoken"].to_pylist()]
    counts = table["count"].to_pylist()
    if not texts:
        return []
    swap = {code: "\0" for code in _rare(texts, counts, most_characters)} | str.maketrans(STAND_INS)
    swap |= {ord(character): "\0" for character in NOT_LEARNED}
    parts: dict[str, int] = {}
    for text, count in zip(texts, counts, strict=True):
        for part in text.translate(swap).split("\0"):
            if part:
                parts[part] = parts.get(part, 0) + count
    return [f"{part}\t{count}" for part, count in sorted(parts.items())]


def _rare(texts: list[str], counts: list[int], most: int) -> list[int]:
    """Code points beyond COVERAGE of all characters, or beyond the `most` commonest."""
    weights = np.repeat(np.array(counts, np.float64), [len(text) for text in texts])
    sums = np.bincount(np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32), weights)
    order = np.argsort(-sums, kind="stable")[: np.count_nonzero(sums)]
    n_kept = min(most, int(np.searchsorted(np.cumsum(sums[order]), COVERAGE * sums.sum())) + 1)
    return [int(code) for code in order[n_kept:]]
