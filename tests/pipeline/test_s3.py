"""Input from an object store (moto's S3 server): the shards of local files, and no credential anywhere in a run."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.s3_server import KEY, SECRET, s3_server

from seimai.config import apply_overrides, parse_config
from seimai.errors import InputError
from seimai.files import sha256_file
from seimai.pipeline.job import polish
from seimai.pipeline.rebuild import rebuild
from seimai.pipeline.recipe import write_recipe
from seimai.pipeline.run import Engine
from seimai.pipeline.settings import RunConfig

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """A server with an empty bucket; who may use it stands in the environment only."""
    with s3_server():
        yield "s3://seimai"


def put(place: str, data: bytes) -> None:
    import fsspec

    with fsspec.open(place, "wb") as file:
        file.write(data)


def run(out: Path, *inputs: str, sets: tuple[str, ...] = ()) -> None:
    config = parse_config(apply_overrides({}, ("input.part_bytes=100000", *sets)), RunConfig, "test")
    polish(config, out, inputs=inputs, engine=Engine(workers=0))


def shards(out: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in sorted((out / "shards").iterdir())}


@pytest.mark.parametrize("disk_bytes", [0, 1 << 30])
def test_archives_and_rows_from_s3_give_the_shards_of_local_ones(
    store: str, sample_warc: Path, tmp_path: Path, disk_bytes: int
) -> None:
    run(tmp_path / "local", str(sample_warc))
    put(f"{store}/crawl/sample.warc.gz", sample_warc.read_bytes())
    streamed = (f"fetch.disk_bytes={disk_bytes}",)
    run(tmp_path / "remote", f"{store}/crawl/*.warc.gz", sets=streamed)
    assert shards(tmp_path / "remote") == shards(tmp_path / "local")
    write_recipe(tmp_path / "local", tmp_path / "recipe")
    rebuild(tmp_path / "recipe", tmp_path / "again", inputs=[f"{store}/crawl/*.warc.gz"], engine=Engine(workers=0))
    assert shards(tmp_path / "again") == shards(tmp_path / "local")

    documents = [pq.read_table(path, columns=["text", "url"]) for path in (tmp_path / "local" / "documents").iterdir()]
    rows = [row for row in pa.concat_tables(documents).to_pylist() if row["text"]]
    lines = tmp_path / "c.jsonl.gz"
    lines.write_bytes(gzip.compress("\n".join(json.dumps(row) for row in rows).encode()))
    table = tmp_path / "c.parquet"
    pq.write_table(pa.Table.from_pylist(rows), table, row_group_size=30)
    for path in (lines, table):
        put(f"{store}/rows/{path.name}", path.read_bytes())
        run(tmp_path / f"near-{path.name}", str(path))
        run(tmp_path / f"far-{path.name}", f"{store}/rows/{path.name}", sets=streamed)
        assert shards(tmp_path / f"far-{path.name}") == shards(tmp_path / f"near-{path.name}")

    held = b"".join(path.read_bytes() for path in (tmp_path / "remote").rglob("*") if path.is_file())
    assert KEY.encode() not in held
    assert SECRET.encode() not in held


def test_what_is_not_there_or_not_allowed_is_one_line(store: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file|cannot be reached") as caught:
        run(tmp_path / "run", f"{store}/gone.warc.gz")
    assert SECRET not in str(caught.value)
    assert KEY not in str(caught.value)
