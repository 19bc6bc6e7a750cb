"""The folder of a training in; one HTML page out that shows how it went and needs nothing but itself."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from seimai.errors import ConfigError, RunError
from seimai.files import read_json, write_atomic

from .position_report import table_markdown
from .training_figures import MOST_GROUPS, draw_lengths, draw_positions, draw_training, embedded
from .training_samples import read_samples, write_samples
from .training_series import TrainingLog, read_training

__all__ = ["write_train_report"]

MOST_SPIKES = 50
MOST_DOCUMENTS = 10
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;border-bottom:1px solid #ddd;"
    "text-align:left;vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}"
    "td.t{white-space:pre-wrap;overflow-wrap:break-word}"
)
# The browser itself then refuses whatever would come from elsewhere.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline' blob:; img-src data: blob:; "
    "font-src data:"
)


def write_train_report(
    folder: Path, out: Path | None = None, *, prompts: Sequence[str] = (), positions: Path | None = None
) -> Path:
    """Write the page of a training, running or finished, or of a comparison of positions; where it stands now.

    `folder` is the --out of `seimai train` or of `seimai compare-positions`; the page is `out`, or report.html there.
    The checkpoints that are kept go on from `prompts` (`write_samples`). `positions` is the folder of a comparison to
    show as well; that of which the training is a part is found by itself. The same logs give the same bytes with one
    version of Bokeh. RunError where there is nothing to show, ConfigError where Bokeh is not installed.
    """
    compared = _positions_file(folder, positions)
    trained = (folder / "metrics.jsonl").is_file() or compared is None
    log = read_training(folder) if trained else None
    if prompts and log is None:
        raise RunError(f"--prompt: {folder} holds no training of its own; give the folder of one, such as rope/seed-0")
    script = _bokeh_script()
    figures: list[dict[str, Any]] = []
    body = ""
    if log is not None:
        figures.append(embedded(draw_training(log), "training"))
        body += _head(folder, log) + "<div id=training></div>" + _groups_left_out(log) + _spikes(folder, log)
        body += _samples(write_samples(folder, prompts) if prompts else read_samples(folder))
        if log.lengths:
            figures.append(embedded(draw_lengths(log.lengths), "lengths"))
            body += "<h2>Length extrapolation</h2><div id=lengths></div>"
    if compared is not None:
        facts = read_json(compared)
        figures.append(embedded(draw_positions(facts), "positions"))
        body += _positions(facts)
    # In a script element only "</" and "<!--" end or change anything; JSON can write "<" otherwise.
    plain = json.dumps(figures, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    path = out or folder / "report.html"
    write_atomic(
        path,
        f"<!doctype html><html lang=en><meta charset=utf-8>"
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escape(folder.name)}: training</title><style>{STYLE}</style><h1>{escape(folder.name)}</h1>{body}"
        f'<script type="application/json" id=figures>{plain}</script>\n<script>{script}</script>\n'
        "<script>for (const item of JSON.parse(document.getElementById('figures').textContent)) "
        "Bokeh.embed.embed_item(item)</script></html>\n",
    )
    return path


def _positions_file(folder: Path, positions: Path | None) -> Path | None:
    """positions.json of the folder asked for, else of `folder` itself or of the comparison that it is a part of."""
    if positions is not None:
        if not (positions / "positions.json").is_file():
            raise RunError(f"--positions {positions}: no positions.json; give the --out of `seimai compare-positions`")
        return positions / "positions.json"
    whole = folder.resolve()
    places = [whole] if len(whole.parents) < 2 else [whole, whole.parents[1]]
    return next((place / "positions.json" for place in places if (place / "positions.json").is_file()), None)


def _bokeh_script() -> str:
    """The JavaScript of Bokeh's figures without widgets, tables and formulas, which nothing here uses."""
    try:
        from bokeh.resources import Resources
    except ImportError:
        raise ConfigError("train-report: bokeh is not installed; pip install 'seimai[report]'") from None
    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw).replace("</script", "<\\/script")


def _head(folder: Path, log: TrainingLog) -> str:
    """What was trained and how far it is."""
    order = read_json(folder / "order.json") if (folder / "order.json").exists() else {}
    loss = log.columns["loss"]
    rows = [
        ("steps", f"{log.steps:,}{'' if (folder / 'final' / 'config.json').is_file() else ', not finished'}"),
        ("targets trained on", f"{log.tokens:,}"),
        ("loss of the first and last step", f"{loss[0]:.4f}, {loss[-1]:.4f} nats a token"),
        ("data set", str(order.get("data", "not known"))),
        ("spikes", f"{len(log.spikes):,}"),
    ]
    for lang, (_, bits) in log.held_out.items():
        rows.append((f"held-out bits per byte, {lang}", f"{bits[0]:.4f} at first, {bits[-1]:.4f} at last"))
    return _table(["", ""], rows) + (
        "<p>Drag to move along the steps, or choose the box to zoom; a click on a name in a legend hides its line."
        " Crosses are spikes.</p>"
    )


def _groups_left_out(log: TrainingLog) -> str:
    left = {grouping: len(groups) - MOST_GROUPS for grouping, groups in log.by.items() if len(groups) > MOST_GROUPS}
    return "".join(
        f"<p>By {escape(grouping)} the {MOST_GROUPS} with most targets are drawn; {count:,} are not.</p>"
        for grouping, count in left.items()
    )


def _spikes(folder: Path, log: TrainingLog) -> str:
    """The documents of the batch of every spike, those with the highest loss first."""
    shown = "".join(_spike(spike) for spike in log.spikes[-MOST_SPIKES:])
    left = len(log.spikes) - MOST_SPIKES
    more = f"<p>The last {MOST_SPIKES} of {len(log.spikes):,}; all stand in spikes/.</p>" if left > 0 else ""
    return f"<h2>Spikes</h2>{more}{shown}" if shown else ""


def _spike(spike: Mapping[str, Any]) -> str:
    documents = spike["documents"]
    rows = [
        (
            "not finite" if each["loss"] is None else f"{each['loss']:.3f}",
            f"{each['targets']:,}",
            each.get("lang", ""),
            each.get("source", ""),
            each.get("url", each["id"]),
            f"{each.get('warc_file', '')} {each.get('warc_offset', '')}".strip(),
        )
        for each in documents[:MOST_DOCUMENTS]
    ]
    names = ["loss", "targets", "language", "source", "document", "archive and byte"]
    what = "its rows were skipped" if spike["rows_skipped"] else "its rows were trained on"
    return (
        f"<details><summary>step {spike['step']:,}: {escape(spike['reason'])}; {what}</summary>"
        f"<p>{min(len(documents), MOST_DOCUMENTS)} of {len(documents):,} documents of the batch, the highest loss first"
        f" (spikes/step-{spike['step']:08d}.json).</p>{_table(names, rows)}</details>"
    )


def _samples(samples: Sequence[Mapping[str, Any]]) -> str:
    rows = [(each["prompt"], f"{each['step']:,}", each["prompt"] + each["text"]) for each in samples]
    return f"<h2>Samples over time</h2>{_table(['prompt', 'step', 'text'], rows)}" if rows else ""


def _positions(facts: Mapping[str, Any]) -> str:
    """The table of positions.md and the place of its figures."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table_markdown(facts).splitlines()]
    return (
        f"<h2>Kinds of positions</h2><p>{facts['seeds']} trainings of each kind on rows of {facts['row_tokens']:,} "
        f"tokens; {facts['documents']:,} held-out documents, {facts['windows']:,} long windows. Cells are mean "
        f"± standard deviation over seeds, losses in nats.</p>{_table(lines[0], lines[2:])}<div id=positions></div>"
    )


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}" for name in names)
    lines = "".join(f"<tr>{''.join(f'<td class=t>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{f'<tr>{head}</tr>' if any(names) else ''}{lines}</table>"
