"""The page docs/signals.md from the declaration: `python -m seimai.pipeline.signal_docs > docs/signals.md`."""

from .measure import __doc__ as DEFINITIONS
from .presets import preset, preset_names
from .signal_columns import COLUMNS, CORE, GROUPS

__all__ = ["signal_docs"]

_GROUPS = {
    "core": "always measured",
    "space": "words as `str.split()` cuts them, for Dolma's and DCLM's readings of Gopher",
    "datatrove": "words as datatrove cuts English (spaCy's rules); Japanese as in the core",
    "dclm": "repetition as DCLM's copy of RefinedWeb counts it",
    "sudachi": "words of SudachiPy's core dictionary in mode A, which FineWeb-2 used; "
    "`pip install sudachipy sudachidict_core`",
    "unidic": "nouns and copied words by MeCab with the dictionary unidic-lite, which HojiChar uses; "
    "`pip install fugashi unidic-lite`",
    "zstd": "size after zstd at level 3",
    "zlib": "size after zlib at level 9",
    "bbs": "marks of bulletin boards",
    "words": "counts of word lists ([signals.lists.<kind>]); a kind without a list is null and breaks no rule",
}


def signal_docs() -> str:
    """The page: definitions, then one line per signal with definition, unit and the presets that ask for it."""
    users: dict[str, list[str]] = {}
    for name in dict.fromkeys(preset(known).name for known in preset_names()):
        for asked in dict.fromkeys(rule.column for rule in preset(name).rules):
            users.setdefault(asked, []).append(name)
    lines = [
        "# Signals",
        "",
        "Every number a quality rule may ask for. This page is written from the code (`pipeline/signal_columns.py`) by",
        "`python -m seimai.pipeline.signal_docs`; a test fails when it is not.",
        "",
        *[line for line in (DEFINITIONS or "").strip().splitlines()[2:]],
        "",
        "A group other than `core` is measured only when a rule of [quality] asks for one of its columns or [signals]",
        "names it; switching one on measures again, but reads and extracts nothing again.",
    ]
    for group in GROUPS:
        lines += ["", f"## {'Core' if group == CORE else 'Group ' + group}: {_GROUPS[group]}", ""]
        lines += ["| signal | type | unit | definition | presets |", "|---|---|---|---|---|"]
        for name, column in COLUMNS.items():
            if column.group == group:
                meaning = column.meaning.replace("|", "\\|")
                used = ", ".join(users.get(name, []))
                lines.append(f"| `{name}` | {column.type} | {column.unit} | {meaning} | {used} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(signal_docs(), end="")
