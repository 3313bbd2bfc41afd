"""PyTorch Lightning: what a fit, a test, a failure and a resumption leave."""

from __future__ import annotations

import pytest

from tests.integrations.scripts import Scripts, files_of

pytestmark = pytest.mark.integrations

MODEL = """
import sys
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from modelbox.integrations.lightning import ModelBoxLogger

class Line(LightningModule):
    def __init__(self, lr=0.1, width=1, fails_at=None):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(width, 1)
    def training_step(self, batch, number):
        if self.global_step == self.hparams.fails_at:
            raise SystemError("bad luck")
        loss = (self.layer(batch) - 2 * batch).square().mean()
        self.log("train/loss", loss)
        return loss
    def validation_step(self, batch, number):
        self.log("validation/loss", (self.layer(batch) - 2 * batch).square().mean())
    test_step = lambda self, batch, number: self.log("test/loss", self.layer(batch).mean())
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)

data = torch.utils.data.DataLoader(torch.linspace(-1, 1, 32).reshape(-1, 1), batch_size=8)
quiet = dict(enable_progress_bar=False, enable_model_summary=False, accelerator="cpu", log_every_n_steps=1)
"""


def test_a_fit_and_a_test_with_checkpoints(scripts: Scripts) -> None:
    scripts.run(
        MODEL
        + """
logger = ModelBoxLogger(name="line", labels=["baseline"])
keeper = ModelCheckpoint(monitor="validation/loss", save_top_k=-1)
trainer = Trainer(max_epochs=3, logger=logger, callbacks=[keeper], **quiet)
model = Line()
trainer.fit(model, data, data)
trainer.test(model, data, verbose=False)
logger.experiment.event("looked", at_what="weights")
"""
    )
    [found] = scripts.runs().values()
    assert (found["name"], found["status"], found["framework"]) == ("line", "COMPLETED", "PYTORCH")
    assert found["hyperparameters"]["lr"] == 0.1
    assert found["labels"] == ["baseline"]
    assert found["series"]["train/loss"]["steps"] == list(range(12))
    assert found["series"]["validation/loss"]["steps"] == [3, 7, 11]
    assert "test/loss" in found["series"]
    checkpoints = sorted(found["checkpoints"]["nodes"], key=lambda each: each["step"])
    assert [(each["step"], each["status"]) for each in checkpoints] == [(n, "READY") for n in (4, 8, 12)]
    assert len(files_of(checkpoints[0])) == 1
    [metric] = checkpoints[-1]["metrics"]["nodes"]
    assert metric == {"key": "validation/loss", "last": found["series"]["validation/loss"]["values"][-1]}


def test_a_fit_that_fails_and_goes_on(scripts: Scripts) -> None:
    script = (
        MODEL
        + """
logger = ModelBoxLogger(name="resumed")
resumed = logger.run.resume()
trainer = Trainer(max_epochs=3, logger=logger, **quiet)
trainer.fit(Line(fails_at=int(sys.argv[1])), data, ckpt_path=resumed.path if resumed else None, weights_only=False)
"""
    )
    (scripts.folder / "resumed.py").write_text(script)
    scripts.run_file("resumed.py", "6", code=1, namespace="going", MODELBOX_RUN_ID="job-1")
    assert scripts.runs("going")["resumed"]["status"] == "FAILED"
    scripts.run_file("resumed.py", "99", namespace="going", MODELBOX_RUN_ID="job-1")
    found = scripts.runs("going")["resumed"]
    assert (found["status"], found["leg"], found["externalId"]) == ("COMPLETED", 1, "job-1")
    assert found["series"]["train/loss"]["steps"] == list(range(12))


def test_two_ranks_are_one_run(scripts: Scripts) -> None:
    scripts.run(
        MODEL
        + """
if __name__ == "__main__":
    trainer = Trainer(max_epochs=1, logger=ModelBoxLogger(name="ranks"), strategy="ddp", devices=2, **quiet)
    trainer.fit(Line(), data, data)
""",
        namespace="ranks",
    )
    [found] = scripts.runs("ranks").values()
    assert found["series"]["train/loss"]["steps"] == [0, 1]
    assert [each["step"] for each in found["checkpoints"]["nodes"]] == [2]


def test_a_run_that_is_there(scripts: Scripts) -> None:
    scripts.run(
        MODEL
        + """
import modelbox as mb
with mb.init(name="mine", hyperparameters={"a": 1}) as run:
    Trainer(max_steps=2, logger=ModelBoxLogger(prefix="fit/", checkpoints=False), **quiet).fit(Line(), data)
    run.log({"after": 1.0})
""",
        namespace="mine",
    )
    found = scripts.runs("mine")["mine"]
    assert found["hyperparameters"] == {"a": 1}
    assert found["metadata"]["lightning"]["lr"] == 0.1
    assert found["series"]["fit/train/loss"]["steps"] == [0, 1]
    assert found["series"]["after"]["values"] == [1.0]
    assert found["checkpoints"]["nodes"] == []
