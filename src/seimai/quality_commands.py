"""The commands `seimai quality`: a classifier from good and bad texts."""

from pathlib import Path
from typing import Annotated

import typer

from seimai.errors import ConfigError

__all__ = ["quality_app"]

quality_app = typer.Typer(help="Train and judge quality models.", no_args_is_help=True, rich_markup_mode=None)

_SOURCE = "run, text file, or RUN:kept, RUN:dropped, RUN:<reason>; repeatable."


@quality_app.command("train", epilog="Example: seimai quality train --good wiki.jsonl --bad run:dropped --out quality")
def quality_train(
    out: Annotated[Path, typer.Option(help="Folder for the model and its card.")],
    good: Annotated[list[str] | None, typer.Option(help=f"Good texts: {_SOURCE}")] = None,
    bad: Annotated[list[str] | None, typer.Option(help=f"Bad texts: {_SOURCE}")] = None,
    lang: Annotated[list[str] | None, typer.Option(help="Take only this language; repeatable. Default: all.")] = None,
    feed: Annotated[str, typer.Option(help="How Japanese is cut: chars or pieces.")] = "chars",
    max_documents: Annotated[int, typer.Option(min=0, help="Most texts of a source, drawn; 0 for all.")] = 0,
    max_chars: Annotated[int, typer.Option(min=1, help="Characters of a text that are looked at.")] = 4000,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the texts.")] = 5,
    dim: Annotated[int, typer.Option(min=1, help="Width of the vectors.")] = 32,
    ngrams: Annotated[int, typer.Option(min=1, help="Longest n-gram of tokens.")] = 3,
    held_out_share: Annotated[float, typer.Option(help="Share of hosts only the report sees.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of split, sample, order and training.")] = 1,
    quantize: Annotated[bool, typer.Option("--quantize", help="Write the quantised model.")] = False,
    autotune_s: Annotated[int, typer.Option(min=0, help="Seconds to search settings; not reproducible.")] = 0,
    text_field: Annotated[str, typer.Option(help="Text column of plain files.")] = "text",
) -> None:
    """Train a fastText classifier of good against bad texts, and print what it does on held-out hosts."""
    from seimai.pipeline.quality_feed import FEEDS
    from seimai.pipeline.quality_train import QualityTraining, train_quality
    from seimai.quality_sets import labelled_texts
    from seimai.show import print_table

    chosen = next((known for known in FEEDS if known == feed), None)
    if chosen is None:
        raise ConfigError(f"--feed {feed}: not known; write {' or '.join(FEEDS)}")
    texts = labelled_texts(
        good or [], bad or [], languages=lang or (), max_documents=max_documents, seed=seed, field=text_field
    )
    how = QualityTraining(
        feed=chosen, max_chars=max_chars, epochs=epochs, dim=dim, ngrams=ngrams, held_out_share=held_out_share,
        seed=seed, quantize=quantize, autotune_s=autotune_s,
    )  # fmt: skip
    made = train_quality(texts, out, how)
    names = ["language", "good", "bad", "precision", "recall", "AUC"]
    rows = [(line.lang, line.good, line.bad, line.precision, line.recall, line.auc) for line in made.report]
    print_table("Held-out texts", names, rows)
    file = made.card["model"]
    again = "" if made.card["reproducible"] else "; not reproducible (autotune)"
    typer.echo(f"{out / file['file']}: {file['bytes'] / 1e6:,.1f} MB{again}; the card is {out / 'README.md'}")


@quality_app.command("cutoffs", epilog="Example: seimai quality cutoffs wiki.jsonl --lang ja --model ja.arpa.bin")
def quality_cutoffs(
    source: Annotated[list[str], typer.Argument(help="Reference texts: run, text file, RUN:kept, RUN:dropped.")],
    lang: Annotated[str, typer.Option(help="Language, ISO 639-1.")],
    model: Annotated[Path, typer.Option(help="KenLM model, ARPA or binary.")],
    pieces: Annotated[str, typer.Option(help="SentencePiece model or tokenizer.json; empty: words.")] = "",
    normalize: Annotated[str, typer.Option(help="cc_net, kana or none.")] = "cc_net",
    head: Annotated[float, typer.Option(min=0, max=100, help="Percentile where head ends.")] = 30,
    tail: Annotated[float, typer.Option(min=0, max=100, help="Percentile where tail begins.")] = 60,
    max_documents: Annotated[int, typer.Option(min=0, help="Most texts of a source, drawn; 0 for all.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 1,
    text_field: Annotated[str, typer.Option(help="Text column of plain files.")] = "text",
) -> None:
    """Print the section [perplexity] whose head and tail are percentiles of reference texts."""
    from seimai.config import dump_toml, parse_config
    from seimai.pipeline.perplexity import PerplexityConfig, cutoffs, perplexities, perplexity_parts
    from seimai.quality_sets import texts_of

    given = {"model": str(model), "pieces": pieces, "normalize": normalize}
    config = parse_config(given, PerplexityConfig, "--normalize")
    perplexity_parts(config)
    tables = [texts_of(s, languages=[lang], max_documents=max_documents, seed=seed, field=text_field) for s in source]
    texts = [text for table in tables for text in table["text"].to_pylist()]
    ends = [round(value, 1) for value in cutoffs(perplexities(texts, config), head, tail)]
    found = config.model_copy(update={"head": ends[0], "tail": ends[1]})
    typer.echo(
        f"# percentiles {head:g} and {tail:g} of {len(texts):,} texts\n[perplexity.{lang}]\n{dump_toml(found)}",
        nl=False,
    )
