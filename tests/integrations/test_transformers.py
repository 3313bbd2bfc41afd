"""Hugging Face transformers: a tiny model, built in place, trained, saved and resumed."""

from __future__ import annotations

import pytest

from tests.integrations.scripts import Scripts, files_of

pytestmark = pytest.mark.integrations

MODEL = """
import sys
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments
from modelbox.integrations.transformers import ModelBoxCallback

torch.manual_seed(0)
rows = [{"input_ids": (row := torch.randint(0, 20, (8,))), "labels": row} for _ in range(16)]
model = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_positions=8, n_embd=8, n_layer=1, n_head=1))
def arguments(**more):
    return TrainingArguments("out", per_device_train_batch_size=4, logging_steps=1, report_to=[], use_cpu=True,
                             disable_tqdm=True, **more)
"""


def test_logs_evaluations_and_checkpoints(scripts: Scripts) -> None:
    scripts.run(
        MODEL
        + """
with ModelBoxCallback(name="tiny") as callback:
    told = arguments(num_train_epochs=2, eval_strategy="epoch", save_strategy="epoch", learning_rate=0.25)
    trainer = Trainer(model, told, train_dataset=rows, eval_dataset=rows[:4], callbacks=[callback])
    trainer.train()
    trainer.evaluate(rows, metric_key_prefix="test")
"""
    )
    found = scripts.runs()["tiny"]
    assert found["status"] == "COMPLETED"
    assert found["hyperparameters"]["learning_rate"] == 0.25
    assert found["hyperparameters"]["model"]["n_embd"] == 8
    assert found["series"]["train/loss"]["steps"] == list(range(1, 9))
    assert found["series"]["eval/loss"]["steps"] == [4, 8]
    assert found["series"]["test/loss"]["steps"] == [8]
    checkpoints = sorted(found["checkpoints"]["nodes"], key=lambda each: each["step"])
    assert [(each["step"], each["epoch"], each["status"]) for each in checkpoints] == [
        (4, 1.0, "READY"),
        (8, 2.0, "READY"),
    ]
    assert {"model.safetensors", "optimizer.pt", "trainer_state.json"} <= files_of(checkpoints[0])
    metrics = {each["key"]: each["last"] for each in checkpoints[0]["metrics"]["nodes"]}
    assert metrics["eval/loss"] == found["series"]["eval/loss"]["values"][0]


def test_a_training_that_fails_and_goes_on(scripts: Scripts) -> None:
    script = (
        MODEL
        + """
from transformers import TrainerCallback

class Bad(TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        if state.global_step == int(sys.argv[1]):
            raise SystemError("bad luck")

callback = ModelBoxCallback(name="resumed")
resumed = callback.run.resume()
told = arguments(num_train_epochs=2, save_strategy="steps", save_steps=3)
trainer = Trainer(model, told, train_dataset=rows, callbacks=[callback, Bad()])
trainer.train(resume_from_checkpoint=str(resumed.folder) if resumed else None)
"""
    )
    (scripts.folder / "resumed.py").write_text(script)
    scripts.run_file("resumed.py", "5", code=1, namespace="going", MODELBOX_RUN_ID="job-1")
    assert scripts.runs("going")["resumed"]["status"] == "FAILED"
    scripts.run_file("resumed.py", "99", namespace="going", MODELBOX_RUN_ID="job-1")
    found = scripts.runs("going")["resumed"]
    assert (found["status"], found["leg"]) == ("COMPLETED", 1)
    assert found["series"]["train/loss"]["steps"] == list(range(1, 9))
