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
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    chat_template: Annotated[Path | None, typer.Option(help="Jinja file, instead of our own.")] = None,
) -> None:
    """Write a Hugging Face folder, load it back, and compare logits and greedy tokens before it stands there."""
    from seimai.errors import ConfigError
    from seimai.model.export_hf import export_hf
    from seimai.show import print_rows

    if dtype not in ("float32", "bfloat16"):
        raise ConfigError(f"--dtype {dtype}: there are float32 and bfloat16")
    template = chat_template.read_text(encoding="utf-8") if chat_template else None
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
        typer.secho(
            f"seimai: warning: REMOTE CODE: {done.reason}. Every tool that loads {out} must be told "
            "trust_remote_code=True; vLLM, llama.cpp and quantisers will not run it.",
            fg="yellow",
            err=True,
        )
    for note in done.notes:
        typer.echo(f"seimai: note: {note}", err=True)
