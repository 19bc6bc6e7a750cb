"""Feed token shards to the Trainer of Transformers: python examples/transformers_trainer.py TOKENS, some 20 s on a CPU.

Documents do not see each other: positions restart in every segment, and the mask is made from `segment_ids`.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments, set_seed

from seimai.model import Order
from seimai.model.torch_rows import RowDataset


def collate(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Rows to a batch; attention stays inside a segment and looks back only."""
    batch = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    segment = batch.pop("segment_ids")
    within = segment[:, None, :, None] == segment[:, None, None, :]
    seen = within & torch.ones(segment.shape[1], segment.shape[1], dtype=torch.bool).tril()
    batch["attention_mask"] = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    return batch


def main() -> None:
    """Train a tiny Llama for a few steps and print its losses."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("tokens", type=Path, help="folder that `seimai encode` wrote")
    options.add_argument("--steps", type=int, default=10)
    chosen = options.parse_args()
    set_seed(0)

    order = Order(chosen.tokens, seed=0, row_tokens=64, batch_rows=8)
    rows = RowDataset(order, last_step=chosen.steps, shifts_labels=True)
    body: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    config = LlamaConfig(vocab_size=order.shards.tokenizer["vocab_size"], num_attention_heads=4, **body)
    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=chosen.steps,
            per_device_train_batch_size=order.batch_rows,
            learning_rate=5e-3,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            remove_unused_columns=False,
            # The dataset hands out the global batch in order; the Trainer must not shuffle or shard it again.
            dataloader_num_workers=0,
            accelerator_config={"dispatch_batches": False, "split_batches": True},
        )
        trainer = Trainer(model=LlamaForCausalLM(config), args=arguments, train_dataset=rows, data_collator=collate)
        trainer.train()
    for line in trainer.state.log_history:
        if "loss" in line:
            print(f"step {line['step'] - 1}  loss {float(line['loss']):.3f}")


if __name__ == "__main__":
    main()
