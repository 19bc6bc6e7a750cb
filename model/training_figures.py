"""The logs of a training or a comparison of positions in; Bokeh figures as plain JSON out.

Bokeh is imported when the first figure is drawn. Figures that show steps share one axis: to zoom one is to zoom all.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .position_report import COLOURS, SCALED
from .training_series import TrainingLog, thinned

__all__ = ["draw_lengths", "draw_positions", "draw_training", "embedded"]

PALETTE = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
DASHES = ("solid", "dashed", "dotted")
MOST_GROUPS = 20
"""Lines of a figure; of more sources those with most targets are drawn."""
GROUPINGS = {
    "lang": "Loss by language",
    "source": "Loss by source",
    "quality": "Loss by decile of quality (1 the lowest, none without a score)",
    "position": "Loss by position in the document (from the power of two named on)",
}
USE = {
    "tokens_per_s": ("Throughput", "targets a second"),
    "data_wait_share": ("Share of a step spent waiting for data", "share"),
    "padding_share": ("Share of places without a token", "share"),
    "memory_bytes": ("Memory in use", "bytes"),
}


def draw_training(log: TrainingLog) -> Any:
    """A column of figures over steps: loss, loss by group, held-out bits per byte, rate, norm, throughput, the rest."""
    from bokeh.layouts import column
    from bokeh.models import Range1d

    shared = Range1d(start=-0.5, end=log.steps + 0.5)

    def new(title: str, unit: str) -> Any:
        return _figure(title, "step", unit, x_range=shared)

    figures = [_drawn_column(log, "loss", new("Loss", "nats a token"))]
    for grouping, title in GROUPINGS.items():
        groups = dict(list(log.by.get(grouping, {}).items())[:MOST_GROUPS])
        if groups:
            figures.append(_lines(new(title, "nats a token"), groups))
    if log.held_out:
        figures.append(_lines(new("Held-out text", "bits per byte"), log.held_out, points=True))
    figures.append(_drawn_column(log, "lr", new("Learning rate", "learning rate")))
    figures.append(_drawn_column(log, "grad_norm", new("Gradient norm, before clipping", "norm")))
    for name, (title, unit) in USE.items():
        if name in log.columns:
            figures.append(_drawn_column(log, name, new(title, unit)))
    used = [name for name in log.columns if name.startswith("mfu_")]
    if used:
        steps = {name.removeprefix("mfu_"): thinned(log.columns[name]) for name in used}
        title = "Model FLOPs utilisation, by convention"
        figures.append(_lines(new(title, "share of peak"), {name: (s.step, s.mean) for name, s in steps.items()}))
    return column(*figures, sizing_mode="stretch_width")


def draw_lengths(lengths: Mapping[str, Mapping[int, float | None]]) -> Any:
    """Nats a token of one model by tokens of context, a line for each scaling; a length it does not know is a gap."""
    drawn = _figure("Longer texts than were trained, same targets", "tokens of context", "nats a token", x_log2=True)
    lines = {
        scaling: (
            np.array(list(measured), np.float64),
            np.array([np.nan if nats is None else nats for nats in measured.values()], np.float64),
        )
        for scaling, measured in lengths.items()
    }
    return _lines(drawn, {f"scaling {name}": line for name, line in lines.items()}, points=True)


def draw_positions(facts: Mapping[str, Any]) -> Any:
    """Loss by length of context and by position of every kind compared; `facts` is what positions.json holds."""
    from bokeh.layouts import column

    lengths = [multiple * facts["row_tokens"] for multiple in facts["lengths"]]
    by_length = _figure("Loss by length of context, same targets", "tokens of context", "nats a token", x_log2=True)
    by_position = _figure("Loss by position in the text", "position", "nats a token")
    for row in facts["rows"]:
        plain = row["scaling"] == "none"
        label = row["positions"] if plain else f"{row['positions']}, {row['scaling']}"
        color = COLOURS[row["positions"]] if plain else SCALED[row["scaling"]]
        dash = "solid" if plain else "dashed"
        nats = [np.nan if cell is None else cell["mean"] for cell in row["nats_by_length"]]
        _line(by_length, label, np.array(lengths, np.float64), np.array(nats), color=color, dash=dash, points=True)
        curve = row["nats_by_position"]
        if curve is not None:
            middle = max(lengths) / len(curve) * (np.arange(len(curve)) + 0.5)
            _line(by_position, label, middle, np.array(curve), color=color, dash=dash)
    for figure in (by_length, by_position):
        figure.vspan(x=facts["row_tokens"], line_color="#bbbbbb")
        _finish_legend(figure)
    return column(by_length, by_position, sizing_mode="stretch_width")


def embedded(figure: Any, target: str) -> dict[str, Any]:
    """What `Bokeh.embed.embed_item` draws into the element `target`; the same figure gives the same JSON.

    Bokeh counts its ids through the whole process and draws some at random, so all are numbered anew here.
    """
    from bokeh.core.types import ID
    from bokeh.embed import json_item

    # Through text, so that numpy's arrays become what a page can read.
    item = json.loads(json.dumps(json_item(figure, ID(target))))
    names: dict[str, str] = {}
    _renumber(item["doc"], names, target)
    item["root_id"] = names[item["root_id"]]
    return dict(item)


def _renumber(node: Any, names: dict[str, str], prefix: str) -> None:
    """Give every object of a document the id <prefix>-<n>, in order of first use."""
    if isinstance(node, dict):
        if isinstance(node.get("id"), str):
            node["id"] = names.setdefault(node["id"], f"{prefix}-{len(names)}")
        for each in node.values():
            _renumber(each, names, prefix)
    elif isinstance(node, list):
        for each in node:
            _renumber(each, names, prefix)


def _figure(title: str, x: str, y: str, *, x_range: Any = None, x_log2: bool = False) -> Any:
    from bokeh.models import LogTicker, NumeralTickFormatter
    from bokeh.plotting import figure

    shared = {} if x_range is None else {"x_range": x_range}
    drawn = figure(
        title=title,
        height=260,
        sizing_mode="stretch_width",
        tools="xpan,xwheel_zoom,box_zoom,reset,save",
        x_axis_label=x,
        y_axis_label=y,
        x_axis_type="log" if x_log2 else "linear",
        **shared,
    )
    drawn.toolbar.logo = None
    drawn.xaxis.formatter = NumeralTickFormatter(format="0,0")
    if x_log2:
        drawn.xaxis.ticker = LogTicker(base=2)
    if y == "bytes":
        drawn.yaxis.formatter = NumeralTickFormatter(format="0.0 b")
    elif y.startswith("targets"):
        drawn.yaxis.formatter = NumeralTickFormatter(format="0,0")
    return drawn


def _drawn_column(log: TrainingLog, name: str, drawn: Any) -> Any:
    """The line of a logged value; where a point stands for several steps, their range too, and spikes as crosses."""
    from bokeh.models import ColumnDataSource

    line = thinned(log.columns[name])
    if log.steps > len(line.step):
        band = ColumnDataSource({"step": line.step, "low": line.low, "high": line.high})
        drawn.varea("step", "low", "high", source=band, fill_alpha=0.2, fill_color=PALETTE[0])
    _line(drawn, "", line.step, line.mean, color=PALETTE[0])
    if name in ("loss", "grad_norm") and log.spikes:
        at = np.array([spike["step"] for spike in log.spikes if spike["step"] < log.steps], np.int64)
        marks = ColumnDataSource({"x": at, "y": log.columns[name][at]})
        drawn.scatter("x", "y", source=marks, marker="x", size=10, line_width=2, color=PALETTE[3])
    return drawn


def _lines(drawn: Any, lines: Mapping[str, Sequence[NDArray[np.float64]]], *, points: bool = False) -> Any:
    styles = zip(cycle(PALETTE), (dash for dash in cycle(DASHES) for _ in PALETTE), strict=False)
    for (label, (x, y)), (colour, dash) in zip(lines.items(), styles, strict=False):
        _line(drawn, label, x, y, color=colour, dash=dash, points=points or len(x) == 1)
    _finish_legend(drawn)
    return drawn


def _line(
    drawn: Any,
    label: str,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    *,
    color: str,
    dash: str = "solid",
    points: bool = False,
) -> None:
    from bokeh.models import ColumnDataSource, HoverTool

    source = ColumnDataSource({"x": x, "y": y, "name": [label] * len(x)})
    legend = {"legend_label": label} if label else {}
    shown = [drawn.line("x", "y", source=source, line_width=1.5, color=color, line_dash=dash, **legend)]
    if points:
        shown.append(drawn.scatter("x", "y", source=source, size=6, color=color, **legend))
    named = [("", "@name")] if label else []
    tips = [*named, (drawn.xaxis[0].axis_label, "@x{0,0}"), (drawn.yaxis[0].axis_label, "@y{%.4g}")]
    drawn.add_tools(HoverTool(renderers=shown, tooltips=tips, formatters={"@y": "printf"}, visible=False))


def _finish_legend(drawn: Any) -> None:
    """Beside the figure, where it hides nothing; a click hides a line."""
    legend = drawn.legend[0]
    legend.click_policy = "hide"
    legend.label_text_font_size = "9pt"
    legend.spacing = 0
    legend.padding = 4
    # A legend is cut off at the figure's end: 21 pixels a name, 100 for title and axis.
    drawn.height = max(drawn.height, 100 + 21 * len(legend.items))
    drawn.add_layout(legend, "right")
