"""A recipe holds no word of a page, and gives the shards again, byte for byte, from archives and from rows."""

import gzip
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seimai.config import apply_overrides, parse_config
from seimai.errors import ConfigError, InputError, RunError, VerifyError
from seimai.files import sha256_file
from seimai.pipeline.job import polish
from seimai.pipeline.rebuild import rebuild
from seimai.pipeline.recipe import write_recipe
from seimai.pipeline.run import Engine
from seimai.pipeline.settings import RunConfig

CONTACT = "secret-address@example.org"
SETS = ("input.part_bytes=100000", "cleaning.host_min_pages=3", f"input.contact='{CONTACT}'")


def here() -> Engine:
    return Engine(workers=0)


def shards(out: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in sorted((out / "shards").iterdir())}


@pytest.fixture(scope="module")
def made(sample_warc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, its recipe and its archive."""
    folder = tmp_path_factory.mktemp("recipe")
    archive = folder / "crawl-data" / "CC-MAIN-2026-01" / "sample.warc.gz"
    archive.parent.mkdir(parents=True)
    shutil.copyfile(sample_warc, archive)
    config = parse_config(apply_overrides({}, SETS), RunConfig, "test")
    polish(config, folder / "run", inputs=[str(archive)], engine=here())
    summary = write_recipe(folder / "run", folder / "recipe")
    assert 80 < summary.kept < summary.documents
    return folder


def test_no_words_of_a_page_stand_in_a_recipe(made: Path) -> None:
    run = made / "run"
    words: set[str] = set()
    for path in (run / "documents").iterdir():
        for row in pq.read_table(path, columns=["text", "title"]).to_pylist():
            text = (row["text"] or "") + "\n" + (row["title"] or "")
            words |= {line.strip() for line in text.split("\n") if len(line.strip()) >= 8}
    assert len(words) > 500
    held = ""
    for path in (made / "recipe").rglob("*.parquet"):
        held += json.dumps(pq.read_table(path).to_pydict(), ensure_ascii=False, default=str)
    held += (made / "recipe" / "recipe.json").read_text(encoding="utf-8")
    assert [word for word in words if word in held] == []
    assert CONTACT not in held
    assert str(made) not in held


def test_a_recipe_says_where_every_document_stands_and_why_it_went(made: Path) -> None:
    rows = [
        {**document, **decision}
        for path in sorted((made / "recipe" / "documents").iterdir())
        for document, decision in zip(
            pq.read_table(path).to_pylist(),
            pq.read_table(made / "recipe" / "decisions" / path.name).to_pylist(),
            strict=True,
        )
    ]
    assert all(row["url"] and row["warc_file"] and row["warc_offset"] >= 0 for row in rows)
    assert all(row["kept"] or row["reason"] for row in rows)
    edits = [row for path in (made / "recipe" / "edits").rglob("*.parquet") for row in pq.read_table(path).to_pylist()]
    assert edits
    assert {edit["id"] for edit in edits} <= {row["id"] for row in rows if row["kept"]}


def test_the_shards_come_back_byte_for_byte(made: Path, tmp_path: Path) -> None:
    copies = tmp_path / "elsewhere" / "crawl-data" / "CC-MAIN-2026-01"
    shutil.copytree(made / "crawl-data" / "CC-MAIN-2026-01", copies)
    found = rebuild(made / "recipe", tmp_path / "a", inputs=[str(copies / "*.gz")], engine=here())
    assert shards(tmp_path / "a") == shards(made / "run")
    assert found.shards == len(shards(made / "run"))
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["shards"]
    # Without inputs, the crawl's own address; here a folder stands for it.
    base = f"fetch.base='{tmp_path / 'elsewhere'}'"
    rebuild(made / "recipe", tmp_path / "b", overrides=[base], engine=here())
    assert shards(tmp_path / "b") == shards(made / "run")


def test_a_rebuild_goes_on_where_it_was(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seimai.pipeline import rebuild as module

    seen: list[str] = []
    read = module._read_again

    def breaking(task: module._Task, config: RunConfig) -> int:
        seen.append(task.name)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return read(task, config)

    monkeypatch.setattr(module, "_read_again", breaking)
    inputs = [str(made / "crawl-data" / "*" / "*.gz")]
    with pytest.raises(KeyboardInterrupt):
        rebuild(made / "recipe", tmp_path / "out", inputs=inputs, engine=here())
    done = sorted((tmp_path / "out" / "work" / "documents").iterdir())
    times = [path.stat().st_mtime_ns for path in done]
    assert len(done) == 2
    monkeypatch.setattr(module, "_compare", lambda work, told: times.extend(p.stat().st_mtime_ns for p in done))
    rebuild(made / "recipe", tmp_path / "out", inputs=inputs, engine=here())
    assert times[:2] == times[2:]
    assert shards(tmp_path / "out") == shards(made / "run")


def test_pages_that_changed_are_named(made: Path, tmp_path: Path) -> None:
    (archive,) = (made / "crawl-data").rglob("*.gz")
    other = tmp_path / "crawl-data" / "CC-MAIN-2026-01" / "sample.warc.gz"
    other.parent.mkdir(parents=True)
    other.write_bytes(archive.read_bytes()[:-5000])
    with pytest.raises((VerifyError, RunError), match="is not the page that it was"):
        rebuild(made / "recipe", tmp_path / "out", inputs=[str(other)], engine=here())


def test_a_changed_shard_is_named_with_the_versions(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "recipe", tmp_path / "recipe")
    told = json.loads((tmp_path / "recipe" / "recipe.json").read_text())
    told["shards"][0]["sha256"] = "00" * 32
    told["packages"]["numpy"] = "0.1"
    (tmp_path / "recipe" / "recipe.json").write_text(json.dumps(told))
    with pytest.raises(VerifyError, match=r"1 shards are not .* made with numpy 0\.1 \(here"):
        rebuild(tmp_path / "recipe", tmp_path / "out", inputs=[str(made / "crawl-data" / "*" / "*.gz")], engine=here())


def test_mistakes_are_one_line(made: Path, tmp_path: Path) -> None:
    (tmp_path / "x.warc.gz").write_bytes(gzip.compress(b"WARC/1.0\r\nContent-Length: 0\r\n\r\n\r\n\r\n"))
    with pytest.raises(InputError, match="1 sources of the recipe are not among the inputs"):
        rebuild(made / "recipe", tmp_path / "out", inputs=[str(tmp_path / "x.warc.gz")], engine=here())
    with pytest.raises(ConfigError, match=r"only fetch\.\*"):
        rebuild(made / "recipe", tmp_path / "out", overrides=["quality.ja.preset='none'"], engine=here())
    with pytest.raises(RunError, match=r"has no recipe\.json"):
        rebuild(made / "run", tmp_path / "out", engine=here())
    with pytest.raises(RunError, match=r"has no manifest\.json"):
        write_recipe(made / "recipe", tmp_path / "again")
    with pytest.raises(RunError, match="is not empty"):
        write_recipe(made / "run", made / "recipe")


def test_rows_are_rebuilt_too(made: Path, tmp_path: Path) -> None:
    tables = [pq.read_table(path, columns=["text", "url"]) for path in sorted((made / "run" / "documents").iterdir())]
    rows = [row for row in pa.concat_tables(tables).to_pylist() if row["text"]]
    path = tmp_path / "c.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(json.dumps(row) for row in rows).encode()))
    config = parse_config(apply_overrides({}, ("input.part_bytes=30000",)), RunConfig, "test")
    polish(config, tmp_path / "run", inputs=[str(path)], engine=here())
    write_recipe(tmp_path / "run", tmp_path / "recipe")
    with pytest.raises(InputError, match=r"c\.jsonl\.gz: is no archive of a crawl"):
        rebuild(tmp_path / "recipe", tmp_path / "again", engine=here())
    rebuild(tmp_path / "recipe", tmp_path / "again", inputs=[str(path)], engine=here())
    assert shards(tmp_path / "again") == shards(tmp_path / "run")
