"""Runs as plain files: all of it, the same again elsewhere, and never a wrong byte for a right one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.server import Server
from tests.client.program import modelbox
from tests.client.training import columns_of, run_of, trained

pytestmark = pytest.mark.acceptance

RUN = """
from pathlib import Path
with mb.init(name="kept", hyperparameters={"lr": 0.5}, labels=["l"]) as run:
    for step in range(6000):
        run.log({"loss": step / 8}, step=step)
    run.log({"odd": float("nan"), "text": "héllo", "raw": b"\\x00\\xff"}, step=-3)
    run.event("began", rows=3)
    Path("w.bin").write_bytes(b"w" * 1000)
    run.checkpoint("w.bin", step=5, metrics={"val": 0.5}, pinned=True)
    run.log_artifact("w.bin", kind="MODEL")
    run.track_artifact("s3://bucket/x", "elsewhere", size=9)
print(run.id)
"""


@pytest.fixture(scope="module")
def run_id(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("kept"))
        return trained(RUN, server.address, MODELBOX_CAPTURE_SYSTEM="false")[0].strip()


@pytest.fixture
def exported(server: Server, run_id: str, clean: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    del run_id  # It only has to be there.
    monkeypatch.setenv("MODELBOX_SERVER", server.address)
    done = modelbox("export", "kept", "--to", "out")
    assert (done.code, done.out) == (0, "kept\n"), done.err
    return clean / "out"


def without_ids(found: dict[str, Any]) -> str:
    """What should be the same, as text."""
    kept = {key: value for key, value in found.items() if key not in ("id", "name")}
    text = json.loads(
        json.dumps(kept), object_hook=lambda each: {k: v for k, v in each.items() if k not in {"id", "downloadUrl"}}
    )
    return json.dumps(text, sort_keys=True)


@pytest.mark.usefixtures("exported")
def test_all_of_it_is_the_same_elsewhere(server: Server, run_id: str) -> None:
    assert modelbox("import", "archive", "out", "--namespace", "other/place").code == 0
    there, here = run_of(server, run_id, "other/place"), run_of(server, run_id)
    assert there["id"] != here["id"]
    assert without_ids(there) == without_ids(here)


@pytest.mark.usefixtures("exported")
def test_again_changes_nothing(server: Server, run_id: str) -> None:
    """What is there already stays as it is."""
    before = run_of(server, run_id)
    for _ in range(2):
        assert modelbox("import", "archive", "out", "--namespace", "twice").code == 0
    counts = {each["key"]: each["count"] for each in run_of(server, run_id, "twice")["metrics"]["nodes"]}
    assert counts == {each["key"]: each["count"] for each in before["metrics"]["nodes"]}
    assert counts["loss"] == 6000


def test_its_files_are_plain(server: Server, run_id: str, exported: Path) -> None:
    [folder] = (exported / "runs").iterdir()
    lines = [json.loads(line) for line in (folder / "points.jsonl").read_text().splitlines()]
    loss = [line for line in lines if line["key"] == "loss"]
    assert [value for line in loss for value in line["values"]] == columns_of(server, run_id, "loss")["loss"]["values"]
    [blob] = (exported / "blobs").iterdir()
    assert blob.read_bytes() == b"w" * 1000


@pytest.mark.parametrize("damage", ["bit", "missing", "manifest", "digest"])
def test_a_damaged_archive_is_not_imported(exported: Path, damage: str) -> None:
    [blob] = (exported / "blobs").iterdir()
    if damage == "bit":
        blob.write_bytes(b"x" + blob.read_bytes()[1:])
    elif damage == "missing":
        blob.unlink()
    else:
        manifest = exported / "manifest.json"
        manifest.write_text(manifest.read_text()[:-20] if damage == "manifest" else "{}")
    done = modelbox("import", "archive", "out", "--namespace", f"damaged-{damage}")
    assert (done.code, "DAMAGED_ARCHIVE" in done.err) == (2, True)
    assert modelbox("run", "list", "--namespace", f"damaged-{damage}").out == ""


@pytest.mark.usefixtures("exported")
def test_only_into_a_new_folder() -> None:
    done = modelbox("export", "kept", "--to", "out")
    assert (done.code, "NOT_EMPTY" in done.err) == (2, True)


@pytest.mark.usefixtures("exported")
def test_parquet_needs_pyarrow_or_says_so(server: Server, run_id: str) -> None:
    done = modelbox("export", "kept", "--to", "columns", "--parquet")
    if done.code == 0:
        assert modelbox("import", "archive", "columns", "--namespace", "parquet").code == 0
        assert without_ids(run_of(server, run_id, "parquet")) == without_ids(run_of(server, run_id))
    else:
        assert "PYARROW_MISSING" in done.err
