"""What the page on reading shows runs, and names every call there is."""

from __future__ import annotations

import inspect
import re
import runpy
from pathlib import Path

import pytest

from modelbox.api import Api
from modelbox.live import follow_metrics
from tests.acceptance.server import Server
from tests.client.records import FINISH, TAG, change, experiment, log, upload, version

pytestmark = pytest.mark.acceptance
PAGE = (Path(__file__).parents[2] / "docs" / "client-api.md").read_text()
READING, FOLLOWING, _ = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_what_the_page_shows_runs(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODELBOX_SERVER", server.address)
    made = experiment(server, "resnet18-a", namespace="vision/cifar", labels=["baseline"], hyperparameters={"lr": 0.25})
    log(server, made, [0, 1], val_loss=[0.5, 0.125])
    change(server, FINISH, id=made, status="COMPLETED")
    first = version(server, "cifar-resnet", "1", "vision/cifar")
    change(server, TAG, versionId=first, tag="prod")
    digest = upload(server, first, "weights", "a.bin", b"bytes")

    (tmp_path / "page.py").write_text(READING + FOLLOWING)
    names = runpy.run_path(str(tmp_path / "page.py"), {"follow_metrics": follow_metrics})

    shown = capsys.readouterr().out
    assert "resnet18-a 0.25 20" in shown
    assert "val/loss 0.125 0.125 1" in shown
    assert f"a.bin 5 {digest} " in shown
    assert names["curve"].columns.values == names["past"].columns["val/loss"].values == [0.5, 0.125]


def test_the_page_names_every_call() -> None:
    calls = {name for name, _ in inspect.getmembers(Api, inspect.isfunction) if not name.startswith("_")}
    named = set(re.findall(r"`(\w+)", PAGE.partition("| to read |")[2].partition("\n\n")[0]))
    assert calls - {"id", "change", "close"} <= named
