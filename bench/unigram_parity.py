"""Unigram in `tokenizers` against SentencePiece itself: `python bench/unigram_parity.py`, about 6 minutes.

Trains 8,000 pieces on the 200,000 commonest pre-tokens of data/text and lets both encode every distinct pre-token of
all of it. Then the same with pieces of characters, where both encode the texts themselves and give them back. Two
lines, exit code 1 where one differs.
"""

import json
import platform
from importlib.metadata import version

import pyarrow as pa
import sentencepiece
from split_parity import DATA, batches
from tokenizers import Tokenizer, models

from seimai.tokenizer.counts import count, merge_counts
from seimai.tokenizer.split import split_pattern
from seimai.tokenizer.unigram import learn_pieces, model_json
from seimai.tokenizer.unigram_characters import learn_characters, library_json
from seimai.tokenizer.vocabulary import bytes_name

PIECES, PRETOKENS = 8_000, 200_000
CALL = 50_000


def main() -> int:
    """Train, encode twice, compare."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("tokenizers", "sentencepiece"))
    print(f"Python {platform.python_version()}, {packages}; texts of {DATA / 'text'}")
    parts = [
        count([pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())})], split_pattern())
        for texts in batches(DATA / "text")
    ]
    table = merge_counts(parts)
    pieces = learn_pieces(table, PIECES, max_pretokens=PRETOKENS)
    library = models.Unigram([tuple(entry) for entry in model_json(pieces)["vocab"]], None, False)
    processor = sentencepiece.SentencePieceProcessor(model_proto=pieces.model_file)
    known = {bytes_name(token) for token in pieces.tokens}
    wrong = 0
    for at in range(0, table.num_rows, CALL):
        names = [bytes_name(pretoken) for pretoken in table["pretoken"].slice(at, CALL).to_pylist()]
        for name, found in zip(names, processor.encode(names, out_type=str), strict=True):
            right = [part for piece in found for part in ([piece] if piece in known else piece)]
            if [token.value for token in library.tokenize(name)] != right:
                wrong += 1
                print(f"{name}: SentencePiece {right}")
    print(f"{len(pieces.tokens):,} tokens, {table.num_rows:,} pre-tokens, {wrong:,} differences")
    wrong += characters(table)
    return 1 if wrong else 0


def characters(counts: pa.Table) -> int:
    """Texts on which a Unigram of characters has other ids in `tokenizers`, or that either gives back otherwise."""
    unigram = learn_characters(counts, PIECES, max_pretokens=PRETOKENS)
    processor = sentencepiece.SentencePieceProcessor(model_proto=unigram.model)
    library = Tokenizer.from_str(json.dumps(library_json(unigram)))
    library.encode_special_tokens = True
    wrong = n_texts = n_tokens = 0
    for texts in batches(DATA / "text"):
        encoded = [each.ids for each in library.encode_batch_fast(texts, add_special_tokens=False)]
        for text, right, found in zip(texts, processor.encode(texts), encoded, strict=True):
            expected = text.replace("\u2581", " ")
            lost = processor.decode(right) != expected or library.decode(found, skip_special_tokens=False) != expected
            n_texts, n_tokens = n_texts + 1, n_tokens + len(right)
            if found != right or lost:
                wrong += 1
                print(
                    f"{text[:40]!r}: {'does not come back' if found == right else 'other ids'}, {len(right):,} tokens"
                )
    print(f"characters: {n_texts:,} texts, {n_tokens:,} tokens, {wrong:,} differences")
    return wrong


if __name__ == "__main__":
    raise SystemExit(main())
