"""Which steps saw a page: the answer equals a walk over every step, and names the last checkpoint before."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from seimai.config import parse_config
from seimai.errors import InputError
from seimai.model.exposure import exposures, matching_documents
from seimai.model.order import Order
from seimai.model.train import train
from seimai.model.train_config import TrainConfig

STEPS = 60
MIXTURES = [None, {"ja": 0.7, "en": 0.3}, [(0, {"ja": 1.0}), (20, {"ja": 0.5, "en": 0.5})]]


@pytest.mark.parametrize("mixture", MIXTURES)
def test_steps_are_those_of_a_walk(small_tokens: Path, documents: list[list[int]], mixture: object) -> None:
    order = Order(small_tokens, seed=3, row_tokens=32, batch_rows=8, mixture=mixture, skip=[17, 40])  # type: ignore[arg-type]
    seen: dict[int, set[int]] = {}
    for step in range(STEPS):
        found = order.rows(step)
        kept = ~found.skipped[found.row]
        for document in set(found.document[kept].tolist()):
            seen.setdefault(document, set()).add(step)
    asked = np.arange(0, len(documents), 3)
    pairs = np.stack(order.steps_with(asked, STEPS))
    for number in asked.tolist():
        assert set(pairs[1][pairs[0] == number].tolist()) == seen.get(number, set()), number


def test_a_page_is_followed_through_a_training(tmp_path: Path, tiny_config: TrainConfig, small_tokens: Path) -> None:
    data = shutil.copytree(small_tokens, tmp_path / "tokens")
    plain = tiny_config.model_dump()
    loop = {**plain["train"], "checkpoint_every": 2, "keep_last": 9}
    train(parse_config({**plain, "train": loop}, TrainConfig, place="test"), data, tmp_path / "model", steps=6)
    order = Order(data, seed=0, row_tokens=32, batch_rows=4)
    first = int(order.rows(3).document[0])
    (found,) = exposures(tmp_path / "model", urls=[f"https://example.org/{first}"])
    assert (found.document, found.split) == (first, "train")
    assert 3 in found.steps
    earlier = [step for step in range(6) if first in order.rows(step).document]
    assert list(found.steps) == earlier
    clean = [n for n in (2, 4, 6) if n <= earlier[0]]
    assert found.clean_checkpoint == (max(clean) if clean else None)
    (by_id,) = exposures(tmp_path / "model", ids=[found.id])
    assert by_id == found
    held_out = exposures(tmp_path / "model", urls=["https://example.org/1"])
    assert [(each.split, each.steps, each.clean_checkpoint) for each in held_out] == [("held_out", (), 6)]
    with pytest.raises(InputError, match=r"no-such.example: no document of .* has it"):
        exposures(tmp_path / "model", domains=["no-such.example"])


def test_domains_have_their_subdomains_and_no_others(small_tokens: Path) -> None:
    from seimai.model.shards import open_tokens

    shards = open_tokens(small_tokens)
    every = matching_documents(shards, domains=["ORG"])
    assert len(every) == len(shards.n_tokens)
    assert len(matching_documents(shards, domains=["example.org"])) == len(every)
    assert len(matching_documents(shards, domains=["ample.org"])) == 0
