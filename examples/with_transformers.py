"""Hugging Face transformers on a tiny model that is built here: nothing is downloaded.

Needs transformers and accelerate. With a server running (`make serve`):

    python examples/with_transformers.py
"""

from __future__ import annotations

from tempfile import TemporaryDirectory

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from modelbox.integrations.transformers import ModelBoxCallback

LETTERS, LENGTH = 16, 12


def rows(count: int, seed: int) -> list[dict[str, torch.Tensor]]:
    """Texts that count upwards from somewhere, which can be learned."""
    starts = torch.randint(0, LETTERS, (count,), generator=torch.Generator().manual_seed(seed))
    texts = (starts[:, None] + torch.arange(LENGTH)) % LETTERS
    return [{"input_ids": text, "labels": text} for text in texts]


def main() -> None:
    """Train two epochs; every epoch is evaluated, and saved."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=LETTERS, n_positions=LENGTH, n_embd=32, n_layer=2, n_head=2))
    with TemporaryDirectory() as folder, ModelBoxCallback(name="with-transformers", labels=["example"]) as callback:
        arguments = TrainingArguments(
            folder, num_train_epochs=2, per_device_train_batch_size=16, learning_rate=0.003, logging_steps=4,
            eval_strategy="epoch", save_strategy="epoch", report_to=[], disable_tqdm=True,
        )  # fmt: skip
        trainer = Trainer(model, arguments, train_dataset=rows(256, 1), eval_dataset=rows(32, 2), callbacks=[callback])
        trainer.train()
        callback.run.register("counter", tags=["candidate"])


if __name__ == "__main__":
    main()
