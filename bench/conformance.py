"""How often our presets decide as the systems they are from, rule by rule: one table a preset, exit code 1 below 99 %.

    python bench/conformance.py --peer datatrove=PYTHON --peer dolma=PYTHON --peer hojichar=PYTHON [--data FOLDER]

PYTHON is the interpreter of an environment that holds the peer (docs/presets.md says how to make them); `peer_rules.py`
runs in it. Texts are those of `edge_texts.py`; with --data also those of the shared data, and with --run the documents
of a run directory. --golden writes tests/golden/conformance_<peer>.json.gz from the texts of this repository alone.
About 4 minutes with --data and --run.
"""

import argparse
import gzip
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq
from edge_texts import WORD_LISTS, edge_texts

from seimai.pipeline.edits import edited_texts
from seimai.pipeline.line_rules import line_edits, rules_of
from seimai.pipeline.measure import signals
from seimai.pipeline.presets import QualityConfig, preset, rules, verdicts
from seimai.pipeline.signal_columns import groups_of
from seimai.pipeline.wordlists import ListConfig, WordList, open_list

ROOT = Path(__file__).resolve().parents[1]
LEAST = 0.99
PRESETS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "datatrove": (("gopher@datatrove", "en"), ("fineweb", "en"), ("c4", "en"), ("fineweb2-ja", "ja")),
    "dolma": (("gopher@dolma", "en"),),
    "hojichar": (("hojichar-ja", "ja"), ("llmjp-v1", "ja")),
    "uniseg": (("refinedweb", "en"),),
}
"""Peer: the presets it is the original of, and the language they are asked in."""
CLEANED = ("c4",)
"""Presets whose original cuts lines first and asks its rules of what is left, in one filter."""
SAMPLES = {"en_wikipedia_kyoto": 300, "en_books": 60, "en_wikitext2": 60, "en_tanaka_sentences": 30,
           "ja_wikipedia_kyoto": 300, "ja_aozora": 30, "ja_tanaka_sentences": 30}  # fmt: skip
LONGEST = 30000
"""Characters of a text; longer ones are cut, for the peers' sake."""


def decisions(
    python: str, peer: str, asked: Sequence[tuple[str, str]], lists: Path
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The peer's header and, a text (language, text) each, the rules it breaks by preset."""
    of_lang = {lang: [name for name, of in PRESETS[peer] if of == lang] for lang in ("ja", "en")}
    lines = [json.dumps({"text": text, "presets": of_lang[lang]}) for lang, text in asked]
    command = [python, str(ROOT / "bench" / "peer_rules.py"), peer, str(lists)]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{peer}: {done.stderr[-2000:]}")
    header, *found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return header, found


def word_lists(folder: Path, name: str) -> dict[str, WordList]:
    """The lists of a folder as the original of a preset reads them."""
    # llm-jp takes katakana words only by themselves, but for advertisements; HojiChar's defaults take them anywhere.
    return {
        kind: open_list(
            ListConfig(
                path=str(folder / f"{kind}.txt"),
                order="listed",
                whole_katakana=name == "llmjp-v1" and kind != "ad",
                whole_latin=False,
            )
        )
        for kind in WORD_LISTS
    }


def compare(
    name: str, lang: str, texts: Sequence[str], theirs: Sequence[Sequence[str]], reasons: Sequence[str], lists: Path
) -> bool:
    """Print the table of one preset over these texts; whether every rule and the verdict agree often enough."""
    asked = [rule for rule in rules(QualityConfig(preset=name)) if rule.reason in reasons]
    groups = groups_of(rule.column for rule in asked)
    if name in CLEANED:
        documents = pa.table({"id": [str(n) for n in range(len(texts))], "text": texts, "lang": [lang] * len(texts)})
        texts = edited_texts(documents, [line_edits(documents, {lang: rules_of(preset(name).cleaning)})])
    table = signals(texts, lang, groups=groups, lists=word_lists(lists, name) if "words" in groups else None)
    ours = verdicts(table, asked)["reasons"].to_pylist()
    print(f"\n{name}: {len(texts)} texts\n  {'rule':32} {'ours':>6} {'theirs':>6} {'differ':>6} {'agree':>8}")
    enough = True
    for rule in asked:
        a, b = [rule.reason in row for row in ours], [rule.reason in row for row in theirs]
        differ = sum(x != y for x, y in zip(a, b, strict=True))
        agree = 1 - differ / len(texts)
        enough &= agree >= LEAST
        print(f"  {rule.reason:32} {sum(a):6} {sum(b):6} {differ:6} {agree:8.2%}{'' if agree >= LEAST else '  <'}")
    names = {rule.reason for rule in asked}
    same = sum(bool(x) == bool(names & set(y)) for x, y in zip(ours, theirs, strict=True)) / len(texts)
    print(f"  {'kept or dropped':32} {'':20} {same:8.2%}{'' if same >= LEAST else '  <'}")
    return enough and same >= LEAST


def write_lists(folder: Path, data: Path | None) -> Path:
    """Word lists by kind in a folder: HojiChar's from the shared data, or ours of harmless words."""
    folder.mkdir()
    for kind, words in WORD_LISTS.items():
        name = "advertisement" if kind == "ad" else kind
        source = data / "lists" / f"hojichar_{name}_keywords_ja.txt" if data else None
        text = source.read_text(encoding="utf-8") if source else "\n".join(words)
        (folder / f"{kind}.txt").write_text(text, encoding="utf-8")
    return folder


def shared_texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Language and text of samples of the shared data."""
    for name, many in SAMPLES.items():
        with pa.input_stream(str(folder / "text" / f"{name}.dev.jsonl.zst"), compression="zstd") as stream:
            texts = pyarrow.json.read_json(stream)["text"].to_pylist()
        for text in texts[:: max(1, len(texts) // many)]:
            yield name[:2], text[:LONGEST]


def run_texts(run: Path) -> Iterator[tuple[str, str]]:
    """Language and text of a run's documents, the dropped ones too."""
    for path in sorted((run / "documents").glob("*.parquet")):
        for row in pq.read_table(path, columns=["lang", "text"]).to_pylist():
            if row["text"] and row["lang"] in ("ja", "en"):
                yield row["lang"], row["text"][:LONGEST]


def write_golden(peer: str, header: dict[str, Any], asked: Sequence[tuple[str, str]], found: Sequence[Any]) -> None:
    """Texts and the peer's decisions, for the tests, which have no peers."""
    texts = [{"lang": lang, "text": text, "broken": broken} for (lang, text), broken in zip(asked, found, strict=True)]
    data = json.dumps({**header, "lists": WORD_LISTS, "texts": texts}, ensure_ascii=False, sort_keys=True)
    path = ROOT / "tests" / "golden" / f"conformance_{peer}.json.gz"
    path.write_bytes(gzip.compress(data.encode(), 9, mtime=0))
    print(f"{path}: {len(texts)} texts, {path.stat().st_size:,} bytes")


def main() -> int:
    """Compare with every peer that was given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="append", default=[], help="name=path of its python; repeatable")
    parser.add_argument("--data", type=Path, help="folder of the shared data")
    parser.add_argument("--run", type=Path, help="run directory whose documents are asked too")
    parser.add_argument("--golden", action="store_true", help="write the golden files of the tests")
    options = parser.parse_args()
    own = [(lang, text) for lang in ("ja", "en") for text in edge_texts(lang)]
    outside = [*(shared_texts(options.data) if options.data else ()), *(run_texts(options.run) if options.run else ())]
    print(f"Python {platform.python_version()}, {platform.machine()}; {len(own)} texts of ours, {len(outside)} others")
    with tempfile.TemporaryDirectory() as folder:
        kinds = [("texts of this repository", own, write_lists(Path(folder) / "own", None))]
        if outside:
            kinds.append(("texts from outside", outside, write_lists(Path(folder) / "outside", options.data)))
        met = [
            _compare_peer(given, kind, texts, lists, golden=options.golden and texts is own)
            for given in options.peer
            for kind, texts, lists in kinds
        ]
    return 0 if all(met) else 1


def _compare_peer(given: str, kind: str, texts: Sequence[tuple[str, str]], lists: Path, *, golden: bool) -> bool:
    """Ask one peer (name=python) about texts and print the table of each of its presets."""
    peer, _, python = given.partition("=")
    langs = {lang for _, lang in PRESETS[peer]}
    asked = [(lang, text) for lang, text in texts if lang in langs]
    header, found = decisions(python, peer, asked, lists)
    print(f"\n=== {peer} {header['version']}, {kind}")
    if golden:
        write_golden(peer, header, asked, found)
    enough = True
    for name, lang in PRESETS[peer]:
        chosen = [(text, row[name]) for (of, text), row in zip(asked, found, strict=True) if of == lang]
        enough &= compare(name, lang, *map(list, zip(*chosen, strict=True)), header["rules"][name], lists)
    return enough


if __name__ == "__main__":
    sys.exit(main())
