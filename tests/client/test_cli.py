"""The commands that read and change, against a real server."""

from __future__ import annotations

import csv
import json
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from modelbox.api import Api
from modelbox.errors import Refused
from tests.acceptance.server import Server
from tests.client.program import at_a_terminal, begun, modelbox
from tests.client.records import CHECKPOINT, EVENTS, FINISH, change, experiment, log, upload, version

pytestmark = pytest.mark.acceptance


@pytest.fixture
def here(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The configured server."""
    monkeypatch.setenv("MODELBOX_SERVER", server.address)
    return server


# --- run ---


def test_runs_are_listed_for_programs_and_for_people(here: Server) -> None:
    done = experiment(here, "first", namespace="list", labels=["a"], hyperparameters={"lr": 1})
    experiment(here, "second", namespace="list", hyperparameters={"lr": 2})
    change(here, FINISH, id=done, status="FAILED")

    assert [row[:3] for row in modelbox("run", "list", "--namespace", "list").rows] == [
        ["second", "RUNNING", "list"],
        ["first", "FAILED", "list"],
    ]
    found = modelbox("run", "list", "--namespace", "list", "--status", "failed", "--label", "a", "--json")
    assert [(each["id"], each["status"]) for each in found.json] == [(done, "FAILED")]
    sorted_ = modelbox("run", "list", "--namespace", "list", "--sort", "hyperparameter:lr", "--limit", "1")
    assert sorted_.rows[0][0] == "first"
    assert "--limit shows more" in sorted_.err

    code, shown = at_a_terminal("run", "list", "--namespace", "list")
    assert (code, "NAME" in shown, "\x1b[31mFAILED\x1b[0m" in shown) == (0, True, True)
    _, plain = at_a_terminal("run", "list", "--namespace", "list", NO_COLOR="1")
    assert ("FAILED" in plain, "\x1b" in plain) == (True, False)


def test_a_run_is_shown_with_its_figures(here: Server) -> None:
    made = experiment(here, "shown", namespace="show/it", hyperparameters={"optimizer": {"lr": 0.1}})
    log(here, made, [0, 1, 2], loss=[1.0, 0.25, 0.5])
    change(here, CHECKPOINT, experimentId=made, step=1)

    found = modelbox("run", "show", "show/it/shown")
    assert found.code == 0
    assert ["hyperparameters/optimizer/lr", "0.1"] in found.rows
    assert ["loss", "3", "2", "0.5", "0.25", "1", "0.583333"] in found.rows
    told = modelbox("run", "show", made, "--json").json
    assert (told["experiment"]["namespace"], told["metrics"][0]["lastStep"]) == ("show/it", 2)


def test_signs_that_steer_a_terminal_are_not_printed(here: Server) -> None:
    experiment(here, "steer", namespace="steer", description="a\x1b]0;b\x07\tc")
    assert "a�]0;b��c" in modelbox("run", "show", "steer/steer").out


def test_runs_are_compared(here: Server) -> None:
    for name, rate in (("a", 0.1), ("b", 0.2)):
        made = experiment(here, name, namespace="diff", hyperparameters={"lr": rate, "same": 1})
        log(here, made, [1], loss=[rate])
    assert modelbox("run", "diff", "diff/a", "diff/b").rows == [["lr", "0.1", "0.2"], ["loss", "0.1", "0.2"]]
    assert len(modelbox("run", "diff", "diff/a", "diff/b", "--json").json["experiments"]) == 2
    assert modelbox("run", "diff", "diff/a").code == 2


def test_a_run_is_deleted_only_when_that_is_wanted(here: Server) -> None:
    api = Api(here.address, namespace="rm")
    for name in ("a", "b", "c"):
        experiment(here, name, namespace="rm")

    refused = modelbox("run", "rm", "rm/a")
    assert (refused.code, refused.out) == (7, "")
    assert "Next: modelbox run rm … --yes" in refused.err
    code, shown = at_a_terminal("run", "rm", "rm/a", asked="[y/N]", typed="n\n")
    assert (code, "Delete rm/a? [y/N]" in shown) == (7, True)
    assert modelbox("run", "rm", "rm/a", "rm/none", "--yes").code == 5
    assert {each.name for each in api.experiments("rm")} == {"a", "b", "c"}

    both = [api.experiment(name).id for name in ("a", "b")]
    assert modelbox("run", "rm", "rm/a", "rm/b", "--yes", "--json").json == both
    code, _ = at_a_terminal("run", "rm", "rm/c", asked="[y/N]", typed="y\n")
    assert code == 0
    assert list(api.experiments("rm")) == []


def test_points_are_followed_until_the_run_has_ended(here: Server) -> None:
    made = experiment(here, "tail", namespace="tail")
    log(here, made, [0], loss=[1.5], other=[1])
    following = begun("run", "tail", "tail/tail", "--all", "--key", "loss")
    assert following.stdout is not None
    assert following.stderr is not None
    assert "Following tail" in following.stderr.readline()
    assert following.stdout.readline() == "0\tloss\t1.5\n"
    log(here, made, [1, 2], loss=[0.5, "NaN"])
    assert [following.stdout.readline() for _ in range(2)] == ["1\tloss\t0.5\n", "2\tloss\tnan\n"]
    change(here, FINISH, id=made, status="COMPLETED")
    out, err = following.communicate(timeout=60)
    assert (following.returncode, out, err) == (0, "", "tail is COMPLETED.\n")


def test_following_is_left_with_an_interrupt(here: Server) -> None:
    made = experiment(here, "left", namespace="tail")
    following = begun("run", "tail", made, "--json")
    assert following.stdout is not None
    assert following.stderr is not None
    following.stderr.readline()
    log(here, made, [3], loss=[0.5])
    assert json.loads(following.stdout.readline()) == {"key": "loss", "step": 3, "value": 0.5}
    following.send_signal(signal.SIGINT)
    _, err = following.communicate(timeout=60)
    assert (following.returncode, err) == (130, "")


# --- metric ---


def test_points_are_printed_to_the_last_bit(here: Server) -> None:
    made = experiment(here, "points", namespace="get")
    log(here, made, [0, 1, 2], loss=[0.1 + 0.2, "NaN", 1e300], acc=[1, 2, 3])

    rows = list(csv.DictReader(modelbox("metric", "get", "get/points", "--csv").out.splitlines()))
    assert {row["key"] for row in rows} == {"loss", "acc"}
    values = [row["value"] for row in rows if row["key"] == "loss"]
    assert values == ["0.30000000000000004", "nan", "1e+300"]
    assert datetime.fromisoformat(rows[0]["wallTime"]).tzinfo is not None if rows[0]["wallTime"] else True

    assert [row[1] for row in modelbox("metric", "get", made, "loss", "--from", "1", "--to", "1").rows] == ["1"]
    assert modelbox("metric", "get", made, "loss", "--json").json["loss"]["values"] == [0.1 + 0.2, "NaN", 1e300]
    missing = modelbox("metric", "get", made, "none")
    assert (missing.code, "There is no series 'none'" in missing.err) == (5, True)


# --- model ---


def test_models_are_listed_shown_promoted_and_remembered(here: Server) -> None:
    version(here, "net", "1", "model")
    second = version(here, "net", "2", "model")
    digest = upload(here, second, "weights", "a.bin", b"bytes")

    first = modelbox("model", "promote", "model/net:1", "prod")
    assert (first.code, first.err) == (0, "prod of model/net points to 1.\n")
    between = datetime.now(UTC).isoformat()
    moved = modelbox("model", "promote", second, "prod", "--json")
    assert moved.err == "prod of model/net points to 2; before, to 1.\n"
    assert (moved.json["version"]["uniqueTags"], moved.json["previousVersion"]["version"]) == (["prod"], "1")

    assert modelbox("model", "list", "--namespace", "model").rows[0][:3] == ["net", "model", "prod=2"]
    shown = modelbox("model", "show", "model/net").rows
    assert [row[0] for row in shown[-2:]] == ["2", "1"]
    assert ["weights", "a.bin", "5", digest] in modelbox("model", "show", "model/net:prod").rows
    assert modelbox("model", "show", second, "--json").json["artifacts"][0]["files"][0]["digest"] == digest

    assert [row[1:4] for row in modelbox("model", "history", "model/net").rows] == [
        ["prod", "2", "1"],
        ["prod", "1", ""],
    ]
    assert modelbox("model", "history", "model/net", "--as-of", between).rows[0][:2] == ["prod", "1"]
    assert modelbox("model", "history", "model/net", "--as-of", "soon").code == 2


# --- event, query ---


def test_events_are_followed(here: Server) -> None:
    made = experiment(here, "eventful", namespace="event")
    following = begun("event", "tail", "--namespace", "event", "--name", "evaluated", "--json")
    assert following.stdout is not None
    assert following.stderr is not None
    assert "Following events of event" in following.stderr.readline()
    change(here, EVENTS, events=[{"objectId": made, "name": name} for name in ("other", "evaluated")])
    heard = json.loads(following.stdout.readline())
    following.send_signal(signal.SIGINT)
    following.communicate(timeout=60)
    assert (heard["name"], heard["objectId"], following.returncode) == ("evaluated", made, 130)


@pytest.mark.usefixtures("here")
def test_any_operation_is_sent(clean: Path) -> None:
    document = "query Q($n: Int, $path: String) { experiments(first: $n, namespace: $path) { nodes { name } } }"
    (clean / "q.graphql").write_text(document)
    expected: dict[str, Any] = {"experiments": {"nodes": []}}
    variables = ("--var", "n=1", "--var", "path=nothing")
    assert modelbox("query", document, *variables).json == expected
    assert modelbox("query", "@q.graphql", *variables).json == expected
    assert modelbox("query", "-", *variables, given=document).json == expected
    wrong = modelbox("query", "{ nothing }")
    assert (wrong.code, "GRAPHQL_VALIDATION_FAILED" in wrong.err) == (1, True)
    assert modelbox("query", "@missing").code == 2
    assert modelbox("query", document, "--var", "n").code == 2


@pytest.mark.usefixtures("here")
def test_who_reads_no_further_hears_no_complaint() -> None:
    following = begun("query", "{ __schema { types { name description } } }")
    assert following.stdout is not None
    assert following.stderr is not None
    following.stdout.readline()
    following.stdout.close()
    assert (following.stderr.read(), following.wait(60)) == ("", 0)
    following.stderr.close()


def test_a_deleted_run_is_refused_by_the_api_too(here: Server) -> None:
    experiment(here, "gone", namespace="gone")
    modelbox("run", "rm", "gone/gone", "--yes")
    with pytest.raises(Refused):
        Api(here.address).experiment("gone/gone")
