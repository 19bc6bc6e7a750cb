"""The examples run as they stand, and see the rows of the order; two processes together see each row once."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.model.conftest import sample_documents, write_tokens

from seimai.model.order import Order

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

RANK = """
import sys
from pathlib import Path
import numpy as np
import torch.distributed as dist
from torch.utils.data import DataLoader
from seimai.model import Order
from seimai.model.torch_rows import RowDataset

tokens, out, rank, store = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
order = Order(tokens, seed=0, row_tokens=64, batch_rows=8)
rows = RowDataset(order, last_step=5, rank=dist.get_rank(), ranks=dist.get_world_size())
batches = [batch["input_ids"].numpy() for batch in DataLoader(rows, batch_size=4)]
dist.barrier()
np.save(out / f"{rank}.npy", np.stack(batches))
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("tokens") / "data"
    return write_tokens(folder, sample_documents(400), held_out_every=10)


def losses(name: str, tokens: Path, steps: int) -> list[float]:
    command = [sys.executable, "-W", "error::FutureWarning", str(EXAMPLES / name), str(tokens), "--steps", str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^step (\d+)  loss ([\d.]+)$", done.stdout, re.MULTILINE)
    assert [int(step) for step, _ in found] == list(range(steps))
    return [float(loss) for _, loss in found]


def test_plain_pytorch(tokens: Path) -> None:
    """The first loss is what the untrained model says of the order's first batch."""
    found = losses("plain_pytorch.py", tokens, 20)
    torch.manual_seed(0)
    order = Order(tokens, seed=0, row_tokens=128, batch_rows=8)
    vocab_size = order.shards.tokenizer["vocab_size"]
    model = torch.nn.Sequential(torch.nn.Embedding(vocab_size, 32), torch.nn.Linear(32, vocab_size))
    rows = order.rows(0)
    cells = torch.from_numpy(rows.tokens.astype(np.int64))
    kept = torch.from_numpy(rows.counted)
    expected = torch.nn.functional.cross_entropy(model(cells[:, :-1])[kept], cells[:, 1:][kept])
    assert found[0] == pytest.approx(expected.item(), abs=1e-3)
    assert found[-1] < found[0] / 2


def test_trainer_of_transformers(tokens: Path) -> None:
    found = losses("transformers_trainer.py", tokens, 8)
    assert found[0] == pytest.approx(np.log(264), abs=0.1)
    assert found[-1] < found[0] - 1


def test_two_processes_have_the_global_batch(tokens: Path, tmp_path: Path) -> None:
    arguments = [str(tokens), str(tmp_path)]
    ranks = [
        subprocess.Popen([sys.executable, "-c", RANK, *arguments, str(rank), str(tmp_path / "store")])
        for rank in range(2)
    ]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    both = np.concatenate([np.load(tmp_path / f"{rank}.npy") for rank in range(2)], axis=1)
    order = Order(tokens, seed=0, row_tokens=64, batch_rows=8)
    for step in range(5):
        assert np.array_equal(both[step], order.rows(step).tokens[:, :-1])
