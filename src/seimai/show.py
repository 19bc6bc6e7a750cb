"""What the commands print: tables of what a library function returned."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import pyarrow as pa

    from seimai.model.dataset_stats import DatasetDiff, DatasetStats
    from seimai.model.exposure import Exposure
    from seimai.model.trace import TracedDocument
    from seimai.model.train import Summary
    from seimai.pipeline.job import RunSummary
    from seimai.tokenizer.train import TrainSummary

__all__ = [
    "console",
    "loss_curve",
    "print_diff",
    "print_evaluation",
    "print_exposures",
    "print_rows",
    "print_run",
    "print_stats",
    "print_table",
    "print_tokenizer",
    "print_trace",
    "print_training",
]

BLOCKS = " ▁▂▃▄▅▆▇█"
SIZES = ("documents", "n_tokens", "n_bytes")


def console() -> Console:
    """The terminal, without colours where there is none."""
    return Console(highlight=False, soft_wrap=True)


def print_table(title: str, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table; numbers stand to the right, with separators."""
    rows = [list(row) for row in rows]
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for at, name in enumerate(names):
        numeric = bool(rows) and all(isinstance(row[at], int | float) or row[at] is None for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row))
    screen = console()
    screen.print(table)
    screen.print()


def print_rows(title: str, summary: object) -> None:
    """The fields of a summary (a dataclass or a mapping), one line each."""
    plain = asdict(summary) if is_dataclass(summary) and not isinstance(summary, type) else summary
    if not isinstance(plain, Mapping):
        raise TypeError(f"a summary is a dataclass or a mapping, not {type(summary).__name__}")
    rows: list[tuple[str, Any]] = []
    for name, value in plain.items():
        if isinstance(value, Mapping):  # figures by language
            inner = {key: ", ".join(f"{_shown(n)} {what}" for what, n in of.items()) for key, of in value.items()}
            rows += [(f"{name.replace('_', ' ')} {key}", text.replace("_", " ")) for key, text in inner.items()]
        else:
            rows.append((name.replace("_", " "), value))
    print_table(title, ["", ""], rows)


def print_run(summary: "RunSummary") -> None:
    """The funnel of a run and where its shards lie."""
    from seimai.pipeline.report import funnel

    rows = funnel(summary.totals)
    read = max(1, rows[0][3])
    print_table(
        "Funnel",
        ["stage", "reason", "language", "documents", "share"],
        [(stage, reason, lang, count, f"{count / read:.1%}") for stage, reason, lang, count in rows],
    )
    kept = summary.totals["kept"]
    print_table(
        "Kept",
        ["language", "documents", "characters", "bytes"],
        [(lang, sums["documents"], sums["chars"], sums["bytes"]) for lang, sums in kept.items()],
    )
    cut = summary.totals.get("cut", [])  # manifests of older runs have none
    if cut:
        print_table("Cut from the texts", ["step", "reason", "lines", "characters"], cut)
    counted = {k: v for k, v in summary.totals["read"].items() if v and k.startswith(("archive.", "payload.", "quar"))}
    if counted:
        print_table("Damage met and counted", ["what", "count"], list(counted.items()))
    if not summary.changed:
        console().print("Nothing to do: the run is finished and its inputs and config are unchanged.")
    console().print(f"{summary.out}/shards  {summary.out}/report.html  (check with: seimai verify {summary.out})")


def print_evaluation(table: "pa.Table") -> None:
    """A tokenizer's figures, one column a language."""
    rows = table.to_pylist()
    langs = [str(row["lang"]) for row in rows]
    figures = [(name.replace("_", " "), *(row[name] for row in rows)) for name in table.column_names if name != "lang"]
    print_table("Tokenizer on held-out documents", ["", *langs], figures)


def print_tokenizer(summary: "TrainSummary") -> None:
    """What a tokenizer was trained from, and what each size compresses on held-out text."""
    shown = {
        "fingerprint": summary.fingerprint,
        "vocab_size": summary.vocab_size,
        "n_pretokens": summary.n_pretokens,
        "counted": summary.sample,
        "written": ", ".join(map(str, summary.directories)),
        "reused": summary.reused,
    }
    print_rows("Tokenizer", shown)
    if not summary.curve:
        return
    langs = list(dict.fromkeys(str(row["lang"]) for row in summary.curve))
    found = {(row["vocab_size"], row["lang"]): row["bytes_per_token"] for row in summary.curve}
    sizes = list(dict.fromkeys(row["vocab_size"] for row in summary.curve))
    rows = [(size, *(found[size, lang] for lang in langs)) for size in sizes]
    print_table("Bytes per token on held-out documents", ["vocabulary", *langs], rows)


def print_training(summary: "Summary") -> None:
    """What a training did, its notes, and bits per byte before and after."""
    rows = [
        ("steps", summary.steps),
        ("steps of this call", summary.trained_steps),
        ("parameters", summary.parameters),
        ("tokens", summary.tokens),
        ("loss, first and last", f"{summary.first_loss or 0:.3f} {summary.last_loss or 0:.3f}"),
        ("model", str(summary.final) if summary.finished else "not finished; the same command goes on"),
    ]
    print_table("Training", ["", ""], rows)
    before, after = summary.evaluation.get("before", {}), summary.evaluation.get("after", {})
    if after:
        scores = [(name, before[name]["bits_per_byte"], after[name]["bits_per_byte"]) for name in sorted(after)]
        print_table("Bits per byte on held-out documents", ["language", "before", "after"], scores)
    for note in summary.notes:
        console().print(note)


def print_trace(documents: Sequence["TracedDocument"]) -> None:
    """The documents of a training step; columns that are known of none are left out."""
    shown = {
        "row": "number",
        "start": "start",
        "length": "length",
        "lang": "lang",
        "score": "lang_score",
        "quality": "quality",
        "copies": "cluster_size",
        "url": "url",
        "warc_file": "warc_file",
        "warc_offset": "warc_offset",
        "text": "text",
    }
    known = [name for name, field in shown.items() if any(getattr(d, field) is not None for d in documents)]
    print_table("Documents of the step", known, [[getattr(d, shown[name]) for name in known] for d in documents])


def print_exposures(found: Sequence["Exposure"]) -> None:
    """Documents asked for, the steps that saw each, and the last checkpoint that had not seen it."""
    names = ["document", "url", "split", "seen in steps", "last checkpoint before"]
    rows = [(e.document, e.url, e.split, _some(e.steps), e.clean_checkpoint) for e in found]
    print_table("Seen by the training", names, rows)


def _some(steps: Sequence[int], most: int = 8) -> str:
    """The first steps, and how many there are.

    >>> _some([3, 9]), _some(range(100), most=3), _some([])
    ('3, 9', '0, 1, 2 … (100 steps)', 'never')
    """
    if not steps:
        return "never"
    shown = ", ".join(str(step) for step in steps[:most])
    return shown if len(steps) <= most else f"{shown} … ({len(steps)} steps)"


def print_stats(stats: "DatasetStats") -> None:
    """A data set by group."""
    print_rows("Data set", {"root": stats.root, "documents": stats.documents, "n_tokens": stats.n_tokens,
                            "n_bytes": stats.n_bytes})  # fmt: skip
    for name, groups in stats.groups.items():
        rows = [(str(group[name] or "—"), *(group[each] for each in SIZES)) for group in groups]
        print_table(f"By {name.replace('_', ' ')}", [name, *SIZES], rows)


def print_diff(diff: "DatasetDiff") -> None:
    """Two data sets beside each other."""
    rows = [(what, counts["documents"], counts["n_tokens"]) for what, counts in diff.counts.items()]
    print_table("Documents by id", ["", "documents", "n_tokens"], rows)
    names = ["what", "lang", "documents", "n_tokens"]
    print_table("By language", names, [tuple(row[name] for name in names) for row in diff.by_lang])
    for what, found in diff.samples.items():
        if found:
            print_table(f"Samples, {what}", list(found[0]), [tuple(row.values()) for row in found])
    if diff.retokenized:
        console().print(f"{diff.retokenized:,} documents of both have another number of tokens\n")


def loss_curve(losses: Sequence[float], width: int = 60) -> str:
    """A line of blocks from the first loss to the last, the lowest loss the lowest block.

    >>> loss_curve([4.0, 3.0, 2.0, 1.0], width=4)
    '█▅▃ '
    """
    if not losses:
        return ""
    step = max(1, -(-len(losses) // width))
    means = [sum(losses[at : at + step]) / len(losses[at : at + step]) for at in range(0, len(losses), step)]
    low, high = min(means), max(means)
    top = len(BLOCKS) - 1
    return "".join(BLOCKS[round((mean - low) / (high - low) * top) if high > low else top] for mean in means)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
