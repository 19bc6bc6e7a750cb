"""Repeated lines against brute force in plain Python, however the documents are cut into parts, files and ranges."""

import itertools
import random
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seimai.errors import RunError
from seimai.pipeline import repeated_lines
from seimai.pipeline.cleaning import CleaningConfig
from seimai.pipeline.document import DOCUMENT_COLUMNS, document_id, schema
from seimai.pipeline.edits import apply_edits, edit_path, join_spans, read_edits
from seimai.pipeline.line_rules import line_edits, rules_of
from seimai.pipeline.order import Batch, Entry
from seimai.pipeline.repeated_lines import Search, edits_of_batch, split_batch

Row = dict[str, Any]
RULES = {"ja": rules_of(["web-ja"]), "en": rules_of(["web-en"])}


def corpus(count: int, seed: int) -> list[Row]:
    """Pages of a few hosts: templates at both ends and inside, copied paragraphs, and pages that are only template."""
    chosen = random.Random(seed)
    prose = [
        f"段落{n}は第{n}の話で、精米とは玄米から糠を取り除くことだと書いてあり、それだけである。" for n in range(60)
    ]
    templates = {
        "a.example": (
            ["サイト名", "メニュー A | B"],
            ["Ｃｏｍｐａｎｙ　案内", "精米所の案内", "地図"],
            ["フッター", "電話 03-1234-5678"],
        ),
        "b.example": (
            ["HOME rice"],
            ["例", "この欄は精米所がお送りする長い長い案内文であり、どのページにも同じものが載っている。"],
            [],
        ),
        "c.example": (["Small host"], [], []),
    }
    rows = []
    for n in range(count):
        host = chosen.choice(["a.example"] * 4 + ["b.example"] * 3 + ["c.example", None])
        head, middle, tail = templates.get(host or "", ([], [], []))
        own = [f"{chosen.choice(prose)}" for _ in range(chosen.randrange(0, 4))]
        own.insert(chosen.randrange(len(own) + 1), f"ページ{n}にしかない行。")
        lines = [*head, *own[:1], *(middle if chosen.random() < 0.7 else middle[:1]), *own[1:], *tail]
        if chosen.random() < 0.2:
            lines.insert(chosen.randrange(len(lines) + 1), "続きを読む")
        whole = chosen.choice(["\n", "\n\n"]).join(line.upper() if chosen.random() < 0.1 else line for line in lines)
        text = chosen.choice([whole, whole, whole, "\n".join(head + tail) or whole, None])
        rows.append({"id": document_id("x", n, 0), "host": host, "text": text, "lang": "ja"})
    return rows


def put(run: Path, rows: Sequence[Row], cuts: Sequence[int]) -> list[Entry]:
    """The documents and their line rules' edits, in parts of the given sizes over and over."""
    entries: list[Entry] = []
    first = 0
    for number, size in enumerate(itertools.cycle(cuts)):
        part = pa.Table.from_pylist(list(rows[first : first + size]), schema=schema(DOCUMENT_COLUMNS))
        if len(part) == 0:
            return entries
        tables = {f"documents/p{number}.parquet": part, edit_path("line_rules", f"p{number}"): line_edits(part, RULES)}
        for name, table in tables.items():
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, run / name)
        entries.append(Entry(f"p{number}", len(part), first))
        first += size
    return entries


def find(search: Search, entries: Sequence[Entry], batch_parts: int, ranges: dict[str, int]) -> dict[str, list[Row]]:
    """All passes; the edits of each document."""
    search.work.mkdir()
    cut = range(0, len(entries), batch_parts)
    batches = [Batch(n, tuple(entries[at : at + batch_parts])) for n, at in enumerate(cut)]
    files = [0, *itertools.accumulate(split_batch(batch, search)[0] for batch in batches)]
    for number in range(ranges["hosts"]):
        repeated_lines.hosts_of_range(number, search, ranges["hosts"])
    for number in range(ranges["lines"]):
        repeated_lines.lines_of_range(number, search, ranges["lines"], ranges["hosts"])
    for number in range(ranges["copies"]):
        repeated_lines.copies_of_range(number, search, ranges["copies"])
    found = defaultdict(list)
    for batch in batches:
        for entry, table in edits_of_batch(batch, search, files[batch.number], ranges):
            path = search.run / edit_path("repeated_lines", entry.part)
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, path)
            for row in table.to_pylist():
                found[row.pop("id")].append(row)
    return found


def folded(line: str, coarse: bool) -> str:
    """A line as its hash sees it."""
    out = ""
    for char in line:
        whole = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", char).casefold())
        kind = unicodedata.category(char)
        if char.isspace() or (coarse and kind[0] == "P"):
            continue
        out += "0" if coarse and kind[0] == "N" else whole if len(whole) == 1 else char
    return out


def brute(rows: Sequence[Row], config: CleaningConfig) -> list[tuple[list[str], list[str]]]:
    """For each document its lines as the line rules leave them, without the repeated ones; and the reasons of those."""
    table = pa.Table.from_pylist(list(rows), schema=schema(DOCUMENT_COLUMNS))
    texts = apply_edits(
        table["text"].combine_chunks(), join_spans(table["id"].combine_chunks(), [line_edits(table, RULES)])
    )
    pages = [[line.strip() for line in (text or "").split("\n") if line.strip()] for text in texts.to_pylist()]
    hosts = [row["host"] for row in rows]
    size = Counter(host for host, lines in zip(hosts, pages, strict=True) if lines and host)
    stands = Counter(
        (host, line) for host, lines in zip(hosts, pages, strict=True) for line in {folded(x, False) for x in lines}
    )
    copies = Counter(folded(line, True) for lines in pages for line in lines)
    seen: Counter[str] = Counter()
    found = []
    for host, lines in zip(hosts, pages, strict=True):
        large = host is not None and 0 < config.host_min_pages <= size[host]
        repeated = [
            large
            and stands[host, folded(line, False)] >= max(2, config.host_share * size[host])
            and sum(c.isalpha() for c in line) >= 2
            for line in lines
        ]
        cut = [False] * len(lines)
        for wanted, group in itertools.groupby(enumerate(repeated), lambda pair: pair[1]):
            run = [k for k, _ in group]
            chars = sum(len(lines[k]) for k in run)
            if wanted and (run[0] == 0 or run[-1] == len(lines) - 1 or len(run) >= 3 or chars >= 40):
                for k in run:
                    cut[k] = True
        total = sum(map(len, lines))
        if sum(len(line) for line, gone in zip(lines, cut, strict=True) if gone) > config.host_max_cut * total:
            cut = [False] * len(lines)
        kept, reasons = [], []
        for line, of_host in zip(lines, cut, strict=True):
            key = folded(line, True)
            seen[key] += 1
            many = (
                config.corpus != "off"
                and len(key) >= config.corpus_min_chars
                and copies[key] > config.corpus_max_copies
            )
            of_corpus = many and (config.corpus == "all" or seen[key] > config.corpus_max_copies)
            if of_host or of_corpus:
                reasons.append("host_line" if of_host else "corpus_line")
            else:
                kept.append(line)
        found.append((kept, reasons))
    return found


CONFIGS = [
    CleaningConfig(),
    CleaningConfig(host_min_pages=3, host_share=0.9, host_max_cut=1.0),
    CleaningConfig(host_min_pages=0, corpus="first", corpus_min_chars=20),
    CleaningConfig(host_min_pages=0, corpus="all", corpus_max_copies=2, corpus_min_chars=5),
    CleaningConfig(host_min_pages=5, host_max_cut=0.2, corpus="first", corpus_max_copies=3),
]
SHAPES = [([1000], 1, 1), ([7, 1, 60], 2, 3), ([23], 20, 2)]


@pytest.mark.parametrize("config", CONFIGS, ids=["host", "host strict", "first", "all", "both"])
def test_what_is_cut_is_what_brute_force_cuts(config: CleaningConfig, tmp_path: Path) -> None:
    rows = corpus(250, seed=5)
    expected = brute(rows, config)
    assert sum(bool(reasons) for _, reasons in expected) > 50
    results = []
    for number, (cuts, batch_parts, ranges) in enumerate(SHAPES):
        search = Search(tmp_path / str(number), tmp_path / str(number) / "work", config)
        entries = put(search.run, rows, cuts)
        found = find(search, entries, batch_parts, {"hosts": ranges, "lines": ranges + 1, "copies": 2 * ranges})
        assert [[edit["reason"] for edit in found[row["id"]]] for row in rows] == [reasons for _, reasons in expected]
        left = []
        for entry in entries:
            table = pq.read_table(search.run / f"documents/{entry.part}.parquet")
            spans = join_spans(table["id"].combine_chunks(), read_edits(search.run, entry.part))
            left += apply_edits(table["text"].combine_chunks(), spans).to_pylist()
        assert [[x.strip() for x in (text or "").split("\n") if x.strip()] for text in left] == [k for k, _ in expected]
        results.append(dict(found))
    assert results[0] == results[1] == results[2]


def test_files_of_counts_end_where_memory_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small files give what one large one gives."""
    rows = corpus(2500, seed=6)
    config = CleaningConfig(corpus="first", memory_mb=1)
    results = []
    for row_bytes in (1, 10**6):
        monkeypatch.setattr(repeated_lines, "ROW_BYTES", row_bytes)
        search = Search(tmp_path / str(row_bytes), tmp_path / str(row_bytes) / "work", config)
        ranges = {"hosts": 1, "lines": 2, "copies": 2}
        results.append(dict(find(search, put(search.run, rows, [100]), 20, ranges)))
        count = len(list(search.work.glob("lines-*.bin")))
        assert (count > 3) == (row_bytes > 1)
    assert results[0] == results[1]


def test_a_torn_file_of_counts_is_an_error(tmp_path: Path) -> None:
    search = Search(tmp_path, tmp_path / "work", CleaningConfig())
    find(search, put(tmp_path, corpus(30, seed=7), [10]), 2, {"hosts": 1, "lines": 1, "copies": 1})
    path = sorted(search.work.glob("lines-*.bin"))[0]
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(RunError, match="is not whole"):
        repeated_lines.lines_of_range(0, search, 1, 1)


def test_a_corpus_without_lines(tmp_path: Path) -> None:
    rows = [{"id": document_id("x", n, 0), "host": "a", "text": None if n else " \n", "lang": "ja"} for n in range(20)]
    search = Search(tmp_path, tmp_path / "work", CleaningConfig(corpus="all"))
    assert find(search, put(tmp_path, rows, [8]), 2, {"hosts": 1, "lines": 1, "copies": 1}) == {}
