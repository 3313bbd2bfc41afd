"""What is left by a run that was killed with its sender; runs side by side in one process; datasets; waiting."""

from __future__ import annotations

from pathlib import Path

import psutil

from tests.acceptance.server import Server, wait_until
from tests.client.training import begun, columns_of, queue_of, run_of, trained

DATASETS = """query ($by: ExperimentBy!) { experiment(by: $by) { stallAfterSeconds
  datasets { nodes { role dataset { name digest uri profile } } } } }"""
LEGS = "query ($by: ExperimentBy!) { experiment(by: $by) { status legs { fromStep checkpoint { step } } } }"


def _asked(server: Server, query: str, run_id: str) -> dict[str, object]:
    found: dict[str, object] = server.graphql(query, by={"externalId": {"namespace": "default", "name": run_id}})
    return found["experiment"]  # type: ignore[return-value]


def test_what_a_killed_machine_left_is_sent_before_it_goes_on(server: Server, clean: Path) -> None:
    """The checkpoint was only on the disk when trainer and sender were killed at once; it is gone on from."""
    script = """
    import os, time
    from pathlib import Path
    run = mb.init(name="left")
    found = run.resume()
    start = found.step if found else 0
    print("from", start, flush=True)
    for step in range(start + 1, start + 11):
        run.log({"loss": step / 2}, step=step)
    Path("state").write_bytes(b"%d" % step)
    run.checkpoint("state", step=step)
    run.log({"loss": -1.0}, step=step + 1)
    time.sleep(0.5)
    print("saved", flush=True)
    time.sleep(WAIT)
    run.finish()
    """
    nobody = "http://127.0.0.1:9"
    first = begun(script.replace("found = run.resume()", "found = None").replace("WAIT", "60"), nobody,
                  MODELBOX_RUN_ID="left-1")  # fmt: skip
    assert first.stdout is not None
    assert [first.stdout.readline().strip() for _ in range(2)] == ["from 0", "saved"]
    for each in psutil.Process(first.pid).children(recursive=True):
        each.kill()
    first.kill()
    first.communicate()
    assert len(queue_of(clean)) == 1
    out, _ = trained(script.replace("WAIT", "0"), server.address, MODELBOX_RUN_ID="left-1")
    assert out.splitlines()[0] == "from 10"
    assert queue_of(clean) == []
    found = _asked(server, LEGS, "left-1")
    assert found == {"status": "COMPLETED", "legs": [{"fromStep": 10, "checkpoint": {"step": 10}}]}
    columns = columns_of(server, "left-1", "loss")["loss"]
    assert columns["steps"] == list(range(1, 22))
    assert columns["values"] == [*(step / 2 for step in range(1, 21)), -1.0]


def test_it_waits_for_the_sender_of_a_killed_training(server: Server, clean: Path) -> None:
    """Begun again at once, it does not run into what the first one's sender still says."""
    script = """
    import os, signal
    from pathlib import Path
    run = mb.init(name="at-once")
    found = run.resume()
    start = found.step if found else 0
    for step in range(start + 1, start + 1001):
        run.log({"loss": float(step)}, step=step)
    Path("state").write_bytes(b"x" * 1_000_000)
    run.checkpoint("state", step=step)
    run.log({"loss": 0.0}, step=step + 1)
    run.flush()
    if not found:
        os.kill(os.getpid(), signal.SIGKILL)
    run.finish()
    """
    first = begun(script, server.address, MODELBOX_RUN_ID="at-once-1")
    first.communicate(timeout=120)
    trained(script, server.address, MODELBOX_RUN_ID="at-once-1")
    wait_until(lambda: queue_of(clean) == [])
    found = _asked(server, LEGS, "at-once-1")
    assert found == {"status": "COMPLETED", "legs": [{"fromStep": 1000, "checkpoint": {"step": 1000}}]}
    assert columns_of(server, "at-once-1", "loss")["loss"]["steps"] == list(range(1, 2002))


def test_runs_side_by_side_in_threads(server: Server) -> None:
    """Each thread's `mb.log` goes to its own run; a thread that began none logs to the one that was begun last."""
    script = """
    import sys, threading
    meet = threading.Barrier(4)
    def work(n):
        with mb.init(name=f"side-{n}", run_id=f"side-{n}", quiet=True) as run:
            meet.wait()
            for step in range(200):
                mb.log({f"of{n}": float(step)}, step=step)
            assert mb.the_run() is run
            run.checkpoint(sys.executable, step=200)
            assert run.wait(60)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    [t.start() for t in threads]; [t.join() for t in threads]
    last = mb.init(run_id="side-last", quiet=True)
    other = threading.Thread(target=lambda: mb.log({"other": 1.0}))
    other.start(); other.join()
    """
    trained(script, server.address)
    for n in range(4):
        found = run_of(server, f"side-{n}")
        counts = {each["key"]: each["count"] for each in found["metrics"]["nodes"] if "system" not in each["key"]}
        assert (found["status"], counts) == ("COMPLETED", {f"of{n}": 200})
        assert [each["status"] for each in found["checkpoints"]["nodes"]] == ["READY"]
    found = run_of(server, "side-last")
    assert [each["key"] for each in found["metrics"]["nodes"] if "system" not in each["key"]] == ["other"]


def test_all_runs_of_a_process_that_is_terminated_are_preempted(server: Server) -> None:
    script = """
    import time
    runs = [mb.init(run_id=f"terminated-{n}") for n in range(3)]
    runs[0].finish()
    print("begun", flush=True)
    time.sleep(60)
    """
    process = begun(script, server.address)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.terminate()
    process.communicate(timeout=60)
    statuses = [run_of(server, f"terminated-{n}")["status"] for n in range(3)]
    assert statuses == ["COMPLETED", "PREEMPTED", "PREEMPTED"]


def test_datasets_are_noted(server: Server) -> None:
    digest = "sha256:" + 64 * "a"
    script = f"""
    for run_id in ("uses-1", "uses-2"):
        with mb.init(run_id=run_id, stall_after=120) as run:
            run.use_dataset("images", digest="{digest}", profile={{"rows": 3}})
            run.use_dataset("labels", "validation", uri="s3://somewhere/labels")
    """
    trained(script, server.address)
    for run_id in ("uses-1", "uses-2"):
        found = _asked(server, DATASETS, run_id)
        images = {"name": "images", "digest": digest, "uri": None, "profile": {"rows": 3}}
        labels = {"name": "labels", "digest": None, "uri": "s3://somewhere/labels", "profile": None}
        assert found["stallAfterSeconds"] == 120
        assert found["datasets"] == {
            "nodes": [{"role": "validation", "dataset": labels}, {"role": "train", "dataset": images}]
        }


def test_waiting_ends_when_all_is_there_or_the_time_is_up(server: Server) -> None:
    script = """
    from pathlib import Path
    run = mb.init(run_id="waits")
    Path("state").write_bytes(b"x" * 20_000_000)
    run.log({"loss": 1.0}, step=1)
    run.checkpoint("state", step=1)
    print(run.wait(60), flush=True)
    api = mb.Api()
    [found] = [each for each in api.experiments("default") if each.external_id == "waits"]
    print([each.status for each in api.checkpoints(found)])
    """
    assert trained(script, server.address)[0].splitlines() == ["True", "['READY']"]
    alone = "run = mb.init(run_id='waits'); print(run.wait(1)); run.finish(timeout=0)"
    assert trained(alone, "http://127.0.0.1:9")[0] == "False\n"
    assert trained("print(mb.init(mode='disabled').wait(1))", server.address)[0] == "True\n"


def test_many_fetch_the_same_files_at_once(server: Server) -> None:
    script = """
    import threading
    from pathlib import Path
    Path("weights").write_bytes(bytes(range(256)) * 40_000)
    with mb.init(run_id="makes-shared") as run:
        run.checkpoint("weights", step=1)
        run.register("shared")
    meet, found = threading.Barrier(6), []
    def work(n):
        with mb.init(run_id=f"fetches-{n}", quiet=True) as run:
            meet.wait()
            found.append((run.use("shared:1") / "weights").read_bytes() == Path("weights").read_bytes())
    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    [t.start() for t in threads]; [t.join() for t in threads]
    print(found)
    """
    assert trained(script, server.address)[0] == f"{6 * [True]}\n"
