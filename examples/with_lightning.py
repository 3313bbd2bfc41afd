"""PyTorch Lightning with ModelBox as its logger: hyperparameters, metrics, the best checkpoints, a model version.

Needs lightning. With a server running (`make serve`):

    python examples/with_lightning.py
"""

from __future__ import annotations

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset

from modelbox.integrations.lightning import ModelBoxLogger


class Product(LightningModule):  # type: ignore[misc] # untyped where lightning is not installed
    """Learns to multiply two numbers."""

    def __init__(self, hidden: int = 32, lr: float = 0.01) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.lr = lr
        self.layers = torch.nn.Sequential(torch.nn.Linear(2, hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, 1))

    def training_step(self, batch: list[torch.Tensor], number: int) -> torch.Tensor:
        """The loss of a batch."""
        del number
        loss = torch.nn.functional.mse_loss(self.layers(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: list[torch.Tensor], number: int) -> None:
        """Measure what was not trained on."""
        del number
        self.log("validation/loss", torch.nn.functional.mse_loss(self.layers(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.lr)


def data(seed: int) -> DataLoader[tuple[torch.Tensor, ...]]:
    """Pairs of numbers and their products."""
    x = torch.rand(512, 2, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return DataLoader(TensorDataset(x, x.prod(1, keepdim=True)), batch_size=64)


def main() -> None:
    """Train, and make a version of the best."""
    seed_everything(0, verbose=False)
    with ModelBoxLogger(name="with-lightning", labels=["example"]) as logger:
        keeper = ModelCheckpoint(monitor="validation/loss", save_top_k=2)
        trainer = Trainer(
            max_epochs=5, logger=logger, callbacks=[keeper], log_every_n_steps=1, enable_progress_bar=False
        )
        trainer.fit(Product(), data(1), data(2))
        logger.run.register("product", tags=["candidate"])


if __name__ == "__main__":
    main()
