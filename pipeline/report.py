"""The report of a run: one offline HTML page with the funnel, and the same funnel as rows for the terminal."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from seimai.files import write_atomic

from .bands import curve_svg, describe_bands
from .canaries import CanaryVerdict
from .dedup import DedupConfig
from .gates import GATES

__all__ = ["funnel", "write_report"]

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;border-bottom:1px solid #ddd;"
    "text-align:left}td.n{text-align:right;font-variant-numeric:tabular-nums}"
    ".bar{display:inline-block;height:.7rem;background:#7a9}"
)


_CLUSTERED = {
    "documents": "documents compared",
    "same_text": "of them with the text of an earlier one",
    "same_url": "of them with the URL of an earlier one",
    "compared": "candidates compared by exact Jaccard",
    "cut": "of them turned away by the first of their bucket, to be regrouped",
}


def funnel(totals: dict[str, Any]) -> list[tuple[str, str, str, int]]:
    """Rows of stage, reason, language and documents, from the pages read to the documents kept."""
    read = totals["read"].get("documents", 0)
    rows = [("read", "pages read", "", read)]
    gates = [(lang, reason, count) for lang, reason, count in totals["reasons"] if reason in GATES]
    for gate in GATES:
        count = sum(c for _, reason, c in gates if reason == gate)
        if count:
            rows.append(("gate", gate, "", count))
    rest = [(lang, reason, count) for lang, reason, count in totals["reasons"] if reason not in GATES]
    for lang, reason, count in sorted(rest, key=lambda row: (row[0], -row[2], row[1])):
        if reason not in ("kept", "duplicate", "in_index"):
            rows.append(("quality", reason, lang, count))
    for copy in ("duplicate", "in_index"):
        rows += [("duplicate", copy, lang, count) for lang, reason, count in rest if reason == copy]
    rows += [("kept", "kept", lang, count) for lang, reason, count in rest if reason == "kept"]
    return rows


def write_report(
    run: Path, head: dict[str, Any], dedup: DedupConfig | None = None, canaries: Sequence[CanaryVerdict] = ()
) -> None:
    """Write `report.html`; with the section [dedup], what its bands find; with canaries, what became of them."""
    totals = head["totals"]
    rows = funnel(totals)
    most = max(1, rows[0][3])
    lines = "".join(
        f"<tr><td>{escape(stage)}</td><td title='{escape(GATES.get(reason, ''))}'>{escape(reason)}</td>"
        f"<td>{escape(lang)}</td><td class=n>{count:,}</td>"
        f"<td><span class=bar style='width:{300 * count / most:.0f}px'></span></td></tr>"
        for stage, reason, lang, count in rows
    )
    kept = "".join(
        f"<tr><td>{escape(lang)}</td><td class=n>{sums['documents']:,}</td><td class=n>{sums['chars']:,}</td>"
        f"<td class=n>{sums['bytes']:,}</td></tr>"
        for lang, sums in totals["kept"].items()
    )
    counted = "".join(
        f"<tr><td>{escape(name)}</td><td class=n>{count:,}</td></tr>" for name, count in totals["read"].items() if count
    )
    clustered = "".join(
        f"<tr><td>{escape(text)}</td><td class=n>{totals.get('clusters', {}).get(name, 0):,}</td></tr>"
        for name, text in _CLUSTERED.items()
    )
    failed = "".join(f"<li>{escape(f['part'])}: {escape(f['error'])}</li>" for f in head["failed_parts"])
    write_atomic(
        run / "report.html",
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Seimai run</title><style>{_STYLE}</style>"
        f"<h1>Seimai run</h1><p>seimai {escape(head['seimai'])}, {len(head['inputs']):,} archives</p>"
        f"<h2>Funnel</h2><table><tr><th>stage<th>reason<th>language<th>documents<th></tr>{lines}</table>"
        f"<h2>Kept</h2><table><tr><th>language<th>documents<th>characters<th>bytes</tr>{kept}</table>"
        f"{_bands(dedup) if dedup else ''}"
        f"{_alone(totals.get('alone', []))}"
        f"{_cut(totals.get('cut', []))}"
        f"{_masked(totals.get('masked', {}))}"
        f"<h2>Duplicates</h2><table>{clustered}</table>"
        f"<h2>Counted while reading</h2><table>{counted}</table>"
        + (f"<h2>Parts that failed</h2><ul>{failed}</ul>" if failed else "")
        + _canaries(canaries)
        + "</html>\n",
    )


def _bands(dedup: DedupConfig) -> str:
    """The section on near-duplicates: the line of the log and the S-curve."""
    line = describe_bands(dedup.shape, dedup.threshold, dedup.verify)
    picture = curve_svg({dedup.preset or "chosen": dedup.shape}, dedup.threshold)
    return f"<h2>Near-duplicates</h2><p>{escape(line)}</p>{picture}"


def _masked(counts: dict[str, int]) -> str:
    """The section on personal data masked in the shards; empty where there was none."""
    lines = "".join(f"<tr><td>{escape(kind)}</td><td class=n>{count:,}</td></tr>" for kind, count in counts.items())
    return f"<h2>Masked in the shards</h2><table>{lines}</table>" if lines else ""


def _alone(rows: list[list[Any]]) -> str:
    """The section on what each rule alone costs; empty where no rule drops a document that nothing else drops."""
    of_rules = sorted((row for row in rows if row[1] not in GATES), key=lambda row: (row[0], -row[2], row[1]))
    lines = "".join(
        f"<tr><td>{escape(lang)}</td><td>{escape(reason)}</td><td class=n>{count:,}</td></tr>"
        for lang, reason, count in of_rules
    )
    head = "<h2>Dropped by one rule alone</h2><table><tr><th>language<th>rule<th>documents</tr>"
    return f"{head}{lines}</table>" if of_rules else ""


def _canaries(verdicts: Sequence[CanaryVerdict]) -> str:
    """The section on documents whose fate is known; empty where none were sent."""
    lines = "".join(
        f"<tr><td>{escape(v.name)}</td><td>{'good' if v.good else 'bad'}</td><td>{'WRONG' if v.wrong else 'right'}</td>"
        f"<td>{escape(v.reason or 'kept')} {escape(v.detail)}</td></tr>"
        for v in verdicts
    )
    return f"<h2>Canaries</h2><table><tr><th>canary<th>is<th>verdict<th></tr>{lines}</table>" if verdicts else ""


def _cut(rows: list[list[Any]]) -> str:
    """The section on what cleaning cut from the texts; empty where it cut nothing."""
    lines = "".join(
        f"<tr><td>{escape(step.replace('_', ' '))}</td><td>{escape(reason)}</td><td class=n>{edits:,}</td>"
        f"<td class=n>{chars:,}</td></tr>"
        for step, reason, edits, chars in rows
    )
    head = "<h2>Cut from the texts</h2><table><tr><th>step<th>reason<th>lines<th>characters</tr>"
    return f"{head}{lines}</table>" if rows else ""
