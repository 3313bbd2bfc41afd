"""Killed and begun again: a training goes on from what is whole, on another machine's word for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.server import Server, wait_until
from tests.client.training import begun, columns_of, queue_of, run_of, trained

JOB = """
import sys, time
from pathlib import Path
run = mb.init(name="job")
found = run.resume()
start = found.step if found else 0
if found:
    assert found.path.read_bytes() == b"%d" % start * 1000, found
    assert (found.metadata, found.metrics) == ({"kept": start}, {"val": start / 100}), found
print("from", start, flush=True)
for step in range(start + 1, 101):
    run.log({"loss": step / 2}, step=step)
    if step % 20 == 0:
        Path("state.bin").write_bytes(b"%d" % step * 1000)
        run.checkpoint("state.bin", step=step, metrics={"val": step / 100}, kept=step)
        print("saved", step, flush=True)
    if step == int(sys.argv[1]) if len(sys.argv) > 1 else 0:
        time.sleep(60)
run.finish()
"""


def test_a_job_that_was_killed_goes_on(server: Server, clean: Path) -> None:
    script = JOB.replace("if step == int(sys.argv[1]) if len(sys.argv) > 1 else 0:", "if step == STOP:")
    first = begun(script.replace("STOP", "50"), server.address, MODELBOX_RUN_ID="job-7")
    assert first.stdout is not None
    assert [first.stdout.readline().strip() for _ in range(3)] == ["from 0", "saved 20", "saved 40"]
    wait_until(lambda: len((run_of(server, "job-7") or {"metrics": {"nodes": []}})["metrics"]["nodes"]) > 0)
    first.kill()
    first.communicate()
    wait_until(lambda: queue_of(clean) == [])
    out, _ = trained(script.replace("STOP", "-1"), server.address, MODELBOX_RUN_ID="job-7")
    assert out.splitlines() == ["from 40", "saved 60", "saved 80", "saved 100"]
    found = run_of(server, "job-7")
    assert (found["status"], found["leg"]) == ("COMPLETED", 1)
    assert sorted(each["step"] for each in found["checkpoints"]["nodes"]) == [20, 40, 60, 80, 100]
    columns = columns_of(server, "job-7", "loss")["loss"]
    assert columns["steps"] == list(range(1, 101))
    assert columns["values"] == [step / 2 for step in range(1, 101)]


def test_a_fresh_job_has_nothing_to_go_on_from(server: Server) -> None:
    assert trained("with mb.init() as run: print(run.resume())", server.address)[0] == "None\n"


def test_a_job_without_a_checkpoint_begins_anew(server: Server) -> None:
    """What it had logged leaves the line, for it will be logged again."""
    script = "with mb.init(run_id='no-checkpoint') as run: print(run.resume()); run.log({'x': 1.0}, step=1)"
    for _ in range(2):
        assert trained(script, server.address)[0] == "None\n"
    assert columns_of(server, "no-checkpoint", "x")["x"]["steps"] == [1]


@pytest.mark.parametrize("ranks", [3])
def test_shards_of_several_ranks(server: Server, ranks: int) -> None:
    script = """
    import os
    from pathlib import Path
    rank = int(os.environ["RANK"])
    run = mb.init(name="ranks", every_rank=True)
    found = run.resume()
    for step in (10, 20):
        Path(f"shard{rank}").write_bytes(b"%d-%d" % (rank, step))
        run.checkpoint(f"shard{rank}", step=step, shard=rank, shards=3)
    run.log({f"rank{rank}": 1.0})
    run.finish()
    if found:
        print(found.step, [path.read_bytes().decode() for path in sorted(found.files)])
    """
    for attempt in range(2):
        told = [{"RANK": str(rank), "MODELBOX_RUN_ID": "job-ranks"} for rank in range(ranks)]
        processes = [begun(script, server.address, **variables) for variables in told]
        out = [process.communicate(timeout=120) for process in processes]
        assert [process.returncode for process in processes] == [0] * ranks, out
        if attempt:
            assert out[0][0] == "20 ['0-20', '1-20', '2-20']\n"
    found = run_of(server, "job-ranks")
    assert {each["key"] for each in found["metrics"]["nodes"] if each["key"].startswith("rank")} == {
        "rank0", "rank1", "rank2",
    }  # fmt: skip
    assert all(each["status"] == "READY" for each in found["checkpoints"]["nodes"])
    assert found["status"] == "COMPLETED"


def test_a_version_is_used_by_its_tag(server: Server, clean: Path) -> None:
    script = """
    from pathlib import Path
    with mb.init(name="makes") as run:
        Path("m").mkdir(exist_ok=True)
        for name in ("a.bin", "deep/b.bin"):
            Path("m", name).parent.mkdir(exist_ok=True)
            Path("m", name).write_bytes(name.encode())
        run.checkpoint("m", step=1)
        run.register("used", tags=["prod"])
    with mb.init(name="uses") as run:
        for which in ("used:prod", "used:1"):
            folder = run.use(which)
            print(sorted((p.relative_to(folder).as_posix(), p.read_bytes().decode())
                         for p in folder.rglob("*") if p.is_file()))
        for wrong in ("used:nothing", "nobody:prod", "unnamed"):
            try:
                run.use(wrong)
            except mb.ModelBoxError as error:
                print(error.code)
        print(run.id)
    """
    out, _ = trained(script, server.address)
    lines = out.splitlines()
    assert lines[0] == lines[1] == str([("a.bin", "a.bin"), ("deep/b.bin", "deep/b.bin")])
    assert lines[2:5] == ["NO_SUCH_VERSION", "NO_SUCH_VERSION", "BAD_NAME"]
    assert run_of(server, lines[5])["metadata"]["uses/used:prod"] == "1"
    assert not list(clean.rglob("*.part"))
