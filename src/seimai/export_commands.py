"""The command `seimai export`: a trained model for the tools that others use."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["add_export_commands"]


def add_export_commands(app: typer.Typer) -> None:
    """Make it a command of `app`."""
    app.command(epilog="Example: seimai export model --out exported")(export)


def export(
    model: Annotated[Path, typer.Argument(help="Folder of a training, a checkpoint or a final model.")],
    out: Annotated[Path, typer.Option(help="New folder.")],
    format_: Annotated[str, typer.Option("--format", help="hf, or gguf for llama.cpp.")] = "hf",
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16; with gguf also float16 and q8_0.")] = "float32",
    chat_template: Annotated[Path | None, typer.Option(help="Jinja file, instead of our own.")] = None,
    ids_only: Annotated[bool, typer.Option("--ids-only", help="With gguf: leave the text side out.")] = False,
) -> None:
    """Write a Hugging Face folder or a GGUF file, load it back, and compare logits and greedy tokens with ours."""
    from seimai.errors import ConfigError

    if format_ not in ("hf", "gguf"):
        raise ConfigError(f"--format {format_}: there are hf and gguf")
    template = chat_template.read_text(encoding="utf-8") if chat_template else None
    if format_ == "gguf":
        _gguf(model, out, dtype, template, ids_only)
        return
    if ids_only:
        raise ConfigError("--ids-only is for --format gguf; leave it out")
    _hf(model, out, dtype, template)


def _hf(model: Path, out: Path, dtype: str, template: str | None) -> None:
    from seimai.errors import ConfigError
    from seimai.model.export_hf import export_hf
    from seimai.show import print_rows

    if dtype not in ("float32", "bfloat16"):
        raise ConfigError(f"--dtype {dtype}: there are float32 and bfloat16")
    done = export_hf(model, out, dtype="bfloat16" if dtype == "bfloat16" else "float32", chat_template=template)
    rows = {
        "class": f"{done.class_name} ({done.reason})",
        "logits compared": done.checked.rows,
        "largest difference": f"{done.checked.logit_difference:.1e}",
        "greedy tokens compared": done.checked.greedy_tokens,
        "files": ", ".join(done.files),
    }
    print_rows(f"Exported to {out}", rows)
    if not done.native:
        _warn(
            f"REMOTE CODE: {done.reason}. Every tool that loads {out} must be told trust_remote_code=True; vLLM, "
            "llama.cpp and quantisers will not run it."
        )
    _note(done.notes)


def _gguf(model: Path, out: Path, dtype: str, template: str | None, ids_only: bool) -> None:
    from seimai.errors import ConfigError
    from seimai.model.export_gguf import STORED_AS, export_gguf
    from seimai.sample.articles import articles
    from seimai.show import print_rows

    for stored in STORED_AS:
        if stored == dtype:
            break
    else:
        raise ConfigError(f"--dtype {dtype}: there are {', '.join(STORED_AS)}")
    texts = None if ids_only else [each for article in articles() for each in article.paragraphs]
    done = export_gguf(model, out, texts=texts, dtype=stored, chat_template=template)
    rows = {"architecture": f"{done.architecture} ({done.reason})"}
    for reader, found in done.checked:
        rows[f"read by {reader}"] = (
            f"logits {found.rows}, largest difference {found.logit_difference:.1e}; "
            f"{found.greedy_tokens} greedy tokens the same"
        )
    if done.tokenizer is not None:
        kind = "its own" if done.tokenizer.exact else "the nearest"
        rows["split"] = (
            f"{done.tokenizer.pre} ({kind}): other ids on {done.tokenizer.other_texts} of {done.tokenizer.texts} texts"
        )
    rows["files"] = ", ".join(done.files)
    print_rows(f"Exported to {out}", rows)
    if done.tokenizer is not None and not done.tokenizer.exact:
        _warn(f"ANOTHER SPLIT: {done.notes[0]}")
        _note(done.notes[1:])
    else:
        _note(done.notes)


def _warn(text: str) -> None:
    typer.secho(f"seimai: warning: {text}", fg="yellow", err=True)


def _note(notes: tuple[str, ...]) -> None:
    for note in notes:
        typer.echo(f"seimai: note: {note}", err=True)
