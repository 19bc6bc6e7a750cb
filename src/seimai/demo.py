"""The whole job on the embedded sample web: crawl, corpus, tokenizer, token shards, model, generated text."""

import json
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

from seimai.config import load_config
from seimai.show import console, loss_curve, print_evaluation, print_rows, print_run, print_table, print_training

__all__ = ["demo"]

VOCAB_SIZE = 4096
SETTINGS = ["held_out.share=0.12", "held_out.seed=3", "input.name='sample'", "input.part_bytes=65536"]
"""A small web: a larger share of its few hosts is held out, and parts are small so that both cores have work."""
PROMPTS = {
    "ja": ("お茶を淹れるときは", "朝の川沿いを", "この町の図書館には"),
    "en": ("The best way to", "In the morning", "When the bread"),
}
NEW_TOKENS = 48


def demo(out: Path, workers: int | None) -> None:
    """Make crawl/, run/, tokenizer/, tokens/ and model/ under `out`; called again, go on where it was."""
    screen = console()
    screen.rule("1  A small web is built and polished", align="left")
    _polish(out, workers)
    screen.rule("2  A tokenizer is trained on the documents kept for training", align="left")
    _train_tokenizer(out)
    screen.rule("3  Text shards become token shards", align="left")
    _encode(out, workers)
    screen.rule("4  A small decoder is trained on them", align="left")
    _train_model(out)
    screen.rule("5  It writes", align="left")
    _generate(out)
    _say_what_is_next(out)


def _polish(out: Path, workers: int | None) -> None:
    from seimai.pipeline.job import polish
    from seimai.pipeline.progress import Terminal
    from seimai.pipeline.run import Engine
    from seimai.pipeline.settings import RunConfig
    from seimai.sample.build import build_warc

    archive = out / "crawl" / "sample.warc.gz"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        build_warc(archive)
    with as_file(files("seimai.configs") / "web_ja_en.toml") as path:
        config = load_config(path, RunConfig, SETTINGS)
    with Terminal(console()) as progress:
        summary = polish(config, out / "run", inputs=[str(archive)], engine=Engine(workers=workers), progress=progress)
    print_run(summary)


def _train_tokenizer(out: Path) -> None:
    from seimai.tokenizer.evaluate import evaluate
    from seimai.tokenizer.train import train_tokenizer

    train_tokenizer([out / "run"], out / "tokenizer", vocab_size=VOCAB_SIZE)
    print_evaluation(evaluate(out / "tokenizer", [out / "run"]))


def _encode(out: Path, workers: int | None) -> None:
    from seimai.encoding import encode_source
    from seimai.pipeline.run import Engine

    # Two small shards: starting worker processes would take longer than the work.
    with Engine(workers=0) as engine:
        print_rows("Token shards", encode_source([out / "run"], out / "tokenizer", out / "tokens", engine))


def _train_model(out: Path) -> None:
    from seimai.model.train import train

    with as_file(files("seimai.configs") / "model_tiny.toml") as config:
        summary = train(config, out / "tokens", out / "model", console=console())
    lines = (out / "model" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    console().print(f"Loss  {losses[0]:.2f} {loss_curve(losses)} {losses[-1]:.2f}\n")
    print_training(summary)


def _generate(out: Path) -> None:
    from seimai.model.generate import Sampling, generate

    sampling = Sampling(max_new_tokens=NEW_TOKENS, temperature=0.8, top_p=0.95, seed=1)
    for lang, prompts in PROMPTS.items():
        rows: Sequence[tuple[str, str]] = list(
            zip(prompts, generate(out / "model", prompts, sampling=sampling), strict=True)
        )
        print_table(f"Generated, {lang}", ["prompt", "goes on"], rows)


def _say_what_is_next(out: Path) -> None:
    screen = console()
    screen.rule("What was made", align="left")
    for name, what in (
        ("run/shards", "the corpus: Arrow files, one set a language"),
        ("run/report.html", "the funnel; run/audit holds samples of what was dropped"),
        ("tokenizer/tokenizer.json", "the tokenizer, for Hugging Face tokenizers and transformers"),
        ("tokens", "token shards with the origin of every document"),
        ("model/final", "the model; model/metrics.jsonl has its losses"),
    ):
        screen.print(f"  {out / name}  {what}")
    screen.print("\nNow a real crawl (one archive of Common Crawl is about 1 GB):")
    for line in (
        "seimai init web.toml",
        "seimai run web.toml --input CC-MAIN-2024-51 --limit 1 --set input.contact=you@example.org --out run",
    ):
        screen.print(f"  {line}")
