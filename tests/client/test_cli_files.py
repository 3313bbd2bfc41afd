"""The commands that move files and queues, run as people run them."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest

from modelbox.integrations.event_files import masked_crc
from tests.acceptance.server import Server
from tests.client.program import at_a_terminal, modelbox
from tests.client.records import experiment
from tests.client.training import run_of, trained

pytestmark = pytest.mark.acceptance


@pytest.fixture
def here(server: Server, monkeypatch: pytest.MonkeyPatch, clean: Path) -> Path:
    """The folder to work in, with some files; the server is configured."""
    monkeypatch.setenv("MODELBOX_SERVER", server.address)
    for path, content in {"m/a.bin": b"a" * 100, "m/deep/b.bin": os.urandom(9 << 20), "m/empty": b""}.items():
        (clean / path).parent.mkdir(parents=True, exist_ok=True)
        (clean / path).write_bytes(content)
    return clean


def test_files_go_and_come_back(server: Server, here: Path) -> None:
    run = experiment(server, "files")
    pushed = modelbox("artifact", "push", "files", "m", "--kind", "model", "--json")
    assert (pushed.code, pushed.json["files"]) == (0, ["a.bin", "deep/b.bin", "empty"])

    pulled = modelbox("artifact", "pull", run, "--to", "back")
    assert (pulled.code, len(pulled.rows)) == (0, 3)
    for path in ("a.bin", "deep/b.bin", "empty"):
        assert (here / "back" / path).read_bytes() == (here / "m" / path).read_bytes()
    assert not list((here / "back").rglob("*.part"))

    assert modelbox("artifact", "verify", "files", "m", "--in", "back").code == 0
    (here / "back/a.bin").write_bytes(b"b" * 100)
    (here / "back/empty").unlink()
    found = modelbox("artifact", "verify", "files", "--in", "back", "--json")
    assert found.code == 1
    assert {Path(each["path"]).name: each["state"] for each in found.json} == {
        "a.bin": "changed",
        "b.bin": "right",
        "empty": "missing",
    }
    assert "Next: modelbox artifact pull" in found.err


def test_an_interrupted_pull_goes_on(server: Server, here: Path) -> None:
    """What is there is not fetched again; what is half there, from its half on; what is wrong, anew."""
    experiment(server, "half")
    modelbox("artifact", "push", "half", "m/deep/b.bin")
    [file] = json.loads(modelbox("artifact", "pull", "half", "--to", "one", "--json").out)
    whole = Path(file["path"]).read_bytes()
    [found] = json.loads(
        modelbox("query", "{ experiments { nodes { name artifacts { nodes { files { nodes { digest } } } } } } }").out
    )["experiments"]["nodes"][:1]
    digest = found["artifacts"]["nodes"][0]["files"]["nodes"][0]["digest"]
    draft = here / "two" / f"b.bin.{digest[-16:]}.part"
    draft.parent.mkdir()
    draft.write_bytes(whole[: 5 << 20])
    assert modelbox("artifact", "pull", "half", "--to", "two").code == 0
    assert (here / "two/b.bin").read_bytes() == whole
    draft.write_bytes(b"x" * (1 << 20))
    (here / "two/b.bin").unlink()
    assert modelbox("artifact", "pull", "half", "--to", "two").code != 0
    assert not (here / "two/b.bin").exists()
    assert modelbox("artifact", "pull", "half", "--to", "two").code == 0
    assert (here / "two/b.bin").read_bytes() == whole


@pytest.mark.usefixtures("here")
def test_what_cannot_be(server: Server) -> None:
    experiment(server, "nothing")
    missing = modelbox("artifact", "pull", "nothing")
    assert (missing.code, "has no artifact" in missing.err) == (5, True)
    nowhere = modelbox("artifact", "push", "nothing", "not/there")
    assert (nowhere.code, "NO_SUCH_FILE" in nowhere.err) == (2, True)
    nobody = modelbox("artifact", "push", "nobody", "m")
    assert (nobody.code, "Next: modelbox run list" in nobody.err) == (5, True)
    away = modelbox("artifact", "pull", "nothing", "--server", "http://127.0.0.1:9")
    assert (away.code, "Next: modelbox doctor" in away.err) == (3, True)


@pytest.mark.usefixtures("here")
def test_a_person_sees_a_bar(server: Server) -> None:
    experiment(server, "bar")
    code, shown = at_a_terminal("artifact", "push", "bar", "m")
    assert (code, "Sending" in shown, "verified" in shown) == (0, True, True)


def test_queues_are_sent(server: Server, here: Path) -> None:
    script = "run = mb.init(mode='offline'); run.log({'x': 1.0}); print(run.id)"
    ids = [trained(script, server.address)[0].strip() for _ in range(2)]
    assert modelbox("sync", "--server", "http://127.0.0.1:9").code == 3
    done = modelbox("sync", "--json")
    assert done.code == 0
    assert sorted(json.loads(line)["run"] for line in done.out.splitlines()) == sorted(ids)
    assert all(run_of(server, id_)["status"] == "COMPLETED" for id_ in ids)
    again = modelbox("sync")
    assert (again.code, again.out, "Nothing is left" in again.err) == (0, "", True)
    assert not list(here.glob(".modelbox/queue/*"))


def event_file(path: Path, values: dict[int, float]) -> None:
    """As TensorBoard writes it: records with their checksums, each a protobuf `Event` with one summary."""
    content = b""
    for step, value in values.items():
        entry = b"\x0a\x04loss" + b"\x15" + struct.pack("<f", value)
        summary = b"\x0a" + bytes([len(entry)]) + entry
        event = b"\x09" + struct.pack("<d", 1.7e9 + step) + b"\x10" + bytes([step]) + b"\x2a" + bytes([len(summary)])
        event += summary
        length = struct.pack("<Q", len(event))
        content += length + struct.pack("<I", masked_crc(length)) + event + struct.pack("<I", masked_crc(event))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_event_files_become_runs(server: Server, here: Path) -> None:
    event_file(here / "logs/one/events.out.tfevents.1", {1: 0.5, 2: 0.25})
    done = modelbox("import", "tensorboard", "logs", "--namespace", "tb")
    assert (done.code, done.rows[0][:4]) == (0, ["one", "2", "0", "0"])
    event_file(here / "logs/one/events.out.tfevents.1", {1: 0.5, 2: 0.25, 3: 0.125})
    [again] = modelbox("import", "tensorboard", "logs", "--namespace", "tb", "--json").json
    assert again["points"] == 1
    assert modelbox("metric", "get", "tb/one", "loss", "--csv").out.count("\n") == 4
    assert modelbox("import", "tensorboard", "m").code == 2
    assert run_of(server, again["run_id"], "tb")["status"] == "COMPLETED"
