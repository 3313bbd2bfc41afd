"""No server: the training does not notice, and everything arrives later, once and in order."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from modelbox.queue.lease import Lease
from modelbox.sender.sync import Synced, sync
from tests.acceptance.server import Server, wait_until
from tests.client.training import columns_of, queue_of, run_of, trained

SCRIPT = """
from pathlib import Path
run = mb.init(name="away", mode=MODE)
for step in range(2000):
    run.log({"x": step * 1.0, "y": -step}, step=step)
    if step % 500 == 0:
        run.flush()
run.event("half")
Path("c.bin").write_bytes(b"c" * 5000)
run.checkpoint("c.bin", step=1999)
run.register("away-model", tags=["t"])
print(run.id, run.finish(timeout=1))
"""
QUEUES = Path(".modelbox/queue")


def written(server: str, mode: str) -> tuple[str, str]:
    out, err = trained(SCRIPT.replace("MODE", repr(mode)), server)
    run_id, is_sent = out.split()
    assert is_sent == "False"
    return run_id, err


def arrived(server: Server, run_id: str) -> None:
    found = run_of(server, run_id)
    assert found["status"] == "COMPLETED"
    assert [each["name"] for each in found["events"]["nodes"]] == ["half"]
    [checkpoint] = found["checkpoints"]["nodes"]
    assert checkpoint["versions"]["nodes"][0]["uniqueTags"] == ["t"]
    columns = columns_of(server, run_id, "x", "y")
    assert columns["x"]["values"] == list(range(2000))
    assert columns["y"]["values"] == [-step for step in range(2000)]


def states() -> list[str]:
    return [synced.state for synced in sync(QUEUES)]


def test_offline(server: Server, clean: Path) -> None:
    run_id, err = written(server.address, "offline")
    assert "modelbox sync" in err
    assert states() == ["sent"]
    arrived(server, run_id)
    assert queue_of(clean) == []
    assert states() == []


def test_a_folder_that_was_moved_is_sent_from_there(server: Server, tmp_path: Path) -> None:
    run_id, _ = written(server.address, "offline")
    shutil.move(QUEUES, tmp_path / "elsewhere")
    assert [synced.state for synced in sync(tmp_path / "elsewhere")] == ["sent"]
    arrived(server, run_id)


def test_sent_twice_is_there_once(server: Server, tmp_path: Path) -> None:
    """As when a machine was restored from a backup."""
    run_id, _ = written(server.address, "offline")
    shutil.copytree(QUEUES, tmp_path / "copy")
    assert states() == ["sent"]
    assert [synced.state for synced in sync(tmp_path / "copy")] == ["sent"]
    arrived(server, run_id)


def test_an_unreachable_server(server: Server, clean: Path) -> None:
    """The training ends as it should, in time; what it said is sent when there is a server."""
    run_id, err = written("http://127.0.0.1:9", "online")
    assert err.count("UNREACHABLE") == 1
    assert err.count("NOT_SENT") == 1
    [queue] = queue_of(clean)
    wait_until(lambda: not (queue / "lease").read_text().strip("{}"))
    assert [synced.state for synced in sync(QUEUES, server.address)] == ["sent"]
    arrived(server, run_id)


def test_while_another_sends_nobody_else_does(server: Server, clean: Path) -> None:
    written(server.address, "offline")
    [queue] = queue_of(clean)
    lease = Lease(queue)
    lease.take()
    [synced] = sync(QUEUES)
    assert (synced.state, synced.points) == ("taken", 0)
    lease.release()
    assert states() == ["sent"]


def test_nobody_there(clean: Path) -> None:
    written("http://127.0.0.1:9", "offline")
    [synced] = sync(QUEUES)
    assert isinstance(synced, Synced)
    assert synced.state == "unreachable"
    assert len(queue_of(clean)) == 1


@pytest.mark.parametrize("damage", ["tail", "middle"])
def test_a_damaged_queue_loses_only_what_is_damaged(server: Server, clean: Path, damage: str) -> None:
    run_id, _ = written(server.address, "offline")
    [queue] = queue_of(clean)
    [file] = queue.glob("*.frames")
    content = bytearray(file.read_bytes())
    if damage == "tail":
        file.write_bytes(content[:-10])
    else:
        content[len(content) // 3] ^= 1
        file.write_bytes(content)
    assert states() == ["partly" if damage == "tail" else "sent"]
    values = columns_of(server, run_id, "x")["x"]["values"]
    assert values == sorted(values)
    assert 1000 <= len(values) <= 2000


def test_a_copy_that_lost_its_end_is_no_checkpoint(server: Server, clean: Path) -> None:
    """As after a loss of power: it is put aside, and everything else arrives."""
    run_id, _ = written(server.address, "offline")
    [queue] = queue_of(clean)
    [copy] = (queue / "files").iterdir()
    copy.write_bytes(copy.read_bytes()[:-1])
    assert states() == ["sent"]
    found = run_of(server, run_id)
    assert (found["status"], found["metrics"]["nodes"][0]["count"]) == ("COMPLETED", 2000)
    assert [each["status"] for each in found["checkpoints"]["nodes"] if each["status"] == "READY"] == []
    assert "NO_SUCH_FILE" in (queue / "refused.jsonl").read_text()
