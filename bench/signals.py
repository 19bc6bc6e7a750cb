"""Speed of the signals on one core, beside datatrove's: `python bench/signals.py [FOLDER]` (about 4 minutes).

FOLDER holds the running text (default: ../shared/data/text, or text under SEIMAI_DATA). CPU time, best of three, whole
files; groups that a preset must switch on have rows of their own. datatrove runs in its environment PEERS/datatrove
(`--peers`, default build/peers; `pip install 'datatrove[processing,io]' lxml_html_clean spacy SudachiPy
sudachidict_core`): its rules compute their numbers with words cut once, on 40 documents.
Exit code 1 when a goal is missed.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.json

from seimai.pipeline.measure import signals
from seimai.pipeline.wordlists import ListConfig, open_list

ROOT = Path(__file__).resolve().parents[1]
FILES = ("ja_aozora", "ja_wikipedia_kyoto", "en_books", "en_wikipedia_kyoto")
GOALS = {"ja": 40.0, "en": 30.0}
"""MB of UTF-8 per second and core, the core group, both files of a language together."""
GROUPS = ("space", "datatrove", "sudachi", "unidic", "zstd", "zlib", "bbs", "words")
PEER_TEXTS = 40

PEER = """
import json, sys, time
from datatrove.data import Document
from datatrove.pipeline.filters.gopher_repetition_filter import GopherRepetitionFilter
from datatrove.pipeline.filters.gopher_quality_filter import GopherQualityFilter
from datatrove.pipeline.filters.fineweb_quality_filter import FineWebQualityFilter
from datatrove.utils.typeshelper import Languages

def main():
    lang = {"ja": Languages.japanese, "en": Languages.english}[sys.argv[1]]
    texts = json.load(sys.stdin)
    # No rule may end the chain early: every text is asked everything, as a table of signals would need.
    kinds = (GopherRepetitionFilter, GopherQualityFilter, FineWebQualityFilter)
    rules = [kind(language=lang) for kind in kinds]
    for rule in rules:
        rule.filter(Document(text=texts[0], id="warm"))
    start = time.process_time()
    for number, text in enumerate(texts):
        document = Document(text=text, id=str(number))
        for rule in rules:
            rule.filter(document)
    print(json.dumps(time.process_time() - start))

if __name__ == "__main__":
    main()
"""


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """CPU seconds of the best of some runs."""
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def texts_of(folder: Path, name: str) -> pa.Array:
    """The texts of a file of running text."""
    with pa.input_stream(folder / f"{name}.dev.jsonl.zst", compression="zstd") as stream:
        return pyarrow.json.read_json(stream)["text"].cast(pa.large_string()).combine_chunks()


def megabytes(texts: pa.Array) -> float:
    return sum(len(text.as_buffer()) for text in texts) / 1e6


def datatrove_speed(peers: Path, lang: str, texts: Sequence[str]) -> float | str:
    """MB/s of datatrove's rules, or why there is no figure."""
    python = peers / "datatrove" / "bin" / "python"
    if not python.exists():
        return "not installed"
    run = subprocess.run(
        [str(python), "-c", PEER, lang], input=json.dumps(texts), capture_output=True, text=True, check=False
    )
    if run.returncode:
        return f"failed: {run.stderr.strip().splitlines()[-1][:60]}"
    return sum(len(text.encode()) for text in texts) / 1e6 / float(run.stdout.strip().splitlines()[-1])


def core_rows(folder: Path, peers: Path) -> list[bool]:
    """One row a file: ours, datatrove's, the ratio; whether each language reaches its goal."""
    print(f"{'file':22}{'MB':>7}{'seimai MB/s':>13}{'datatrove MB/s':>17}{'ratio':>8}")
    spent: dict[str, list[float]] = {lang: [0.0, 0.0] for lang in GOALS}
    for name in FILES:
        texts, lang = texts_of(folder, name), name[:2]
        size, took = megabytes(texts), seconds(lambda texts=texts, lang=lang: signals(texts, lang))
        spent[lang][0] += size
        spent[lang][1] += took
        some = texts.slice(0, PEER_TEXTS).to_pylist()
        peer = datatrove_speed(peers, lang, some)
        shown = f"{peer:17.2f}{size / took / peer:8.0f}" if isinstance(peer, float) else f"{peer:>17}"
        print(f"{name:22}{size:7.1f}{size / took:13.1f}{shown}", flush=True)
    met = []
    for lang, goal in GOALS.items():
        speed = spent[lang][0] / spent[lang][1]
        met.append(speed >= goal)
        print(f"{lang}: {speed:.1f} MB/s, goal {goal:.0f}: {'met' if met[-1] else 'MISSED'}")
    return met


def group_rows(folder: Path) -> None:
    """One row a group, on a slice: what it costs beside the core."""
    print(f"\n{'group beside the core':22}{'ja MB/s alone':>15}{'en MB/s alone':>15}")
    samples = {
        "ja": texts_of(folder, "ja_wikipedia_kyoto").slice(0, 800),
        "en": texts_of(folder, "en_books").slice(0, 150),
    }
    base = {lang: seconds(lambda t=t, lang=lang: signals(t, lang)) for lang, t in samples.items()}
    found = folder.parent / "lists" / "hojichar_adult_keywords_ja.txt"
    lists = {"adult": open_list(ListConfig(path=str(found)))} if found.exists() else {}
    for group in GROUPS:
        cells = []
        for lang, texts in samples.items():
            few = texts.slice(0, 40) if group in ("sudachi", "unidic") else texts
            core = seconds(lambda few=few, lang=lang: signals(few, lang)) if few is not texts else base[lang]
            try:
                signals(few.slice(0, 1), lang, groups=[group], lists=lists)
                took = seconds(lambda f=few, lang=lang, g=group: signals(f, lang, groups=[g], lists=lists))
            except Exception as error:
                cells.append(f"{type(error).__name__:>15}")
                continue
            cells.append(f"{megabytes(few) / max(took - core, 1e-4):15.1f}")
        print(f"{group:22}{''.join(cells)}", flush=True)


def cold_seconds() -> float:
    """CPU seconds of the first call with an empty numba cache."""
    program = (
        "import time; from seimai.pipeline.measure import signals; start = time.process_time()\n"
        "signals(['a'], 'en'); print(time.process_time() - start)"
    )
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        run = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
    return float(run.stdout)


def main() -> int:
    """Both tables; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(os.environ.get("SEIMAI_DATA", ROOT.parent / "shared" / "data")) / "text"
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    parser.add_argument("--peers", type=Path, default=Path("build/peers"))
    options = parser.parse_args()
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "pyarrow"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}")
    print(f"first call with an empty cache: {cold_seconds():.1f} s of CPU\n")
    for lang in GOALS:
        signals(["compiles the kernels first"], lang)
    met = core_rows(options.folder, options.peers)
    group_rows(options.folder)
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
