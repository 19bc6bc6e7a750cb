"""Exports of token shards read back by their real consumers: `python bench/consumers.py TOKENS --peers PYTHON`, 30 s.

`--peers` names the Python of an environment with torch, datasets and megatron-core. Every document of every format is
compared with the token shards. Exit code 1 where one differs.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from seimai.model.shards import open_tokens
from seimai.model.token_export import export_tokens

READ = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np
folder, split = sys.argv[1], sys.argv[2]
def check(name, documents):
    wanted = np.load(folder + f"/{split}.npz")
    tokens, ends = wanted["tokens"], wanted["ends"]
    found = [np.asarray(each) for each in documents]
    assert [len(each) for each in found] == np.diff(ends, prepend=0).tolist(), name
    assert np.array_equal(np.concatenate(found), tokens), name
    print(f"{name:40} {split:9} {len(found):8,} documents {len(tokens):12,} tokens  the same")
import datasets
check(f"datasets {datasets.__version__} load_from_disk", datasets.load_from_disk(folder + f"/hf/{split}")["input_ids"])
import megatron.core
from megatron.core.datasets.indexed_dataset import IndexedDataset
data = IndexedDataset(folder + f"/megatron/{split}")
check(f"megatron-core {megatron.core.__version__} IndexedDataset", [data[i] for i in range(len(data))])
plain = np.memmap(folder + f"/bin/{split}.bin", dtype=np.uint16, mode="r")
check("numpy memmap, as nanoGPT's get_batch", np.split(plain, np.load(folder + f"/{split}.npz")["ends"][:-1]))
"""


def main() -> int:
    """Print a line a consumer and split."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("tokens", type=Path, help="folder that `seimai encode` wrote")
    options.add_argument("--peers", type=Path, required=True, help="Python with torch, datasets and megatron-core")
    chosen = options.parse_args()
    shards = open_tokens(chosen.tokens)
    failed = False
    with tempfile.TemporaryDirectory(prefix="seimai-consumers-") as folder:
        for name in ("hf", "megatron", "bin"):
            export_tokens(chosen.tokens, Path(folder) / name, name)
        for split in ("train", "held_out"):
            numbers = np.flatnonzero(shards.held_out == (split == "held_out"))
            tokens = np.concatenate([shards.tokens(number) for number in numbers.tolist()])
            np.savez(Path(folder) / f"{split}.npz", tokens=tokens, ends=np.cumsum(shards.n_tokens[numbers]))
            done = subprocess.run([chosen.peers, "-c", READ, folder, split], check=False)
            failed |= done.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
