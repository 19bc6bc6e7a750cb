"""What a user names becomes sorted sources with stable keys; what cannot be read is refused in one line."""

import gzip
import itertools
import os
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seimai.errors import InputError
from seimai.pipeline.inputs import InputConfig, Part, Source, find_sources, open_source, parts_of, source_key

WARC = gzip.compress(b"WARC/1.0\r\nContent-Length: 0\r\n\r\n\r\n\r\n", mtime=0)


def put(path: Path, data: bytes = WARC) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize(
    ("place", "root", "key"),
    [
        ("/data/crawl-data/CC-MAIN-2024-51/warc/x.warc.gz", "", "crawl-data/CC-MAIN-2024-51/warc/x.warc.gz"),
        ("s3://commoncrawl/crawl-data/CC-MAIN-2024-51/x.warc.gz", "", "crawl-data/CC-MAIN-2024-51/x.warc.gz"),
        ("https://data.commoncrawl.org/crawl-data/CC-NEWS/x.warc.gz", "", "crawl-data/CC-NEWS/x.warc.gz"),
        ("/data/my-crawl-data/x.warc.gz", "", "x.warc.gz"),
        ("/data/a/x.warc.gz", "/data", "a/x.warc.gz"),
        ("/data/a/x.warc.gz", "/data/", "a/x.warc.gz"),
        ("/database/x.warc.gz", "/data", "x.warc.gz"),
        ("s3://bucket/a/x.warc.gz", "s3://bucket", "a/x.warc.gz"),
        ("/data/a/../b/./x.warc.gz", "/data", "b/x.warc.gz"),
    ],
)
def test_keys(place: str, root: str, key: str) -> None:
    assert source_key(place, root) == key


def test_a_relative_path_has_the_key_of_its_absolute_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        source_key("a/x.warc.gz", str(tmp_path)) == source_key(str(tmp_path / "a" / "x.warc.gz"), ".") == "a/x.warc.gz"
    )


def test_sources_are_sorted_by_key_and_found_once(tmp_path: Path) -> None:
    names = [put(tmp_path / name) for name in ("b/2.warc.gz", "a/9.warc.gz", "c/1.warc.gz")]
    config = InputConfig(root=str(tmp_path))
    sources = find_sources(config, [*names, str(tmp_path / "*/*.warc.gz"), str(tmp_path / "**" / "9*")])
    assert [source.key for source in sources] == ["a/9.warc.gz", "b/2.warc.gz", "c/1.warc.gz"]
    assert sources == find_sources(config, names[::-1])
    assert sources == find_sources(config.model_copy(update={"paths": names}))


def test_given_names_win_over_the_config(tmp_path: Path) -> None:
    config = InputConfig(paths=[str(tmp_path / "gone.warc.gz")])
    assert [s.key for s in find_sources(config, [put(tmp_path / "x.warc.gz")])] == ["x.warc.gz"]


def test_equal_keys_need_equal_content(tmp_path: Path) -> None:
    first, copy = put(tmp_path / "a" / "x.warc.gz"), put(tmp_path / "b" / "x.warc.gz")
    assert len(find_sources(InputConfig(), [first, copy])) == 1
    for other in (WARC + WARC, WARC[:-1] + b"\x01"):
        Path(copy).write_bytes(other)
        with pytest.raises(InputError, match=r"x\.warc\.gz.*input\.root"):
            find_sources(InputConfig(), [first, copy])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone.warc.gz", "no such file; check --input"),
        ("gone/x.warc.gz", "no such file"),
        ("file.txt/x.warc.gz", "no such file"),
        ("*.nothing", "no file matches"),
        ("empty.warc.gz", "is empty"),
        ("file.bin", "is not a WARC or WET archive"),
        ("text.gz", "is not a WARC or WET archive"),
        ("page.gz", "is not a WARC or WET archive"),
        ("folder", "is a folder; name its archives"),
        ("memory://gone.warc.gz", "no such file"),
        ("nothing://x.warc.gz", "nothing://x.warc.gz"),
        ("https://data.commoncrawl.org/crawl-data/x.warc.gz", "set input.contact"),
        ("s3n", "no such file"),
    ],
)
def test_mistakes_are_one_line_with_place_and_remedy(tmp_path: Path, name: str, words: str) -> None:
    put(tmp_path / "empty.warc.gz", b"")
    put(tmp_path / "file.txt", b"text")
    put(tmp_path / "file.bin", b"text")
    put(tmp_path / "text.gz", gzip.compress(b"text"))
    put(tmp_path / "page.gz", gzip.compress(b""))
    (tmp_path / "folder").mkdir()
    place = name if "://" in name else str(tmp_path / name)
    with pytest.raises(InputError) as caught:
        find_sources(InputConfig(), [place])
    assert str(caught.value).startswith(place)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_input_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="--input"):
        find_sources(InputConfig())


def test_an_archive_damaged_at_its_start_is_read(tmp_path: Path) -> None:
    data = WARC[:12] + b"\xff" * 5 + WARC[17:] + WARC
    assert len(find_sources(InputConfig(), [put(tmp_path / "x.warc.gz", data)])) == 1


def test_a_name_with_brackets_is_a_name_where_it_exists(tmp_path: Path) -> None:
    name = put(tmp_path / "crawl[1].warc.gz")
    assert [s.place for s in find_sources(InputConfig(), [name])] == [name]


def test_an_address_reads_like_a_path(tmp_path: Path) -> None:
    name = put(tmp_path / "x.warc.gz")
    (local,) = find_sources(InputConfig(), [name])
    (remote,) = find_sources(InputConfig(), [f"file://{name}"])
    assert (remote.key, remote.size) == (local.key, local.size)
    with open_source(remote) as file:
        assert file.read() == WARC
    assert [s.key for s in find_sources(InputConfig(), [f"file://{tmp_path}/*.gz"])] == ["x.warc.gz"]
    fsspec.filesystem("memory").pipe_file("/inputs/x.warc.gz", WARC)
    (memory,) = find_sources(InputConfig(), ["memory://inputs/x.warc.gz"])
    with open_source(memory) as file:
        file.seek(3)
        assert file.read(4) == WARC[3:7]


def test_an_archive_that_vanishes_is_named(tmp_path: Path) -> None:
    (source,) = find_sources(InputConfig(), [put(tmp_path / "x.warc.gz")])
    os.unlink(source.place)
    with pytest.raises(InputError, match="is gone"):
        open_source(source)


def test_the_stamp_tells_a_change(tmp_path: Path) -> None:
    name = put(tmp_path / "x.warc.gz")
    (before,) = find_sources(InputConfig(), [name])
    os.utime(name, (1, 1))
    (after,) = find_sources(InputConfig(), [name])
    assert before.stamp != after.stamp
    assert before.key_hash == after.key_hash


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_parts_cover_an_archive_without_a_gap(size: int, part_bytes: int) -> None:
    part_bytes = max(part_bytes, size // 100 + 1)
    source = Source("k", "/k", size, "stamp")
    parts = list(parts_of(source, part_bytes))
    assert parts[0].start == 0
    assert parts[-1].stop == size
    assert all(a.stop == b.start and a.stop - a.start == part_bytes for a, b in itertools.pairwise(parts))
    assert len({part.name for part in parts}) == len(parts)
    assert [part.name for part in parts] == sorted(part.name for part in parts)


def test_an_archive_without_compression_is_one_part(tmp_path: Path) -> None:
    name = put(tmp_path / "x.warc", b"WARC/1.0\r\nContent-Length: 0\r\n\r\n\r\n\r\n" * 50)
    (source,) = find_sources(InputConfig(), [name])
    assert list(parts_of(source, 10)) == [Part(source, 0, source.size)]


def test_part_names_do_not_move() -> None:
    assert Part(Source("x.warc.gz", "/x", 10, ""), 32 << 20, 1 << 30).name == "2e6786953220a539-0000033554432"
