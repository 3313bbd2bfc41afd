"""TensorBoard: files that PyTorch's and TensorBoard's own writers wrote, imported; and our writer in their place."""

from __future__ import annotations

import itertools
import math
import random
import struct
from pathlib import Path
from typing import Any

import pytest

from modelbox.integrations import event_files
from modelbox.integrations.event_import import Imported, import_logs
from tests.acceptance.server import Server
from tests.integrations.scripts import Scripts

pytestmark = pytest.mark.integrations

WRITTEN = """
import torch
from torch.utils.tensorboard import SummaryWriter

with SummaryWriter("logs/first") as writer:
    for step in range(5000):
        writer.add_scalar("train/loss", step / 4, step, walltime=1_700_000_000 + step)
    writer.add_scalar("new style", 0.5, 7, new_style=True)
    writer.add_scalar("exact", 0.1, 7, new_style=True, double_precision=True)
    writer.add_scalar("nan", float("nan"), 0)
    writer.add_scalar("back", 1.0, -3)
    writer.add_text("note", "grüße", 3)
    writer.add_histogram("weights", torch.arange(10), 0)
    writer.add_image("picture", torch.zeros(3, 4, 4), 0)
    writer.add_hparams({"lr": 0.5, "kind": "adam", "nesterov": True}, {"hparam/accuracy": 0.75}, run_name="chosen")
with SummaryWriter("logs/deep/er") as writer:
    writer.add_scalars("both", {"a": 1.0, "b": 2.0}, 1)
    writer.add_scalar("x", 1.0, 1)
"""


@pytest.fixture(scope="module")
def logs(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    Scripts(server, folder).run(WRITTEN)
    return folder / "logs"


def imported(server: Server, folder: Path, namespace: str) -> dict[str, Imported]:
    found = import_logs(folder, namespace=namespace, server=server.address)
    return {each.name: each for each in found}


def test_a_folder_becomes_runs(scripts: Scripts, logs: Path) -> None:
    done = imported(scripts.server, logs, "once")
    assert set(done) == {"first", "first-chosen", "deep-er", "deep-er-both_a", "deep-er-both_b"}
    assert (done["first"].points, done["first"].skipped, done["first"].damaged) == (5005, 2, 0)
    runs = scripts.runs("once")
    assert {each["status"] for each in runs.values()} == {"COMPLETED"}
    first = runs["first"]["series"]
    assert first["train/loss"]["steps"] == list(range(5000))
    assert first["train/loss"]["values"] == [step / 4 for step in range(5000)]
    assert first["train/loss"]["wallTimes"][1] == 1_700_000_001_000_000
    assert first["new style"]["values"] == [0.5]
    assert first["exact"]["values"] == [0.1]
    assert math.isnan(float(first["nan"]["values"][0]))
    assert first["back"]["steps"] == [-3]
    assert (first["note"]["steps"], first["note"]["strings"]) == ([3], ["grüße"])
    assert runs["first-chosen"]["hyperparameters"] == {"lr": 0.5, "kind": "adam", "nesterov": True}
    assert runs["first-chosen"]["series"]["hparam/accuracy"]["values"] == [0.75]
    assert runs["deep-er-both_b"]["series"]["both"]["values"] == [2.0]


def test_the_same_again_adds_nothing_and_what_grew_adds_that(scripts: Scripts, logs: Path) -> None:
    [path] = (logs / "first").glob("*tfevents*")
    whole = path.read_bytes()
    for length in (0, 20, len(whole) // 3, len(whole) // 3 + 1, len(whole) - 1, len(whole), len(whole)):
        (scripts.folder / "first").mkdir(exist_ok=True)
        (scripts.folder / "first" / path.name).write_bytes(whole[: max(length, 64)])
        imported(scripts.server, scripts.folder / "first", "growing")
    [found] = scripts.runs("growing").values()
    assert found["series"]["train/loss"]["steps"] == list(range(5000))
    assert {each["key"]: each["count"] for each in found["metrics"]["nodes"]}["note"] == 1


def test_an_answer_that_was_lost_is_no_point_twice(
    scripts: Scripts, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modelbox.connection import Connection

    change, calls = Connection.change, 0

    def lost(self: Connection, query: str, input: dict[str, Any]) -> dict[str, Any]:
        nonlocal calls
        answer = change(self, query, input)
        calls += "logMetrics" in query
        if "logMetrics" in query and calls == 2:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(Connection, "change", lost)
    with pytest.raises(KeyboardInterrupt):
        imported(scripts.server, logs / "first", "lost")
    done = imported(scripts.server, logs / "first", "lost")
    assert done["first"].points < 5005
    runs = scripts.runs("lost")
    assert runs["first"]["series"]["train/loss"]["steps"] == list(range(5000))


def test_damage_is_counted_and_what_is_behind_it_is_read(logs: Path, tmp_path: Path) -> None:
    [path] = (logs / "first").glob("*tfevents*")
    content = bytearray(path.read_bytes())
    ends = [each.end for each in event_files.events(path)]
    content[ends[100] + 30] ^= 1  # In the message of an event.
    (tmp_path / "one").write_bytes(content)
    found = list(event_files.events(tmp_path / "one"))
    assert [place for place, each in enumerate(found) if each.is_damaged] == [101]
    assert len(found) == len(ends)
    content[ends[200] + 2] ^= 1  # In a length.
    (tmp_path / "two").write_bytes(content)
    found = list(event_files.events(tmp_path / "two"))
    assert (len(found), found[-1].is_damaged) == (202, True)


def test_any_bytes_are_read_without_an_error(logs: Path, tmp_path: Path) -> None:
    """Messages of chance, and real ones of which some bytes are others, all with a checksum that is right."""
    chance = random.Random(0)
    [path] = (logs / "first/chosen").glob("*tfevents*")
    ends = [0, *(each.end for each in event_files.events(path))]
    whole = path.read_bytes()
    bodies = [chance.randbytes(chance.randrange(60)) for _ in range(2_000)]
    for start, end in itertools.pairwise(ends):
        for _ in range(2_000):
            body = bytearray(whole[start + 12 : end - 4])
            for _ in range(chance.randrange(1, 4)):
                body[chance.randrange(len(body))] = chance.randrange(256)
            bodies.append(bytes(body))
    (tmp_path / "file").write_bytes(b"".join(map(record, bodies)))
    assert len(list(event_files.events(tmp_path / "file"))) == len(bodies)


def record(body: bytes) -> bytes:
    head = struct.pack("<Q", len(body))
    checksums = (struct.pack("<I", event_files.masked_crc(part)) for part in (head, body))
    return head + next(checksums) + body + next(checksums)


def test_checksums_are_those_of_the_standard() -> None:
    """The check value of CRC-32C is that of the digits from 1 to 9; here it is masked."""
    crc = 0xE3069283
    assert event_files.masked_crc(b"123456789") == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def test_the_writer_takes_what_torchs_takes(scripts: Scripts) -> None:
    scripts.run(
        """
        import torch
        from modelbox.integrations.tensorboard import SummaryWriter

        writer = SummaryWriter("logs/mine", comment="-a", labels=["old"])
        writer.add_hparams({"lr": 0.5}, {"hparam/accuracy": 0.75})
        for step in range(3):
            writer.add_scalar("loss", torch.tensor(step / 2), step)
            writer.add_scalars("both", {"a": 1.0, "b": 2.0}, step)
        writer.add_text("note", "hello", 2)
        writer.add_histogram("weights", torch.arange(4.0), 0, bins="auto")
        writer.add_image("picture", torch.zeros(3, 4, 4), 0)
        writer.add_image("picture", torch.zeros(3, 4, 4), 1)
        writer.flush()
        writer.close()
        """,
        namespace="writer",
    )
    found = scripts.runs("writer")["mine-a"]
    assert (found["status"], found["labels"], found["hyperparameters"]) == ("COMPLETED", ["old"], {"lr": 0.5})
    series = found["series"]
    assert (series["loss"]["steps"], series["loss"]["values"]) == ([0, 1, 2], [0.0, 0.5, 1.0])
    assert series["both/b"]["values"] == [2.0] * 3
    assert series["note"]["strings"] == ["hello"]
    assert [series[f"weights/{name}"]["values"] for name in ("mean", "min", "max")] == [[1.5], [0.0], [3.0]]
    assert series["hparam/accuracy"]["values"] == [0.75]
    assert "picture" not in series


def test_other_writers(scripts: Scripts) -> None:
    """Tensors in each of the ways in which numbers and texts are laid down, by TensorBoard's own writer."""
    scripts.run(
        """
        import struct
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        one, two = (TensorShapeProto(dim=[TensorShapeProto.Dim(size=size)]) for size in (1, 2))
        values = {
            "float": TensorProto(dtype=1, float_val=[0.5]), "double": TensorProto(dtype=2, double_val=[0.1]),
            "int": TensorProto(dtype=3, int_val=[-7]), "long": TensorProto(dtype=9, int64_val=[1 << 40]),
            "bool": TensorProto(dtype=10, bool_val=[True]), "half": TensorProto(dtype=19, tensor_content=b"\\x00\\x38"),
            "content": TensorProto(dtype=2, tensor_shape=one, tensor_content=struct.pack("<d", 0.3)),
            "several": TensorProto(dtype=1, tensor_shape=two, float_val=[1, 2]),
            "text": TensorProto(dtype=7, tensor_shape=one, string_val=["w\u00f6rter".encode()]),
        }
        summary = Summary(value=[Summary.Value(tag=tag, tensor=tensor) for tag, tensor in values.items()])
        summary.value.append(Summary.Value(tag="simple", simple_value=2.0))
        writer = EventFileWriter("logs")
        writer.add_event(Event(wall_time=1.7e9, step=2, summary=summary))
        writer.close()
        """
    )
    done = imported(scripts.server, scripts.folder / "logs", "others")
    assert (done["logs"].points, done["logs"].skipped) == (9, 1)
    series = scripts.runs("others")["logs"]["series"]
    assert series.pop("text")["strings"] == ["wörter"]
    assert {key: columns["values"][0] for key, columns in series.items()} == {
        "float": 0.5, "double": 0.1, "int": -7, "long": 1 << 40, "bool": 1, "half": 0.5, "content": 0.3, "simple": 2,
    }  # fmt: skip
    assert {columns["steps"][0] for columns in series.values()} == {2}
