"""What is found out about code, machine and command, and how it reaches the run; and that each part can be left out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from modelbox.capture import asking, command, git, gpu, host, packages
from modelbox.capture.environment import at_once
from modelbox.capture.system import Machine
from modelbox.configuration import NAMES, Configuration, load
from modelbox.points import Columns
from modelbox.queue.progress import Place
from modelbox.sender.queue_reader import QueueReader
from modelbox.warnings import Warnings
from modelbox.watch import Beside
from tests.acceptance.server import Server, wait_until
from tests.client.training import columns_of, queue_of, run_of, trained

SECRET = "hf_aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0hJ3k"
PARTS = tuple(name for name in NAMES if name.startswith("capture_"))


def git_(*words: str, folder: Path) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@a.example", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(clean: Path) -> Path:
    (clean / ".git").rmdir()
    git_("init", folder=clean)
    (clean / "train.py").write_text("lr = 1\n")
    git_("add", ".", folder=clean)
    git_("commit", "-m", "first", folder=clean)
    git_("remote", "add", "other", "https://other.example/a.git", folder=clean)
    git_("remote", "add", "origin", f"https://me:{SECRET}@git.example/a.git", folder=clean)
    return clean


def head(folder: Path) -> str:
    return git_("rev-parse", "HEAD", folder=folder).strip()


# --- Code ---


def test_commit_branch_and_remote_are_read(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {"commit": head(repository), "branch": "main", "remote": "https://***@git.example/a.git"}
    assert git.at_once() == expected
    below = repository / "deep" / "er"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert git.at_once() == expected
    git_("pack-refs", "--all", folder=repository)
    assert git.at_once() == expected


def test_a_branch_of_several_words_and_no_branch(repository: Path) -> None:
    git_("checkout", "-b", "feature/new", folder=repository)
    assert git.at_once()["branch"] == "feature/new"
    git_("checkout", "--detach", folder=repository)
    assert "branch" not in git.at_once()
    assert git.at_once()["commit"] == head(repository)


def test_a_worktree_has_its_own(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git_("worktree", "add", "-b", "side", "../side", folder=repository)
    monkeypatch.chdir(repository.parent / "side")
    assert git.at_once() == {"commit": head(repository), "branch": "side", "remote": "https://***@git.example/a.git"}


def test_what_is_no_repository_is_no_error(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in git.ORIGINS["commit"]:
        monkeypatch.delenv(name, raising=False)
    assert git.at_once() == {}
    assert git.state(clean, with_diff=True) == {}
    (clean / ".git" / "HEAD").write_bytes(b"\xff\xfe")
    assert "git" not in at_once(Configuration())
    monkeypatch.setenv("CI_COMMIT_SHA", "abc")
    (clean / ".git" / "HEAD").unlink()
    assert git.at_once()["commit"] == "abc"


def test_a_first_commit_that_is_not_there_yet(clean: Path) -> None:
    (clean / ".git").rmdir()
    git_("init", folder=clean)
    (clean / "a").touch()
    git_("add", ".", folder=clean)
    assert git.at_once() == {"branch": "main"}
    assert git.state(clean, with_diff=True) == {"dirty": True, "changedFiles": 1}


def test_whether_the_code_is_changed_and_how_if_that_is_wanted(repository: Path) -> None:
    assert git.state(repository, with_diff=True) == {"dirty": False, "changedFiles": 0, "commit": head(repository)}
    (repository / "train.py").write_text(f"lr = 2\nlogin('{SECRET}')\npassword = 'mine'\ntoken = next(words)\n")
    assert git.state(repository, with_diff=False) == {"dirty": True, "changedFiles": 1, "commit": head(repository)}
    found = git.state(repository, with_diff=True)
    assert "-lr = 1\n+lr = 2\n+login('***')\n+password = '***'\n+token = next(words)\n" in found["diff"]
    assert found["isDiffCut"] is False


def test_a_long_diff_is_cut_between_lines(repository: Path) -> None:
    (repository / "train.py").write_text("a line of code\n" * 100_000)
    found = git.state(repository, with_diff=True)
    assert found["isDiffCut"] is True
    assert git.LARGEST_DIFF - 100 < len(found["diff"]) <= git.LARGEST_DIFF
    assert found["diff"].endswith("+a line of code\n")


def test_nothing_of_the_repositorys_is_run(repository: Path) -> None:
    for name, value in (("core.fsmonitor", "touch ran"), ("diff.external", "touch ran"), ("core.pager", "touch ran")):
        git_("config", name, value, folder=repository)
    (repository / "train.py").write_text("lr = 2\n")
    assert git.state(repository, with_diff=True)["dirty"] is True
    assert not (repository / "ran").exists()


def test_without_git_only_its_files_are_read(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert git.state(repository, with_diff=True) == {}
    assert git.at_once()["branch"] == "main"


# --- Other programs ---


@pytest.mark.parametrize("script", ["import time; time.sleep(60)", "import os, time; os.close(1); time.sleep(60)"])
def test_who_is_slow_is_not_waited_for(script: str) -> None:
    before = psutil.Process().children()
    assert asking.asked([sys.executable, "-c", script], seconds=1) is None
    assert psutil.Process().children() == before


def test_who_fails_has_said_nothing_and_who_says_too_much_is_cut() -> None:
    assert asking.asked([sys.executable, "-c", "print(1); raise SystemExit(3)"], seconds=30) is None
    answer = asking.asked([sys.executable, "-c", "while True: print('0123456789')"], seconds=30, most=1_000)
    assert answer == asking.Answer("0123456789\n" * 90, is_cut=True)


# --- Machine, command, packages ---


def test_the_machine() -> None:
    found = host.at_once()
    assert found["name"] == os.uname().nodename
    assert found["cpuCount"] == os.cpu_count()
    assert found["memoryBytes"] == psutil.virtual_memory().total
    assert found["system"].startswith(f"{os.uname().sysname} ")
    assert all(value for value in found.values())
    assert not any(os.environ.get("USER") == value for value in found.values())


def test_the_schedulers_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in host.JOB:
        monkeypatch.delenv(name, raising=False)
    assert host.job() == {}
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n[1-4]")
    monkeypatch.setenv("SLURM_JWT", SECRET)
    assert host.job() == {"id": "17", "nodeList": "n[1-4]"}


def test_the_command_without_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["/usr/bin/python3", "-m", "train", "--api-key", "abc", f"--url=https://a:{SECRET}@b", "bad\udcff", "--n=3"]
    monkeypatch.setattr(sys, "orig_argv", words)
    expected = ["python", "-m", "train", "--api-key", "***", "--url=https://***@b", "bad?", "--n=3"]
    assert command.words() == expected
    monkeypatch.setattr(sys, "orig_argv", ["python", "-c", "x" * 5_000, *["a"] * 5_000])
    found = command.words()
    assert len(found) == command.MOST_WORDS + 2
    assert found[-1] == "…"
    assert len(found[2]) == command.LONGEST_WORD + 1


def test_packages_by_name_and_the_one_that_is_imported(clean: Path) -> None:
    first, second = clean / "first", clean / "second"
    for folder, version in ((first, "2.0"), (second, "1.0")):
        (folder / "some_thing.dist-info").mkdir(parents=True)
        about = f"Metadata-Version: 2.1\nName: Some_Thing\nVersion: {version}\n\nVersion: of the description\n"
        (folder / "some_thing.dist-info/METADATA").write_text(about)
    (second / "broken.dist-info").mkdir()
    assert packages.installed([str(first), str(second), str(clean / "none")]) == {"some-thing": "2.0"}
    here = packages.installed(sys.path)
    assert here["psutil"] == psutil.__version__
    assert here["pytest"] == pytest.__version__


# --- Load ---


def test_the_load_of_the_machine() -> None:
    machine = Machine()
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    found = machine.sample()
    wanted = {"process_cpu_percent", "process_memory_bytes", "memory_percent", "network_in_bytes_per_second"}
    assert wanted <= found.keys()
    assert found["process_cpu_percent"] > 0
    assert 0 <= found.get("cpu_percent", 0) <= 100
    assert 0 < found["memory_percent"] < 100
    used = psutil.Process().memory_info().rss
    assert used / 2 < found["process_memory_bytes"] < used * 2


def test_gpus_by_the_drivers_program(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = clean / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in *name*) echo "0, Fast One, 81559, 550.1"; exit;; esac\n'
        'echo "0, 97, 1024, 4096, 301.5, 61"; echo "1, 3, 0, 4096, [N/A], 40"; exec sleep 60\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{clean}:{os.environ['PATH']}")
    assert host.gpus() == [{"index": "0", "name": "Fast One", "memoryMiB": "81559", "driver": "550.1"}]

    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(gpu, "is_there", lambda: True)
    gpus = gpu.Gpus()
    wait_until(lambda: len(gpus.sample()) == 9)
    found = gpus.sample()
    assert found["gpu/0/percent"] == 97
    assert found["gpu/0/memory_bytes"] == 1 << 30
    assert found["gpu/0/memory_percent"] == 25
    assert found["gpu/1/temperature_celsius"] == 40
    assert "gpu/1/power_watts" not in found
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert {name.split("/")[1] for name in gpus.sample()} == {"1"}
    gpus.close()
    assert not [each for each in psutil.Process().children() if "nvidia-smi" in " ".join(each.cmdline())]


def test_gpus_by_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: int) -> int:
        raise LookupError

    library = SimpleNamespace(
        nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: 1, nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetMemoryInfo=lambda device: SimpleNamespace(used=1, total=4), NVMLError=LookupError,
        nvmlDeviceGetUtilizationRates=lambda device: SimpleNamespace(gpu=50),
        nvmlDeviceGetPowerUsage=lambda device: 250_000, nvmlDeviceGetTemperature=refused,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setattr(gpu, "is_there", lambda: True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    gpus = gpu.Gpus()
    wait_until(lambda: bool(gpus.sample()))
    assert gpus.sample() == {
        "gpu/0/percent": 50, "gpu/0/memory_bytes": 1, "gpu/0/memory_percent": 25, "gpu/0/power_watts": 250,
    }  # fmt: skip


def test_a_machine_without_gpus_is_asked_nothing() -> None:
    gpus = gpu.Gpus()
    assert gpus.sample() == {}
    gpus.close()


# --- How it reaches the run ---


def frames_of(folder: Path) -> tuple[dict[str, Any], dict[str, Any], Columns]:
    """The start, the metadata and the points of the queue in a folder."""
    start: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    columns = Columns()
    [queue] = queue_of(folder)
    for found in QueueReader(queue).read(Place()):
        if found.frame.kind == "start":
            start = found.frame.head["input"]
        elif found.frame.kind == "metadata":
            metadata |= found.frame.head["metadata"]
        elif found.frame.kind == "points":
            columns.add(found.frame.head, found.frame.body)
    return start, metadata, columns


def test_a_run_keeps_all_of_it(repository: Path) -> None:
    (repository / "train.py").write_text("lr = 2\n")
    script = """
    import modelbox.capture.system as system, time
    system.FIRST_SECONDS = system.EVERY_SECONDS = 0.2
    run = mb.init(hyperparameters={"lr": 1, "hub": {"api_key": "abc"}, "tokenizer": "gpt2"})
    while not run.shown.series:
        time.sleep(0.1)
    """
    trained(script, "http://127.0.0.1:9", MODELBOX_MODE="offline", MODELBOX_CAPTURE_DIFF="1")
    start, metadata, columns = frames_of(repository)
    environment = start["environment"]
    assert environment["git"]["commit"] == head(repository)
    assert environment["command"][:4] == ["python", "-W", "error", "-c"]
    assert environment["host"] == host.at_once()
    assert environment["python"] == sys.version.split()[0]
    assert start["hyperparameters"] == {"lr": 1, "hub": {"api_key": "***"}, "tokenizer": "gpt2"}
    assert metadata["environment/packages"]["psutil"] == psutil.__version__
    assert "+lr = 2" in metadata["environment/git"]["diff"]
    assert {"system/memory_percent", "system/process_memory_bytes"} <= set(columns.keys)
    assert not [key for key in columns.keys if not key.startswith("system/")]


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("off", PARTS)
def test_each_part_can_be_left_out(monkeypatch: pytest.MonkeyPatch, off: str) -> None:
    monkeypatch.setenv(f"MODELBOX_{off.upper()}", "false")
    places = {"capture_git": "git", "capture_command": "command", "capture_host": "host", "capture_packages": "python"}
    found = at_once(load())
    assert found.keys() - {"job"} == set(places.values()) - {places.get(off)}


def test_with_all_left_out_nothing_is_kept_and_nobody_asked(repository: Path) -> None:
    (repository / "modelbox.toml").write_text("".join(f"{part} = false\n" for part in PARTS))
    script = """
    import subprocess, time
    subprocess.Popen = None
    import modelbox.capture.system as system
    system.FIRST_SECONDS = 0.0
    mb.init(hyperparameters={"api_key": "abc"})
    time.sleep(0.5)
    """
    _, err = trained(script, "http://127.0.0.1:9", MODELBOX_MODE="offline")
    start, metadata, columns = frames_of(repository)
    assert start["environment"] == {}
    assert start["hyperparameters"] == {"api_key": "***"}  # There is no setting for that.
    assert metadata == {}
    assert columns.keys == []
    assert "CLIENT_FAULT" not in err


def test_the_server_has_it_in_the_end(server: Server, repository: Path) -> None:
    out, _ = trained("with mb.init() as run: print(run.id)", server.address)
    query = "query ($by: ExperimentBy!) { experiment(by: $by) { environment } }"
    by = {"externalId": {"namespace": "default", "name": out.strip()}}
    environment = server.graphql(query, by=by)["experiment"]["environment"]
    assert environment["git"]["commit"] == head(repository)
    metadata = run_of(server, out.strip())["metadata"]
    assert metadata["environment/packages"]["psutil"] == psutil.__version__
    assert metadata["environment/git"] == {"dirty": False, "changedFiles": 0, "commit": head(repository)}


def test_series_of_the_machine_reach_the_server(server: Server) -> None:
    script = """
    import modelbox.capture.system as system, time
    system.FIRST_SECONDS = system.EVERY_SECONDS = 0.2
    with mb.init(quiet=True) as run:
        while run.shown.points < 20:
            run.log({"loss": 1.0}, step=run.shown.points)
            time.sleep(0.1)
    print(run.id)
    """
    out, _ = trained(script, server.address)
    found = columns_of(server, out.strip(), "system/memory_percent")["system/memory_percent"]
    assert 0 < found["values"][0] < 100


def test_a_fork_leaves_what_the_parent_has_begun_alone(clean: Path) -> None:
    script = """
    import os, time
    run = mb.init()
    time.sleep(0.15)
    if os.fork() == 0:
        run.finish()
        os._exit(0)
    os.wait()
    run.finish()
    """
    trained(script, "http://127.0.0.1:9", MODELBOX_MODE="offline")
    _, metadata, _ = frames_of(clean)
    assert "environment/packages" in metadata


def test_a_part_that_fails_is_told_of_once_and_out(capsys: pytest.CaptureFixture[str]) -> None:
    turns: list[str] = []
    ended: list[str] = []
    warnings = Warnings()
    beside = Beside(warnings)
    beside.add(lambda: turns.append(str(1 // 0)), lambda: ended.append(str(1 // 0)))
    beside.add(lambda: turns.append("good"), lambda: ended.append("good"))
    for _ in range(3):
        beside.tick()
    assert turns == ["good"] * 3
    assert capsys.readouterr().err.count("ZeroDivisionError") == 1
    with pytest.raises(ZeroDivisionError):
        beside.end()
    beside.tick()
    assert ended == ["good"]
    assert turns == ["good"] * 3
    assert json.dumps(warnings.codes) == '["CLIENT_FAULT"]'
