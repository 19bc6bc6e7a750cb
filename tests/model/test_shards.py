"""Token shards are read as written, and whatever is missing or damaged is one clear line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from seimai.errors import InputError, SeimaiError, VerifyError
from seimai.model import shards as shards_module
from seimai.model.shards import open_tokens


@pytest.fixture
def copy(small_tokens: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small_tokens, tmp_path / "copy")


def test_every_document_reads_back(small_tokens: Path, documents: list[list[int]]) -> None:
    opened = open_tokens(small_tokens, verify="hash")
    assert [opened.tokens(number).tolist() for number in range(200)] == documents
    assert opened.tokens(141, 2, 3).tolist() == documents[141][2:5]
    assert not opened.tokens(0).flags.owndata
    assert opened.n_tokens.tolist() == [len(document) for document in documents]


def test_few_shards_stay_open(small_tokens: Path, documents: list[list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards_module, "MAX_OPEN_SHARDS", 1)
    opened = open_tokens(small_tokens)
    for number in (0, 199, 80, 1, 198):
        assert opened.tokens(number).tolist() == documents[number]
        assert len(opened._open) == 1


def test_rows_of_documents_come_in_the_order_asked(small_tokens: Path) -> None:
    rows = open_tokens(small_tokens).documents([150, 3, 3, 71], ["url", "quality"])
    assert [row["url"].rsplit("/", 1)[1] for row in rows] == ["150", "3", "3", "71"]
    assert rows[0]["quality"] is None


@pytest.mark.parametrize(
    ("damage", "kind", "said"),
    [
        (lambda d: (d / "manifest.json").unlink(), InputError, "no manifest.json"),
        (lambda d: (d / "manifest.json").write_text("{"), VerifyError, "not JSON"),
        (lambda d: (d / "manifest.json").write_text('{"format": "other/2"}'), InputError, "format 'other/2'"),
        (lambda d: (d / "tokens-00001.arrow").unlink(), VerifyError, "tokens-00001.arrow: missing"),
        (lambda d: (d / "docs-00002.parquet").write_bytes(b"PAR1"), VerifyError, "docs-00002.parquet: 4 bytes"),
        (lambda d: flip(d / "tokens-00000.arrow"), VerifyError, "tokens-00000.arrow: its SHA-256"),
        (lambda d: swap_digest(d), VerifyError, "merkle_root"),
    ],
    ids=["no manifest", "broken manifest", "other format", "missing", "short", "flipped", "edited manifest"],
)
def test_damage_is_one_line(copy: Path, damage: Callable[[Path], object], kind: type[SeimaiError], said: str) -> None:
    damage(copy)
    with pytest.raises(kind) as caught:
        open_tokens(copy, verify="hash")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damage_of_the_same_size_is_found_when_opened(copy: Path) -> None:
    path = copy / "tokens-00001.arrow"
    path.write_bytes(b"\0" * path.stat().st_size)
    opened = open_tokens(copy)
    with pytest.raises(VerifyError, match=r"tokens-00001.arrow: cannot be read"):
        opened.tokens(75)


def test_shard_of_another_place_is_found_when_opened(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["shards"][0]["documents"], manifest["shards"][2]["documents"] = 60, 70
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(VerifyError, match=r"tokens-00000.arrow: not the documents"):
        open_tokens(copy).tokens(0)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def swap_digest(directory: Path) -> None:
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["files"][0]["sha256"] = "00" * 32
    (directory / "manifest.json").write_text(json.dumps(manifest))
