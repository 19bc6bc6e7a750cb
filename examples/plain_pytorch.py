"""Feed token shards to a loop of your own: python examples/plain_pytorch.py TOKENS, a few seconds on a CPU.

The state of the data is one number: keep `rows.state_dict()` in your checkpoint and go on behind any row.
"""

import argparse
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

from seimai.model import Order
from seimai.model.torch_rows import RowDataset


def main() -> None:
    """Train a bigram model for a few steps and print its loss."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("tokens", type=Path, help="folder that `seimai encode` wrote")
    options.add_argument("--steps", type=int, default=20)
    chosen = options.parse_args()
    torch.manual_seed(0)

    order = Order(chosen.tokens, seed=0, row_tokens=128, batch_rows=8)
    rows = RowDataset(order, last_step=chosen.steps)
    vocab_size = order.shards.tokenizer["vocab_size"]
    model = nn.Sequential(nn.Embedding(vocab_size, 32), nn.Linear(32, vocab_size))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)

    for step, batch in enumerate(DataLoader(rows, batch_size=order.batch_rows)):
        logits = model(batch["input_ids"])
        # Labels are the next tokens already, −100 where a document ends.
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), ignore_index=-100)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        print(f"step {step}  loss {loss.item():.3f}")


if __name__ == "__main__":
    main()
