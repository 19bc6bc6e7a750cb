"""An evaluation in; its plot out, as SVG."""

import io
from typing import Any

from seimai.errors import ConfigError

__all__ = ["plot"]


def plot(report: dict[str, Any]) -> bytes:
    """Bytes a token by tokenizer and language, with intervals; the best stands on top.

    The same figures give the same bytes with one version of matplotlib. ConfigError where it is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ConfigError("no plot without matplotlib; `pip install 'seimai[plot]'`, or leave --plot out") from None
    rows = [row for row in report["rows"] if row["domain"] == "all" and row["bytes_per_token"] is not None]
    langs = sorted({row["lang"] for row in rows})
    with matplotlib.rc_context({"svg.hashsalt": "seimai", "svg.fonttype": "none", "font.size": 9}):
        height = 1.2 + 0.26 * max(sum(row["lang"] == lang for row in rows) for lang in langs)
        figure = Figure(figsize=(4.2 * len(langs), height), layout="constrained")
        for axes, lang in zip(figure.subplots(1, len(langs), squeeze=False)[0], langs, strict=True):
            _bars(axes, sorted((row for row in rows if row["lang"] == lang), key=lambda row: row["bytes_per_token"]))
            axes.set(title=lang, xlabel="bytes per token")
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


def _bars(axes: Any, rows: list[dict[str, Any]]) -> None:
    values = [row["bytes_per_token"] for row in rows]
    reach = [
        [max(0.0, value - (row["bytes_per_token_low"] or value)) for row, value in zip(rows, values, strict=True)],
        [max(0.0, (row["bytes_per_token_high"] or value) - value) for row, value in zip(rows, values, strict=True)],
    ]
    axes.barh([row["tokenizer"] for row in rows], values, xerr=reach, color="#1f77b4", ecolor="#333333", height=0.7)
    axes.spines[["top", "right"]].set_visible(False)
