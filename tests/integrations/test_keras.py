"""Keras 3 on torch: epochs, batches, evaluations, checkpoints and a resumption."""

from __future__ import annotations

import pytest

from tests.integrations.scripts import Scripts, files_of

pytestmark = pytest.mark.integrations

MODEL = """
import sys
import keras
import numpy as np
from modelbox.integrations.keras import ModelBoxCallback

x = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
y = x[:, :1] * 2
def built():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.05), "mse", metrics=["mae"])
    return model
quiet = dict(batch_size=8, verbose=0)
"""


def test_epochs_batches_and_checkpoints(scripts: Scripts) -> None:
    scripts.run(
        MODEL
        + """
with ModelBoxCallback(name="line", batch_every=2, checkpoint="model.keras") as callback:
    model = built()
    model.fit(x, y, epochs=3, validation_split=0.2, callbacks=[callback], **quiet)
    model.evaluate(x, y, callbacks=[callback], **quiet)
"""
    )
    found = scripts.runs()["line"]
    assert (found["status"], found["framework"]) == ("COMPLETED", "KERAS")
    assert found["hyperparameters"]["epochs"] == 3
    assert found["hyperparameters"]["optimizer"]["learning_rate"] == pytest.approx(0.05)
    assert found["hyperparameters"]["weights"] == 3
    series = found["series"]
    assert series["train/loss"]["steps"] == series["validation/mae"]["steps"] == series["epoch"]["steps"] == [4, 8, 12]
    assert series["epoch"]["values"] == [1, 2, 3]
    assert series["batch/loss"]["steps"] == [1, 3, 5, 7, 9, 11]
    assert series["test/loss"]["steps"] == [12]
    checkpoints = sorted(found["checkpoints"]["nodes"], key=lambda each: each["step"])
    assert [(each["step"], each["epoch"]) for each in checkpoints] == [(4, 1.0), (8, 2.0), (12, 3.0)]
    assert files_of(checkpoints[0]) == {"model.keras"}


def test_a_fit_that_fails_and_goes_on(scripts: Scripts) -> None:
    script = (
        MODEL
        + """
class Bad(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == int(sys.argv[1]):
            raise SystemError("bad luck")

callback = ModelBoxCallback(name="resumed", checkpoint="model.keras")
resumed = callback.run.resume()
model = keras.models.load_model(resumed.path) if resumed else built()
model.fit(x, y, initial_epoch=int(resumed.epoch) if resumed else 0, epochs=4, callbacks=[callback, Bad()], **quiet)
"""
    )
    (scripts.folder / "resumed.py").write_text(script)
    scripts.run_file("resumed.py", "2", code=1, namespace="going", MODELBOX_RUN_ID="job-1")
    assert scripts.runs("going")["resumed"]["status"] == "FAILED"
    scripts.run_file("resumed.py", "99", namespace="going", MODELBOX_RUN_ID="job-1")
    found = scripts.runs("going")["resumed"]
    assert (found["status"], found["leg"]) == ("COMPLETED", 1)
    assert found["series"]["train/loss"]["steps"] == [5, 10, 15, 20]
    assert found["series"]["epoch"]["values"] == [1, 2, 3, 4]
