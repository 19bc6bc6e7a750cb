"""Every format holds every document, in order, each split apart; read here by the formats' own definitions."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from seimai.errors import RunError
from seimai.model.token_export import export_tokens


def split_of(documents: list[list[int]], held_out: bool) -> list[list[int]]:
    return [document for number, document in enumerate(documents) if (number % 10 == 1) == held_out]


@pytest.mark.parametrize(("split", "held_out"), [("train", False), ("held_out", True)])
def test_plain_binary(
    small_tokens: Path, documents: list[list[int]], tmp_path: Path, split: str, held_out: bool
) -> None:
    tally = export_tokens(small_tokens, tmp_path / "out", "bin")
    wanted = split_of(documents, held_out)
    found = np.memmap(tmp_path / "out" / f"{split}.bin", np.uint16, "r")
    assert found.tolist() == [token for document in wanted for token in document]
    assert (tally[f"{split}_documents"], tally[f"{split}_tokens"]) == (len(wanted), len(found))


@pytest.mark.parametrize(("split", "held_out"), [("train", False), ("held_out", True)])
def test_megatron(small_tokens: Path, documents: list[list[int]], tmp_path: Path, split: str, held_out: bool) -> None:
    """Read as indexed_dataset.py of Megatron reads it."""
    export_tokens(small_tokens, tmp_path / "out", "megatron")
    data = (tmp_path / "out" / f"{split}.idx").read_bytes()
    assert data[:9] == b"MMIDIDX\x00\x00"
    version, code = struct.unpack_from("<QB", data, 9)
    sequences, n_documents = struct.unpack_from("<QQ", data, 18)
    assert (version, code, n_documents) == (1, 8, sequences + 1)
    lengths = np.frombuffer(data, np.int32, sequences, 34)
    pointers = np.frombuffer(data, np.int64, sequences, 34 + lengths.nbytes)
    bounds = np.frombuffer(data, np.int64, n_documents, 34 + lengths.nbytes + pointers.nbytes)
    assert bounds.tolist() == list(range(sequences + 1))
    content = (tmp_path / "out" / f"{split}.bin").read_bytes()
    found = [
        np.frombuffer(content, np.uint16, length, pointer).tolist()
        for length, pointer in zip(lengths.tolist(), pointers.tolist(), strict=True)
    ]
    assert found == split_of(documents, held_out)


def test_folder_of_datasets(small_tokens: Path, documents: list[list[int]], tmp_path: Path) -> None:
    export_tokens(small_tokens, tmp_path / "out", "hf")
    folder = tmp_path / "out" / "held_out"
    state = json.loads((folder / "state.json").read_text())
    with pa.memory_map(str(folder / state["_data_files"][0]["filename"])) as file:
        table = pa.ipc.open_stream(file).read_all()
    assert table["input_ids"].to_pylist() == split_of(documents, True)
    assert table["id"].to_pylist() == [f"{n:032x}" for n in range(len(documents)) if n % 10 == 1]
    assert set(json.loads((folder / "dataset_info.json").read_text())["features"]) == set(table.column_names)


def test_a_folder_in_use_is_refused(small_tokens: Path, tmp_path: Path, make_tokens: Callable[..., Path]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(RunError, match=r"out: holds something; give a new folder"):
        export_tokens(small_tokens, tmp_path / "out", "bin")
    only = make_tokens([[256, 65, 257]], name="only")
    assert export_tokens(only, tmp_path / "one", "megatron")["held_out_documents"] == 0
    assert not (tmp_path / "one" / "held_out.bin").exists()
