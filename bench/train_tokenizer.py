"""Training a tokenizer beside other trainers: `python bench/train_tokenizer.py [--peer-python PYTHON]`, 15 minutes.

First 15 MB of Japanese (data/text/ja_aozora) to 32,000 merges, from the texts to the merges, the same split for all but
SentencePiece, each in a process of its own: wall and CPU time of the best of three runs, the largest resident size of a
process as the system books it (ru_maxrss), and, in one more run, the peak of it and its children with shared pages
shared out. Then a table of counts as a gigabyte would give (bench/grown_counts.py) to 65,216 merges, ours alone: the
text itself would need about 30 GB in `tokenizers`. Exit code 1 where a goal is missed.

rustbpe is no dependency: `--peer-python` names an interpreter that has it (`pip install rustbpe`), else its row is left
out, and says so.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SEIMAI_DATA", ROOT.parent / "shared" / "data"))
SMALL_MERGES, LARGE_MERGES = 32_000, 65_216
PERIOD_S = 0.02
RSS_UNIT = 1 if sys.platform == "darwin" else 1024
TIMES_FASTER, MEMORY_SHARE = 5.0, 0.25
LARGE_SECONDS, LARGE_BYTES = 15 * 60, 6 * 10**9
REPEATS = 3
WIDTHS = (7, 6, 6, 7, 7, 6, 6, 6)


@dataclass(frozen=True)
class Measured:
    """One run of one trainer."""

    wall_s: float
    cpu_s: float
    resident_bytes: int
    """ru_maxrss: of the largest process, shared pages whole."""
    result: str
    """What the trainer says about its result."""


def texts(path: Path) -> Iterator[str]:
    """Texts of JSON lines, one after the other."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def train_seimai(path: Path, pattern: str, merges: int, *, boundary: bool = True) -> str:
    """`seimai tokenizer train` itself, from its file of texts to its tokenizer.json, in one process.

    All text counts, as it does for the others; `pattern` is its own.
    """
    from seimai.cli import app

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "tokenizer"
        app(
            ["tokenizer", "train", str(path), "--out", str(out), "--vocab-size", str(256 + 64 + merges)]
            + ["--workers", "0", "--host-cap", "0", "--held-out-share", "0"]
            + ([] if boundary else ["--no-boundary"]),
            standalone_mode=False,
        )
        return f"{len(json.loads((out / 'tokenizer.json').read_bytes())['model']['merges']):,} merges"


def train_tokenizers(path: Path, pattern: str, merges: int) -> str:
    """The library whose merges ours equal."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=256 + merges, initial_alphabet=alphabet, show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator(texts(path), trainer)
    return f"{tokenizer.get_vocab_size() - 256:,} merges"


def train_rustbpe(path: Path, pattern: str, merges: int) -> str:
    """nanochat's trainer."""
    import rustbpe

    tokenizer = rustbpe.Tokenizer()
    tokenizer.train_from_iterator(texts(path), 256 + merges, pattern=pattern)
    return f"{tokenizer.vocab_size - 256:,} merges"


def train_sentencepiece(path: Path, pattern: str, merges: int) -> str:
    """BPE of characters with byte fallback over lines; it cuts by white space, script and digits, not by a pattern."""
    import sentencepiece

    with tempfile.TemporaryDirectory() as folder:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(line for text in texts(path) for line in text.split("\n") if line),
            model_prefix=f"{folder}/model", model_type="bpe", vocab_size=256 + merges, byte_fallback=True,
            normalization_rule_name="identity", max_sentence_length=1 << 20, minloglevel=2,
        )  # fmt: skip
        model = sentencepiece.SentencePieceProcessor(model_file=f"{folder}/model.model")
        return f"{model.vocab_size() - 256:,} pieces"


def train_grown(path: Path, pattern: str, merges: int) -> str:
    """From a table of counts, mapped from disk."""
    import pyarrow.feather

    from seimai.tokenizer.bpe import learn_merges

    table = pyarrow.feather.read_table(path, memory_map=True)
    return f"{len(learn_merges(table, merges)):,} merges of {table.num_rows:,} pre-tokens"


TRAINERS = {
    "seimai": train_seimai,
    "seimai, rule off": partial(train_seimai, boundary=False),
    "tokenizers": train_tokenizers,
    "rustbpe": train_rustbpe,
    "sentencepiece": train_sentencepiece,
    "grown": train_grown,
}


def measure(name: str, path: Path, pattern: Path, merges: int, python: str = sys.executable) -> Measured:
    """Run a trainer in a process of its own, unwatched."""
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(_command(name, path, pattern, merges, python), stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise SystemExit(f"{name} failed:\n{errors.read()[-2000:]}")
        result = output.read().strip().splitlines()[-1]
    return Measured(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * RSS_UNIT, result)


def peak_bytes(name: str, path: Path, pattern: Path, merges: int, python: str = sys.executable) -> int:
    """The largest sum of a trainer's memory and its children's, a page that n processes share counted as 1/n each.

    A run of its own: looking so often slows what is looked at.
    """
    import psutil  # here, since the interpreter of a peer may have none

    peak = 0
    with tempfile.TemporaryFile("w+") as output:
        process = psutil.Popen(_command(name, path, pattern, merges, python), stdout=output, stderr=output)
        while process.poll() is None:
            try:
                family = [process, *process.children(recursive=True)]
                peak = max(peak, sum(member.memory_full_info().pss for member in family))
            except psutil.Error:
                continue
            time.sleep(PERIOD_S)
    return peak


def _command(name: str, path: Path, pattern: Path, merges: int, python: str) -> list[str]:
    return [python, __file__, "--child", name, str(path), str(pattern), str(merges)]


def child(name: str, path: str, pattern: str, merges: str) -> None:
    """The measured process."""
    print(TRAINERS[name](Path(path), Path(pattern).read_bytes().decode(), int(merges)))


def versions(peer_python: str) -> str:
    """Machine and packages."""
    found = []
    for package in ("numba", "pyarrow", "tokenizers", "sentencepiece"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} missing")
    command = [peer_python, "-c", "from importlib.metadata import version; print(version('rustbpe'))"]
    rustbpe = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    cpu = next((line.split(": ")[1] for line in _cpuinfo() if line.startswith("model name")), platform.machine())
    return (
        f"{cpu.strip()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, "
        + ", ".join([*found, f"rustbpe {rustbpe or 'missing'}"])
    )


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def small(folder: Path, peer_python: str, repeats: int) -> bool:
    """15 MB of Japanese by every trainer; whether both goals are met."""
    import pyarrow as pa

    from seimai.tokenizer.split import split_pattern

    path, pattern = folder / "texts.jsonl", folder / "pattern"
    with pa.input_stream(str(DATA / "text" / "ja_aozora.dev.jsonl.zst"), compression="zstd") as stream:
        path.write_bytes(stream.read())
    pattern.write_bytes(split_pattern().encode())
    measure("seimai", path, pattern, 100)  # compiles the kernels where they were not yet
    print(f"\n15 MB of Japanese, {SMALL_MERGES:,} merges, texts to merges (best of {repeats})")
    names = ("wall s", "CPU s", "MB", "PSS MB", "wall", "CPU", "MB", "PSS")
    print(f"{'trainer':18}" + "".join(f" {name:>{width}}" for name, width in zip(names, WIDTHS, strict=True)))
    base: tuple[Measured, int] | None = None
    met = True
    for name in ("tokenizers", "seimai", "seimai, rule off", "rustbpe", "sentencepiece"):
        python = peer_python if name == "rustbpe" else sys.executable
        try:
            runs = [measure(name, path, pattern, SMALL_MERGES, python) for _ in range(repeats)]
            peak = peak_bytes(name, path, pattern, SMALL_MERGES, python)
        except SystemExit as error:
            if name not in ("rustbpe", "sentencepiece"):
                raise
            print(f"{name:18} left out: {str(error).strip().splitlines()[-1]}")
            continue
        best = min(runs, key=lambda run: run.wall_s)
        base = base or (best, peak)
        faster, shares = base[0].wall_s / best.wall_s, (best.resident_bytes / base[0].resident_bytes, peak / base[1])
        print(
            f"{name:18} {best.wall_s:7.1f} {best.cpu_s:6.1f} {best.resident_bytes / 1e6:6.0f} {peak / 1e6:7.0f}   "
            f"{faster:4.1f}x {base[0].cpu_s / best.cpu_s:5.1f}x {shares[0]:6.3f} {shares[1]:6.3f}   {best.result}",
            flush=True,
        )
        if name.startswith("seimai"):
            met &= faster >= TIMES_FASTER and max(shares) < MEMORY_SHARE
    return _goal(f"at least {TIMES_FASTER:.0f} times as fast, under {MEMORY_SHARE} of the memory, rule on and off", met)


def large(folder: Path, pattern: Path) -> bool:
    """The grown table; whether both goals are met."""
    import grown_counts

    path = folder / "grown.arrow"
    print()
    grown_counts.main(DATA, path)
    run = measure("grown", path, pattern, LARGE_MERGES)
    print(
        f"grown table: {run.wall_s:.0f} s, CPU {run.cpu_s:.0f} s, peak {run.resident_bytes / 1e6:,.0f} MB: {run.result}"
    )
    return _goal(f"under {LARGE_SECONDS} s", run.wall_s < LARGE_SECONDS) & _goal(
        f"under {LARGE_BYTES / 1e9:.0f} GB", run.resident_bytes < LARGE_BYTES
    )


def _goal(text: str, met: bool) -> bool:
    print(f"goal {'met' if met else 'MISSED'}: {text}")
    return met


def main() -> int:
    """Both parts, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--only", choices=("small", "large"))
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--child", nargs=4, metavar=("NAME", "PATH", "PATTERN", "MERGES"))
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return 0
    print(versions(options.peer_python), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        met = options.only == "large" or small(folder, options.peer_python, options.repeats)
        if options.only != "small":
            pattern = folder / "pattern"
            pattern.touch()
            met &= large(folder, pattern)
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
