"""Unigram in `tokenizers` against SentencePiece itself: `python bench/unigram_parity.py`, about 2 minutes.

Trains 8,000 pieces on the 200,000 commonest pre-tokens of data/text and lets both encode every distinct pre-token of
all of it: one line, exit code 1 where one differs.
"""

import platform
from importlib.metadata import version

import pyarrow as pa
import sentencepiece
from split_parity import DATA, batches
from tokenizers import models

from seimai.tokenizer.counts import count, merge_counts
from seimai.tokenizer.split import split_pattern
from seimai.tokenizer.unigram import learn_pieces, model_json
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
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
