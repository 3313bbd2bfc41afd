"""The examples that need a framework, run as they stand."""

from __future__ import annotations

import pytest

from tests.integrations.scripts import REPOSITORY, Scripts, files_of

pytestmark = pytest.mark.integrations
EXAMPLES = REPOSITORY / "examples"


def test_the_quickstart(scripts: Scripts) -> None:
    assert scripts.run_file(EXAMPLES / "quickstart.py", namespace="quickstart") == "y = 1.99 x + 1.00\n"
    found = scripts.runs("quickstart")["quickstart"]
    assert found["status"] == "COMPLETED"
    assert found["series"]["loss"]["steps"] == list(range(1, 301))
    assert [files_of(each) for each in found["checkpoints"]["nodes"]] == [{"line.json"}]


def test_a_loop_of_torch_that_ends_early_goes_on(scripts: Scripts) -> None:
    place = EXAMPLES / "torch_resume.py"
    scripts.run_file(place, code=1, namespace="torch", MODELBOX_RUN_ID="job-7", FAILS_AT="130")
    assert scripts.runs("torch")["torch-resume"]["status"] == "FAILED"
    printed = scripts.run_file(place, namespace="torch", MODELBOX_RUN_ID="job-7")
    assert printed.startswith("from step 100 to 200")
    found = scripts.runs("torch")["torch-resume"]
    assert (found["status"], found["leg"]) == ("COMPLETED", 1)
    whole = found["series"]["train/loss"]
    assert whole["steps"] == list(range(1, 201))
    scripts.run_file(place, namespace="unbroken", MODELBOX_RUN_ID="job-8")
    assert scripts.runs("unbroken")["torch-resume"]["series"]["train/loss"]["values"] == whole["values"]
    assert whole["values"][-1] < whole["values"][0] / 2


def test_lightning(scripts: Scripts) -> None:
    scripts.run_file(EXAMPLES / "with_lightning.py", namespace="lightning")
    found = scripts.runs("lightning")["with-lightning"]
    assert found["status"] == "COMPLETED"
    losses = found["series"]["validation/loss"]["values"]
    assert losses[-1] < losses[0]
    assert found["checkpoints"]["nodes"]


def test_transformers(scripts: Scripts) -> None:
    scripts.run_file(EXAMPLES / "with_transformers.py", namespace="transformers")
    found = scripts.runs("transformers")["with-transformers"]
    assert found["status"] == "COMPLETED"
    losses = found["series"]["eval/loss"]["values"]
    assert losses[-1] < losses[0]
    assert sorted(each["step"] for each in found["checkpoints"]["nodes"]) == [16, 32]


def test_a_sweep(scripts: Scripts) -> None:
    scripts.run_file(EXAMPLES / "sweep.py", namespace="sweep")
    runs = scripts.runs("sweep")
    assert len(runs) == 13
    assert runs["sweep"]["metadata"]["best"]["parameters"].keys() == {"lr", "momentum"}
