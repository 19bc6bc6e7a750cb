"""Pages that hang, crash, eat memory or garble the pipe cost one page each; the rest of the batch comes through."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pytest

from seimai.errors import RunError
from seimai.pipeline.extract import ExtractConfig
from seimai.pipeline.optout import PageNotes
from seimai.pipeline.sandbox import REQUEST_PAGES, Sandbox
from seimai.pipeline.sandbox_child import INPUT_SCHEMA, OUTPUT_SCHEMA

ENGINE = """
import ctypes, os, signal, sys, time
from pathlib import Path
from seimai.pipeline.extract import Extracted

def read(html, *, url=None):
    print("a library that prints to stdout", flush=True)
    if "HANG" in html:
        time.sleep(600)
    if "SEGV" in html:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "ABORT" in html:
        os.abort()
    if "EXIT" in html:
        os._exit(3)
    if "MEMORY" in html:
        kept = [bytearray(1 << 26) for _ in range(1000)]
    if "RAISE" in html:
        raise RuntimeError("parser")
    if "SURROGATE" in html:
        return Extracted(None, chr(0xD800), None, "test")
    if "GARBAGE" in html or "HALF" in html:
        words = b"not a frame of ours, by no means" if "GARBAGE" in html else b"SMI1B\\xff\\0\\0\\0\\0\\0\\0\\0half"
        for fd in range(3, 12):
            try:
                if os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:"):
                    os.write(fd, words)
            except OSError:
                pass
        if "HALF" in html:
            os._exit(0)
    if "ONCE" in html:
        mark = Path(url)
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGSEGV)
    return Extracted("t", html, None, "test")
"""
LIMITS = ExtractConfig(engine="fast", timeout_s=1.0, memory_mb=512)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "bad_engine.py").write_text(ENGINE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "bad_engine:read"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(ExtractConfig(engine="fast", max_page_bytes=4096, max_text_chars=1000, max_depth=60)) as shared:
        yield shared


def pages(
    *bodies: bytes, mime: str = "text/html", charset: str | None = None, url: str | None = None
) -> pa.RecordBatch:
    rows = [{"payload": body, "mime": mime, "http_charset": charset, "url": url} for body in bodies]
    return pa.RecordBatch.from_pylist(rows, schema=INPUT_SCHEMA)


@pytest.mark.parametrize(
    ("cause", "quarantine"),
    [
        (b"HANG", "timeout"),
        (b"SEGV", "crash"),
        (b"ABORT", "crash"),
        (b"EXIT", "crash"),
        (b"MEMORY", "memory"),
        (b"GARBAGE", "crash"),
        (b"HALF", "crash"),
    ],
)
def test_a_page_that_kills_the_child_costs_one_page(engine: str, cause: bytes, quarantine: str) -> None:
    bodies = [b"page %d" % i for i in range(8)]
    bodies[3] = cause
    # On a busy machine half a gigabyte may take longer than the second that a page that hangs is given.
    limits = LIMITS if cause == b"HANG" else LIMITS.model_copy(update={"timeout_s": 30.0})
    with Sandbox(limits, engine=engine) as bad:
        out = bad.extract(pages(*bodies))

    assert out.schema == OUTPUT_SCHEMA
    assert out["quarantine"].to_pylist() == [quarantine if i == 3 else None for i in range(8)]
    assert out["text"].to_pylist() == [None if i == 3 else f"page {i}" for i in range(8)]
    assert out["fault"].null_count == 8


def test_several_killers_and_a_child_after_them(engine: str) -> None:
    bodies = [b"SEGV", b"a", b"EXIT", b"b", b"ABORT"]
    with Sandbox(LIMITS, engine=engine) as bad:
        out = bad.extract(pages(*bodies))
        again = bad.extract(pages(b"c"))

    assert out["quarantine"].to_pylist() == ["crash", None, "crash", None, "crash"]
    assert again["text"].to_pylist() == ["c"]


def test_a_page_that_fails_once_is_tried_again_alone(engine: str, tmp_path: Path) -> None:
    with Sandbox(LIMITS, engine=engine) as bad:
        out = bad.extract(pages(b"ONCE", url=str(tmp_path / "mark")))

    assert out["quarantine"].to_pylist() == [None]
    assert out["text"].to_pylist() == ["ONCE"]


def test_what_a_parser_raises_is_a_fault_of_the_page(engine: str) -> None:
    with Sandbox(LIMITS, engine=engine) as bad:
        out = bad.extract(pages(b"RAISE", b"fine", b"SURROGATE"))

    assert out["fault"].to_pylist() == ["parser_error", None, "parser_error"]
    assert out["quarantine"].null_count == 3


def test_a_child_killed_from_outside_costs_nothing(engine: str) -> None:
    with Sandbox(LIMITS, engine=engine) as bad:
        bad.extract(pages(b"a"))
        assert bad._child is not None
        bad._child.process.send_signal(signal.SIGKILL)
        out = bad.extract(pages(b"b", b"c"))

    assert out["text"].to_pylist() == ["b", "c"]
    assert out["quarantine"].null_count == 2


def test_columns_of_an_honest_page(sandbox: Sandbox) -> None:
    head = "<title>題</title><meta charset=x-sjis><meta name=robots content=noai>"
    body = f"<html><head>{head}</head><p>①㈱精米の話です。</p>".encode("cp932")
    (row,) = sandbox.extract(pages(body, charset="no-such")).to_pylist()

    assert row == {
        "title": "題",
        "text": "①㈱精米の話です。",
        "lang_declared": None,
        **asdict(PageNotes(robots="noai")),
        "charset_declared": "x-sjis",
        "charset_used": "shift_jis",
        "charset_source": "meta",
        "n_replaced": 0,
        "cut": False,
        "fault": None,
        "quarantine": None,
    }


def test_limits_and_plain_text(sandbox: Sandbox) -> None:
    html = sandbox.extract(pages(b"<div>" * 61, b"<p>" + b"x" * 5000, b"<p>ok"))
    plain = sandbox.extract(pages(b"<p>kept\r\nas it is", mime="text/plain"))

    assert html["fault"].to_pylist() == ["too_deep", None, None]
    assert html["cut"].to_pylist() == [False, True, False]
    assert [len(text) if text else None for text in html["text"].to_pylist()] == [None, 1000, 2]
    assert plain["text"].to_pylist() == ["<p>kept\nas it is"]


def test_wide_pages_are_measured_as_text(sandbox: Sandbox) -> None:
    out = sandbox.extract(pages(("\ufeff" + "<div>" * 70).encode("utf-16-le")))

    assert out["fault"].to_pylist() == ["too_deep"]


def test_batches_of_any_size_keep_their_order_and_the_child(sandbox: Sandbox) -> None:
    sandbox.extract(pages(b"<p>warm"))
    before = sandbox._child
    out = sandbox.extract(pages(*(b"<p>page %d" % i for i in range(2 * REQUEST_PAGES + 5))))

    assert out["text"].to_pylist() == [f"page {i}" for i in range(2 * REQUEST_PAGES + 5)]
    assert sandbox.extract(pages()).num_rows == 0
    assert sandbox._child is before


def test_requests_larger_than_the_pipe(sandbox: Sandbox) -> None:
    out = sandbox.extract(pages(*[b"<p>" + b"x" * (3 << 20)] * 9))

    assert out["cut"].to_pylist() == [True] * 9


def test_closing_ends_the_child_and_it_starts_again() -> None:
    sandbox = Sandbox(LIMITS)
    sandbox.close()
    sandbox.extract(pages(b"<p>a"))
    assert sandbox._child is not None
    process = sandbox._child.process
    sandbox.close()

    assert process.poll() is not None
    assert sandbox.extract(pages(b"<p>b"))["text"].to_pylist() == ["b"]
    sandbox.close()


def test_the_child_ignores_interrupts_and_ends_with_its_parent() -> None:
    program = """if True:
        import os, signal, sys
        import pyarrow as pa
        from seimai.pipeline.extract import ExtractConfig
        from seimai.pipeline.sandbox import INPUT_SCHEMA, Sandbox
        sandbox = Sandbox(ExtractConfig())
        page = {"payload": b"<p>x", "mime": "text/html", "http_charset": None, "url": None}
        sandbox.extract(pa.RecordBatch.from_pylist([page], schema=INPUT_SCHEMA))
        child = sandbox._child.process
        child.send_signal(signal.SIGINT)
        sandbox.extract(pa.RecordBatch.from_pylist([page], schema=INPUT_SCHEMA))
        assert sandbox._child.process is child
        print(child.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    child_id = int(done.stdout)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and Path(f"/proc/{child_id}").exists() and _state(child_id) != "Z":
        time.sleep(0.02)

    assert not Path(f"/proc/{child_id}").exists() or _state(child_id) == "Z"


def _state(process_id: int) -> str:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def test_one_sandbox_per_thread() -> None:
    barrier = threading.Barrier(3)

    def work(number: int) -> list[str]:
        with Sandbox(LIMITS) as own:
            barrier.wait()
            texts: list[str] = own.extract(pages(*(b"<p>%d-%d" % (number, i) for i in range(50))))["text"].to_pylist()
            return texts

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(work, range(3)))
    assert results == [[f"{number}-{i}" for i in range(50)] for number in range(3)]


def test_a_child_that_cannot_start_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        RunError, match=r"^the process that reads pages does not start \(.*no_such_module.*\); try [^\n]*$"
    ):
        Sandbox(LIMITS, engine="no_such_module:read").extract(pages(b"x"))


def test_the_child_is_what_the_kernel_kills_first(sandbox: Sandbox) -> None:
    sandbox.extract(pages(b"<p>x"))
    assert sandbox._child is not None

    adjusted = Path(f"/proc/{sandbox._child.process.pid}/oom_score_adj")
    assert not adjusted.exists() or adjusted.read_text().strip() == "1000"
    assert os.getpid() != sandbox._child.process.pid
