"""Archives over http: the same shards as from the local copy, and one clear line for what a server refuses."""

import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from seimai.errors import InputError
from seimai.files import sha256_file
from seimai.pipeline.inputs import InputConfig, find_sources
from seimai.pipeline.job import polish
from seimai.pipeline.run import Engine
from seimai.pipeline.settings import RunConfig
from seimai.sample.build import build_warc


class _Ranged(http.server.BaseHTTPRequestHandler):
    """Serves one file with byte ranges, as Common Crawl's server does."""

    body = b""
    agents: list[str]

    def do_HEAD(self) -> None:
        self._answer(send=False)

    def do_GET(self) -> None:
        self._answer(send=True)

    def _answer(self, *, send: bool) -> None:
        type(self).agents.append(self.headers.get("User-Agent", ""))
        if not self.path.endswith("/sample.warc.gz"):
            self.send_error(404)
            return
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        data = self.body[int(found[1]) : int(found[2]) + 1] if found else self.body
        self.send_response(206 if found else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", '"one"')
        self.send_header("Content-Length", str(len(data)))
        if found:
            self.send_header("Content-Range", f"bytes {found[1]}-{int(found[1]) + len(data) - 1}/{len(self.body)}")
        self.end_headers()
        if send:
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    archive = tmp_path / "sample.warc.gz"
    build_warc(archive)
    handler = type("Handler", (_Ranged,), {"body": archive.read_bytes(), "agents": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/crawl-data", archive, handler.agents  # type: ignore[attr-defined]
        running.shutdown()
        thread.join()


def test_http_gives_the_shards_of_the_local_copy(server: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    address, archive, agents = server
    local = tmp_path / "copy" / "crawl-data" / "sample.warc.gz"
    local.parent.mkdir(parents=True)
    archive.rename(local)
    config = RunConfig(input=InputConfig(part_bytes=100_000, contact="me@example.org"))
    found = []
    for number, place in enumerate([f"{address}/sample.warc.gz", str(local)]):
        out = tmp_path / f"run{number}"
        polish(config, out, inputs=[place], engine=Engine(workers=0))
        found.append({path.name: sha256_file(path) for path in sorted((out / "shards").iterdir())})
    assert found[0] == found[1]
    assert len(found[0]) == 2
    assert all("me@example.org" in agent for agent in agents)


def test_a_missing_remote_archive_is_one_line(server: tuple[str, Path, list[str]]) -> None:
    with pytest.raises(InputError, match=r"none\.warc\.gz: no such file; check --input"):
        find_sources(InputConfig(), [f"{server[0]}/none.warc.gz"])


def test_common_crawl_asks_for_a_contact() -> None:
    with pytest.raises(InputError, match=r"set input\.contact"):
        find_sources(InputConfig(), ["https://data.commoncrawl.org/crawl-data/x.warc.gz"])
