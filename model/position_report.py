"""The figures of a comparison of positions in; a Markdown table and an SVG plot out."""

import io
from collections.abc import Mapping
from typing import Any

__all__ = ["plot_svg", "table_markdown"]

COLOURS = {
    "learned": "#7f7f7f",
    "sinusoidal": "#8c564b",
    "shaw": "#e377c2",
    "t5": "#2ca02c",
    "alibi": "#ff7f0e",
    "rope": "#1f77b4",
    "none": "#111111",
}
SCALED = {"linear": "#9ecae1", "ntk": "#17becf", "dynamic": "#9467bd", "yarn": "#08306b", "llama3": "#d62728"}


def table_markdown(facts: Mapping[str, Any]) -> str:
    """Kinds by bits per byte, with loss by length of context; a cell is mean ± standard deviation over seeds.

    `facts` is what positions.json holds. A kind that knows no such length says n/a; of rows with a scaling only what
    the scaling changes is repeated.
    """
    langs = list(facts["rows"][0]["bits_per_byte_by_lang"])
    lengths = [f"{facts['row_tokens'] * multiple:,} ({multiple}×)" for multiple in facts["lengths"]]
    reference = facts["rows"][0]["against"]["positions"]
    head = ["positions", "bits per byte", *langs, f"against {reference}, 95 %", *lengths]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in facts["rows"]:
        cells = [_cell(cell) for cell in row["nats_by_length"]]
        if row["scaling"] != "none":
            lines.append(_line([f"{row['positions']}, {row['scaling']}", *[""] * (2 + len(langs)), *cells]))
            continue
        by_lang = [f"{row['bits_per_byte_by_lang'][lang]['mean']:.3f}" for lang in langs]
        lines.append(_line([row["positions"], _cell(row["bits_per_byte"]), *by_lang, _against(row), *cells]))
    return "\n".join(lines) + "\n"


def plot_svg(facts: Mapping[str, Any]) -> bytes | None:
    """Loss by length of context and by position, as SVG; None where matplotlib is not installed.

    The same figures give the same bytes with one version of matplotlib.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
        from matplotlib.ticker import ScalarFormatter
    except ModuleNotFoundError:
        return None
    tokens = facts["row_tokens"]
    with matplotlib.rc_context({"svg.hashsalt": "seimai", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(10, 4.2), layout="constrained")
        by_length, by_position = figure.subplots(1, 2, sharey=True)
        for row in facts["rows"]:
            _draw(row, facts, by_length, by_position)
        by_length.set_xscale("log", base=2)
        by_length.set_xticks([multiple * tokens for multiple in facts["lengths"]])
        by_length.xaxis.set_major_formatter(ScalarFormatter())
        by_length.set(xlabel="tokens of context, same targets", ylabel="nats a token")
        by_position.set(xlabel="position in the text")
        for axes in (by_length, by_position):
            axes.axvline(tokens, color="#bbbbbb", linewidth=1, zorder=0)
        figure.legend(*by_length.get_legend_handles_labels(), loc="outside right center", frameon=False)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


def _draw(row: Mapping[str, Any], facts: Mapping[str, Any], by_length: Any, by_position: Any) -> None:
    """The two lines of a row; those of a scaling are thin and dashed."""
    plain = row["scaling"] == "none"
    style = {
        "label": row["positions"] if plain else f"{row['positions']}, {row['scaling']}",
        "color": COLOURS[row["positions"]] if plain else SCALED[row["scaling"]],
        "linestyle": "-" if plain else "--",
        "linewidth": 1.5 if plain else 1,
    }
    lengths = [multiple * facts["row_tokens"] for multiple in facts["lengths"]]
    known = [(at, cell["mean"]) for at, cell in zip(lengths, row["nats_by_length"], strict=True) if cell is not None]
    by_length.plot(*zip(*known, strict=True), marker="o", markersize=3, **style)
    curve = row["nats_by_position"]
    if curve is not None:
        width = max(lengths) / len(curve)
        by_position.plot([width * (at + 0.5) for at in range(len(curve))], curve, **style)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Mapping[str, float] | None) -> str:
    """Mean ± standard deviation.

    >>> _cell({"mean": 3.14159, "sd": 0.0123}), _cell(None)
    ('3.142 ± 0.012', 'n/a')
    """
    return "n/a" if cell is None else f"{cell['mean']:.3f} ± {cell['sd']:.3f}"


def _against(row: Mapping[str, Any]) -> str:
    found = row["against"]
    if found["positions"] == row["positions"]:
        return "—"
    return f"{found['difference']:+.1%} ({found['low']:+.1%} to {found['high']:+.1%}): {found['verdict']}"
