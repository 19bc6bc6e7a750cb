"""The section [canaries] of a run's config."""

from seimai.config import Section

__all__ = ["CanariesConfig"]


class CanariesConfig(Section):
    """Section [canaries]: documents whose fate is known travel through every run, which fails where a good one is
    dropped; its files are written all the same."""

    shipped: bool = True
    """Whether those of the package travel; with no files either, none do."""
    files: list[str] = []
    """Canaries of your own: JSON lines with name, lang, good (true or false) and text."""
    strict: bool = False
    """Whether a bad one that is kept is an error too, not a warning."""
