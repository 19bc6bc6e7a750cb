"""The commands about decisions: retune, explain, inspect."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from seimai.pipeline.explain import Explanation
    from seimai.pipeline.inspect_run import Case
    from seimai.pipeline.job import RunSummary
    from seimai.pipeline.retune_look import Look, Size
    from seimai.pipeline.run import Engine

__all__ = ["add_decide_commands", "tell_canaries"]

Run = Annotated[Path, typer.Argument(help="Run directory.")]
TEXT_CHARS = 600
"""Characters of a text that are shown unless all are asked for."""


def add_decide_commands(app: typer.Typer) -> None:
    """Put the commands into the command line."""
    app.command(epilog="Example: seimai retune run --set quality.ja.min_chars=200")(retune)
    app.command(epilog="Example: seimai explain run example.org/page")(explain)
    app.command(epilog="Example: seimai inspect run --rule min_chars --near -n 20")(inspect)


def tell_canaries(summary: "RunSummary") -> None:
    """Warn of bad canaries that are kept; raise RunError for good ones that are lost."""
    for warning in summary.canary_warnings:
        typer.echo(f"seimai: warning: {warning}", err=True)
    summary.raise_for_canaries()


def retune(
    run: Run,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="What to change: quality.ja.min_chars=200; repeatable.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write decisions and shards again with it.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Worker processes; 0 works in this one. Default: all cores.")
    ] = None,
) -> None:
    """What other thresholds would keep, from columns alone: a look first, with --apply the corpus itself."""
    from seimai.pipeline.progress import Terminal
    from seimai.pipeline.retune import apply_retune
    from seimai.pipeline.retune import retune as look_at
    from seimai.pipeline.run import Engine
    from seimai.show import console, print_run

    def engine() -> "Engine":
        return Engine(workers=workers)

    overrides = set_ or []
    found = look_at(run, overrides, engine=engine)
    print_look(found.look)
    for note in found.notes:
        typer.echo(f"seimai: {note}", err=True)
    if not apply:
        typer.echo("Nothing is written; --apply makes decisions and shards so.")
        return
    with Terminal(console()) as progress:
        summary = apply_retune(run, overrides, engine=engine(), progress=progress)
    print_run(summary)
    tell_canaries(summary)


def explain(
    run: Run,
    page: Annotated[str, typer.Argument(help="URL, with or without scheme, or id of a document.")],
    text: Annotated[bool, typer.Option("--text", help="The whole text, not its beginning.")] = False,
) -> None:
    """A page's way through the run: every number, its threshold and verdict, its cluster, its text."""
    from seimai.pipeline.explain import explain as explanations

    found = explanations(run, page)
    with _pager():
        for number, one in enumerate(found, 1):
            if len(found) > 1:
                typer.echo(f"== capture {number} of {len(found)}")
            print_explanation(run, one, whole=text)


def inspect(
    run: Run,
    rule: Annotated[str, typer.Option(help="A rule's reason, as min_chars; also duplicate, emptied.")] = "",
    near: Annotated[bool, typer.Option("--near", help="The documents next to the rule's threshold.")] = False,
    lang: Annotated[str, typer.Option(help="Only this language.")] = "",
    n: Annotated[int, typer.Option("-n", min=1, help="Documents of each kind.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random choice.")] = 1,
    search: Annotated[str, typer.Option(help="Only documents with this in text or URL (RE2).")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Also documents that other rules drop.")] = False,
    chars: Annotated[int, typer.Option(min=0, help="Characters of each text; 0 for all.")] = TEXT_CHARS,
) -> None:
    """Read documents on both sides of a rule, or random kept and dropped ones."""
    from seimai.errors import ConfigError
    from seimai.pipeline.inspect_run import inspect_run

    if near and not rule:
        raise ConfigError("--near: next to which threshold? Give --rule, as --rule min_chars")
    groups = inspect_run(run, rule=rule, near=near, lang=lang, count=n, seed=seed, search=search, everything=everything)
    with _pager():
        for group in groups:
            typer.echo(f"== {group.title}: {len(group.cases)} of {group.found:,}\n")
            for case in group.cases:
                _print_case(case, chars)


def print_look(look: "Look") -> None:
    """The tables of a look: old by new, amounts, and the rules."""
    from seimai.show import print_table

    crossed = look.crossed()
    shown = {lang: row for lang, row in crossed.items() if row[:3] != (0, 0, 0)}
    rest = sum(row[3] for lang, row in crossed.items() if lang not in shown)
    rows = [(lang or "none", *row) for lang, row in shown.items()] + ([("others", 0, 0, 0, rest)] if rest else [])
    print_table(f"{look.documents:,} documents, old by new", ["language", "kept by both", "old only", "new only",
                "dropped by both"], rows)  # fmt: skip
    langs = sorted(look.old.keys() | look.new.keys())
    print_table(
        "Kept (tokens are estimated from bytes)",
        ["language", "", "old", "new", "change"],
        [row for lang in langs for row in _amounts(lang, look.old.get(lang), look.new.get(lang))],
    )
    moved = sorted(((n, *key) for key, n in look.moves.items() if key[1] != key[2]), key=lambda row: (-row[0], row[1:]))
    if moved:
        print_table("Other verdicts", ["language", "old", "new", "documents"], [(*row[1:], row[0]) for row in moved])
    print_table(
        "Every rule now: drops first, is broken, drops alone; what comes back without it, copies left out",
        ["language", "rule", "first", "broken", "alone", "back", "characters"],
        [
            (e.lang, e.reason, e.first, e.breaks, e.alone.documents, e.back.documents, e.back.chars)
            for e in look.effects
        ],
    )


def _amounts(lang: str, old: "Size | None", new: "Size | None") -> Iterator[tuple[object, ...]]:
    """Rows of a language: documents, characters, tokens."""
    from seimai.pipeline.retune_look import Size

    before, after = old or Size(), new or Size()
    pairs = {
        "documents": (before.documents, after.documents),
        "characters": (before.chars, after.chars),
        "tokens": (before.tokens(lang), after.tokens(lang)),
    }
    for name, (was, now) in pairs.items():
        yield lang, name, was, now, f"{now / was - 1:+.1%}" if was else ""


def print_explanation(run: Path, one: "Explanation", *, whole: bool) -> None:
    """One capture, stage by stage."""
    for line in _explained_lines(run, one):
        typer.echo(line)
    if one.text is None:
        page = one.document
        typer.echo(f"text         not kept; its record is in {page['warc_file']} at offset {page['warc_offset']}")
    else:
        typer.echo("text\n")
        typer.echo(_shortened(one.text, 0 if whole else TEXT_CHARS))
    typer.echo("")


def _explained_lines(run: Path, one: "Explanation") -> Iterator[str]:
    """The path through the stages, a line each."""
    page = one.document
    yield f"url          {page['url']}"
    yield f"id           {page['id']}  ({page['split']})"
    yield f"archive      {page['warc_file']} at offset {page['warc_offset']}, {page['date']}"
    yield f"part         {one.part}"
    if page["charset_used"]:
        declared = f", declared {page['charset_declared']}" if page["charset_declared"] else ""
        broken = f", {page['n_replaced']} characters replaced" if page["n_replaced"] else ""
        yield f"charset      {page['charset_used']} by {page['charset_source']}{declared}{broken}"
    if page["lang"]:
        second = f"; then {page['lang_2nd']} {page['lang_2nd_score']:.3f}" if page["lang_2nd"] else ""
        asked = f"gates ask for {one.thresholds['languages']} from {one.thresholds['min_lang_score']}"
        yield f"language     {page['lang']} {page['lang_score'] or 0:.3f}{second}  ({asked})"
    if page["gate"]:
        yield f"gate         {page['gate']} stopped it: {page['gate_value']}"
    else:
        yield "gates        passed"
    yield (
        f"cleaning     {len(one.cut)} cuts, {one.n_chars} characters left"
        if one.text is not None
        else "cleaning     none"
    )
    yield from (f"             {piece[:100]}" for piece in one.cut)
    for rule in one.rules:
        value = "not measured" if rule.value is None else f"{rule.value:g}"
        verdict = "DROPS" if rule.broken else "ok"
        yield f"rule         {verdict:5}  {rule.reason}: {rule.column} = {value}, asked {rule.keep} {rule.threshold:g}"
    yield from _cluster_lines(one)
    if one.kept:
        yield f"verdict      kept, in {one.shard or 'no shard yet'}"
    else:
        others = f"; also {', '.join(one.reasons[1:])}" if len(one.reasons) > 1 else ""
        yield f"verdict      dropped by {one.reason}{others}"


def _cluster_lines(one: "Explanation") -> Iterator[str]:
    if one.cluster is None:
        yield "cluster      none: it was compared with nothing"
        return
    if one.cluster_size == 1:
        yield "cluster      alone, no near-duplicate"
        return
    rank = "not ranked, as a rule drops it" if one.cluster_rank is None else f"rank {one.cluster_rank} (0 is the best)"
    yield f"cluster      {one.cluster}, {one.cluster_size} documents; {rank}"
    if one.cluster_former:
        yield f"index        {one.cluster_former} of them passed their rules in former dumps; those stay"
    for best in one.survivors:
        who = "this one" if best.id == one.document["id"] else f"{best.id} {best.url}"
        score = f", quality {best.quality:.3f}" if best.quality is not None else ""
        yield f"survivor     {who}: {best.n_chars} characters, {best.date}{score}"
    if not one.kept and one.reason == "duplicate":
        yield "             (highest quality, then longest, newest, smallest id survives)"


def _print_case(case: "Case", chars: int) -> None:
    value = "" if case.value is None else f"{case.value:g}  "
    verdict = f"dropped by {', '.join(case.reasons)}" if case.reasons else "kept"
    typer.echo(f"-- {value}{verdict}  {case.url}  {case.id}")
    typer.echo(f"{_shortened(case.text, chars)}\n")


def _shortened(text: str, chars: int) -> str:
    """The beginning and the end of a text, with how much is left out between.

    >>> _shortened("abcdefghij", 4), _shortened("abc", 0)
    ('abc\\n[… 6 characters …]\\nj', 'abc')
    """
    if chars == 0 or len(text) <= chars:
        return text
    head = chars - chars // 4
    return f"{text[:head]}\n[… {len(text) - chars:,} characters …]\n{text[len(text) - (chars - head) :]}"


@contextmanager
def _pager() -> Iterator[None]:
    """What is written meanwhile goes through the pager of a terminal, and straight on where there is none."""
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        yield
        return
    import io
    import pydoc
    from contextlib import redirect_stdout

    written = io.StringIO()
    with redirect_stdout(written):
        yield
    pydoc.pager(written.getvalue())
