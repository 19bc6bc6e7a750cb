"""Ctrl-C in long work."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["stoppable"]


@contextmanager
def stoppable() -> Iterator[None]:
    """Ctrl-C in long work: one line, exit code 130 as shells expect."""
    import typer

    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write("seimai: stopped; the same command goes on where it was\n")
        raise typer.Exit(130) from None
