"""A training script with a real server: what it says arrives, and nothing else happens to it."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.acceptance.server import Server, wait_until
from tests.client.training import begun, columns_of, ended, queue_of, run_of, trained

WHOLE = """
from pathlib import Path
import numpy as np
with mb.init(name="whole", hyperparameters={"lr": 0.01, "deep": {"er": [1]}}, labels=["baseline"]) as run:
    for step in range(300):
        run.log({"loss": step / 4, "val": {"acc": np.float32(0.5)}}, step=step)
    run.log({"note": "hello", "raw": b"\\x00\\x01"}, step=7)
    run.log({"unstepped": float("nan")})
    run.event("data_loaded", rows=3)
    with run.span("evaluate", split="val"):
        pass
    run.alert("slow", "very", "ERROR")
    run.metadata(commit="abc", nested={"a": 1})
    Path("weights.bin").write_bytes(b"w" * 100_000)
    run.checkpoint("weights.bin", step=299, metrics={"val/acc": 0.75}, pinned=True, note="good")
    Path("weights.bin").write_bytes(b"written over")
    run.log_artifact("weights.bin", name="late", kind="MODEL", why="test")
    run.track_artifact("s3://bucket/data", "data", digest="sha256:" + "0" * 64, size=5)
    run.register("reader", tags=["candidate"], score=1)
    print(run.id)
"""


@pytest.fixture(scope="module")
def whole(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Path]:
    here = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        out, err = trained(WHOLE, server.address)
    return out.strip(), err, here


def test_everything_that_was_said_arrives(server: Server, whole: tuple[str, str, Path]) -> None:
    run_id, err, here = whole
    found = run_of(server, run_id)
    assert (found["name"], found["status"], found["labels"]) == ("whole", "COMPLETED", ["baseline"])
    assert found["hyperparameters"] == {"lr": 0.01, "deep": {"er": [1]}}
    assert found["metadata"]["commit"] == "abc"
    assert found["metadata"]["nested"] == {"a": 1}
    counts = {each["key"]: (each["kind"], each["count"]) for each in found["metrics"]["nodes"]}
    assert counts["loss"] == counts["val/acc"] == ("FLOAT", 300)
    assert (counts["note"], counts["raw"], counts["unstepped"]) == (("STRING", 1), ("BYTES", 1), ("FLOAT", 1))
    columns = columns_of(server, run_id, "loss")["loss"]
    assert columns["steps"] == list(range(300))
    assert columns["values"] == [step / 4 for step in range(300)]
    assert queue_of(here) == []
    assert "whole" in err


def test_events_and_spans(server: Server, whole: tuple[str, str, Path]) -> None:
    events = {each["name"]: each for each in run_of(server, whole[0])["events"]["nodes"]}
    assert events["data_loaded"]["metadata"] == {"rows": 3}
    assert events["evaluate"]["endedAt"] >= events["evaluate"]["at"]
    assert events["alert"]["metadata"] == {"title": "slow", "text": "very", "level": "ERROR"}


def test_a_checkpoint_is_what_it_was_when_it_was_saved(server: Server, whole: tuple[str, str, Path]) -> None:
    [checkpoint] = run_of(server, whole[0])["checkpoints"]["nodes"]
    assert (checkpoint["step"], checkpoint["status"], checkpoint["isPinned"]) == (299, "READY", True)
    assert checkpoint["metadata"] == {"note": "good"}
    assert checkpoint["metrics"]["nodes"] == [{"key": "val/acc", "last": 0.75}]
    [artifact] = checkpoint["artifacts"]["nodes"]
    assert artifact["files"]["nodes"] == [{"path": "weights.bin", "size": 100_000}]
    [version] = checkpoint["versions"]["nodes"]
    assert (version["model"]["name"], version["uniqueTags"]) == ("reader", ["candidate"])


def test_artifacts(server: Server, whole: tuple[str, str, Path]) -> None:
    artifacts = {each["name"]: each for each in run_of(server, whole[0])["artifacts"]["nodes"]}
    [late] = artifacts["late"]["files"]["nodes"]
    assert httpx.get(f"{server.address}/{late['downloadUrl']}").content == b"written over"
    assert artifacts["data"]["files"]["nodes"][0]["size"] == 5


def test_a_taken_name_gets_an_ending(server: Server) -> None:
    ids = [trained("with mb.init(name='twice') as run: print(run.id)", server.address)[0].strip() for _ in range(2)]
    assert [run_of(server, id_)["name"] for id_ in ids] == ["twice", f"twice-{ids[1][:6]}"]


def test_what_is_wrong_is_said_once_and_the_rest_arrives(server: Server) -> None:
    out, err = trained(
        """
        run = mb.init(name="wrong")
        for step in range(50):
            run.log({"bad": object(), "k" * (1 << 20): 1.0, "good": 1.0}, step="seven")
        run.log_artifact("not/there")
        run.log(7)
        print(run.id)
        """,
        server.address,
    )
    told = [line for line in err.splitlines() if "[" in line]
    codes = sorted(line.split("[")[1].split(":")[0] for line in told)
    assert codes == ["BAD_KEY", "BAD_METRIC", "BAD_STEP", "CLIENT_FAULT", "NO_SUCH_FILE"]
    found = run_of(server, out.strip())
    assert {each["key"]: each["count"] for each in found["metrics"]["nodes"] if "system" not in each["key"]} == {
        "good": 50
    }
    assert found["status"] == "COMPLETED"


def test_a_series_of_another_kind_keeps_no_other_out(server: Server, clean: Path) -> None:
    script = """
    import time
    with mb.init(name="kinds") as run:
        run.log({"a": 1.0})
        run.flush()
        time.sleep(1)
        run.log({"a": "text", "b": "text"})
        run.log({"c": 2.0})
        print(run.id)
    """
    out, err = trained(script, server.address)
    found = {each["key"]: (each["kind"], each["count"]) for each in run_of(server, out.strip())["metrics"]["nodes"]}
    assert found["a"] == ("FLOAT", 1)
    assert (found["b"], found["c"]) == (("STRING", 1), ("FLOAT", 1))
    assert "[INVALID:" in err
    [queue] = queue_of(clean)
    [line] = (queue / "refused.jsonl").read_text().splitlines()
    assert json.loads(line)["what"]["columns"]["strings"] == {"a": ["text"]}


def test_a_script_that_fails_says_so(server: Server) -> None:
    out, _ = trained("run = mb.init(name='fails'); print(run.id, flush=True); raise SystemError", server.address, 1)
    assert run_of(server, out.strip())["status"] == "FAILED"


def test_termination_is_preemption(server: Server) -> None:
    process = begun(
        "import time; run = mb.init(name='preempted'); run.log({'x': 1.0}); print(run.id, flush=True); time.sleep(60)",
        server.address,
    )
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    process.terminate()
    ended(process, -15)
    found = run_of(server, run_id)
    assert found["status"] == "PREEMPTED"
    assert "x" in {each["key"] for each in found["metrics"]["nodes"]}


def test_a_killed_training_loses_nothing_that_is_older_than_a_fifth_of_a_second(server: Server, clean: Path) -> None:
    process = begun(
        """
        import time, itertools
        run = mb.init(name="killed")
        print(run.id, flush=True)
        for step in itertools.count():
            run.log({"x": float(step)}, step=step)
            print(step, time.monotonic(), flush=True)
            time.sleep(0.001)
        """,
        server.address,
    )
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    lines = [process.stdout.readline().split() for _ in range(1500)]
    process.kill()
    lines += [line.split() for line in process.stdout.read().split("\n")[:-1]]
    process.communicate()
    lines = [line for line in lines if len(line) == 2]
    sure = [int(step) for step, moment in lines if float(moment) < float(lines[-1][1]) - 0.2]
    wait_until(lambda: queue_of(clean) == [])
    steps = columns_of(server, run_id, "x")["x"]["steps"]
    assert steps[: len(sure)] == sure
    assert steps == list(range(len(steps)))
    assert run_of(server, run_id)["status"] == "KILLED"


def test_sixty_four_threads(server: Server) -> None:
    out, _ = trained(
        """
        import threading
        run = mb.init(name="threads")
        def work(n):
            for step in range(500):
                run.log({f"t{n % 8}": n * 1000.0 + step}, step=step)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(64)]
        [t.start() for t in threads]; [t.join() for t in threads]
        print(run.id)
        """,
        server.address,
    )
    columns = columns_of(server, out.strip(), *(f"t{n}" for n in range(8)))
    for n in range(8):
        assert sorted(columns[f"t{n}"]["values"]) == sorted(
            thread * 1000.0 + step for thread in range(n, 64, 8) for step in range(500)
        )


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children(server: Server, clean: Path, method: str) -> None:
    """A forked child that logs is a writer of its own; one that does not leaves the parent's alone."""
    (clean / "child.py").write_text(
        "import modelbox as mb, os\n"
        "def work(n, run_id):\n"
        "    run = mb.init(run_id=run_id) if run_id else mb.the_run()\n"
        "    run.log({f'child{n}': float(n)})\n"
        "def idle(n, run_id):\n    pass\n"
    )
    out, _ = trained(
        f"""
        import multiprocessing, sys
        sys.path.insert(0, {str(clean)!r})
        import child
        if __name__ == "__main__":
            run = mb.init(name="children-{method}")
            run.log({{"before": 1.0}})
            context = multiprocessing.get_context("{method}")
            run_id = None if "{method}" == "fork" else run.id
            for target in (child.work, child.idle):
                ps = [context.Process(target=target, args=(n, run_id)) for n in range(3)]
                [p.start() for p in ps]; [p.join() for p in ps]
            run.log({{"after": 1.0}})
            print(run.id)
        """,
        server.address,
    )
    found = run_of(server, out.strip())
    counts = {each["key"]: each["count"] for each in found["metrics"]["nodes"] if "system" not in each["key"]}
    assert counts == {"before": 1, "after": 1, "child0": 1, "child1": 1, "child2": 1}
    assert found["status"] == "COMPLETED"


def test_switched_off(clean: Path) -> None:
    out, err = trained(
        """
        with mb.init(name="off", mode="disabled") as run:
            run.log({"x": 1.0}); run.event("e"); run.checkpoint("not-there", step=1)
        print("fine")
        """,
        "http://127.0.0.1:9",
    )
    assert out == "fine\n"
    assert not (clean / ".modelbox").exists()
    assert err == ""


def test_without_a_run_a_warning() -> None:
    _, err = trained("mb.log({'x': 1}); mb.log({'x': 2}); mb.finish()", "http://127.0.0.1:9")
    assert err.count("NO_RUN") == 1


def test_a_sweep_within_a_job_has_runs_of_its_own(server: Server) -> None:
    """Only what every rank writes to is known by the job."""
    out, _ = trained(
        """
        for n in range(2):
            with mb.init(name=f"sweep-{n}", quiet=True) as run:
                run.log({"x": float(n)})
            print(run.id)
        for n in range(2):
            with mb.init(name=f"ranks-{n}", every_rank=True, quiet=True) as run:
                run.log({"x": float(n)})
            print(run.id)
        """,
        server.address,
        SLURM_JOB_ID="77",
    )
    first, second, third, fourth = out.split()
    assert first != second
    assert (third, fourth) == ("slurm-77", "slurm-77-2")
    assert [run_of(server, each)["name"] for each in out.split()] == ["sweep-0", "sweep-1", "ranks-0", "ranks-1"]


def test_an_id_may_be_anything(server: Server, clean: Path) -> None:
    out, _ = trained("with mb.init(run_id='../a/b') as run: run.log({'x': 1.0}); print(run.id)", server.address)
    assert run_of(server, out.strip())["status"] == "COMPLETED"
    assert queue_of(clean) == []
    assert not (clean / ".modelbox/a").exists()
