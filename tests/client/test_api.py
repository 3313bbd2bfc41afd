"""`mb.Api()` against a real server."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from modelbox.api import Api
from modelbox.errors import ModelBoxError, Refused, Unreachable
from tests.acceptance.server import Server
from tests.client.records import CHECKPOINT, EVENTS, FINISH, TAG, change, experiment, log, upload, version

pytestmark = pytest.mark.acceptance
MANY = 103


@pytest.fixture
def api(server: Server) -> Api:
    return Api(server.address)


@pytest.fixture(scope="module")
def many(server: Server) -> list[str]:
    return [experiment(server, f"r{n}", namespace="many", hyperparameters={"lr": {"base": n}}) for n in range(MANY)]


def test_a_list_is_read_page_by_page_and_again(api: Api, many: list[str]) -> None:
    rows = api.experiments("many")
    assert [each.id for each in rows] == many[::-1]
    assert len(list(rows)) == MANY
    assert [each.name for each in api.experiments("many", limit=101)][-1] == "r2"
    first = rows.first()
    assert first is not None
    assert (first.name, first.namespace, first.status) == (f"r{MANY - 1}", "many", "RUNNING")
    assert first.created_at.tzinfo is not None
    assert api.experiments("many", limit=2).records()[0]["hyperparameters/lr/base"] == MANY - 1
    assert list(api.experiments("none")) == []


def test_experiments_are_found_by_what_they_are(api: Api, server: Server) -> None:
    done = experiment(server, "done", namespace="found", labels=["a", "b"], hyperparameters={"lr": 2})
    experiment(server, "begun", namespace="found/below", labels=["a"], hyperparameters={"lr": 1})
    change(server, FINISH, id=done, status="COMPLETED")

    def names(namespace: str = "found", **how: object) -> list[str]:
        return [each.name for each in api.experiments(namespace, **how)]  # type: ignore[arg-type]

    assert names() == ["begun", "done"]
    assert names(descendants=False) == ["done"]
    assert names(status="RUNNING") == ["begun"]
    assert names(status=["RUNNING", "COMPLETED"], labels=["a", "b"]) == ["done"]
    assert names(labels="a", filter={"name": {"startsWith": "be"}}) == ["begun"]
    assert names(order="name") == ["begun", "done"]
    assert names(order="-name") == names(order="-hyperparameter:lr") == ["done", "begun"]


def test_an_experiment_is_named_in_three_ways(api: Api, server: Server) -> None:
    made = experiment(server, "named", namespace="a/b", environment={"python": "3.11"})
    found = api.experiment("a/b/named")
    assert (
        found
        == api.experiment(made)
        == api.experiment(found)
        == Api(server.address, namespace="a/b").experiment("named")
    )
    assert api.environment(found) == {"python": "3.11"}
    with pytest.raises(Refused, match="There is no experiment 'named'") as caught:
        api.experiment("named")
    assert caught.value.code == "NOT_FOUND"
    with pytest.raises(Refused):
        list(api.checkpoints("named"))


def test_points_come_as_columns_or_as_a_curve(api: Api, server: Server) -> None:
    made = experiment(server, "curve")
    log(server, made, range(1000), train_loss=[1 / (n + 1) for n in range(999)] + ["NaN"], val_acc=[0.5] * 1000)

    first, second = api.series("curve")
    assert (first.key, first.count, first.last_step, second.key) == ("train/loss", 1000, 999, "val/acc")
    assert [each.key for each in api.series(made, prefix="val")] == ["val/acc"]
    assert [each.key for each in api.series(made, keys=["train/loss"])] == ["train/loss"]

    columns = api.columns(made, "train/loss")
    assert columns.values is not None
    assert columns.steps == list(range(1000))
    assert columns.values[:2] == [1.0, 0.5]
    assert math.isnan(columns.values[-1] or 0)
    assert api.columns(made, "train/loss", start=10, stop=11).steps == [10, 11]

    sample = api.sample(made, "val/acc", max_points=10)
    assert (sample.raw_count, sample.is_exact, len(sample.x) <= 10) == (1000, False, True)
    with pytest.raises(Refused, match="There is no series 'none'"):
        api.columns(made, "none")


def test_a_version_is_found_by_tag_or_by_its_own_word(api: Api, server: Server) -> None:
    made = version(server, "net", "1.0", "models", labels=["x"])
    newer = version(server, "net", "2.0", "models")
    change(server, TAG, versionId=made, tag="prod")
    between = datetime.now(UTC)
    change(server, TAG, versionId=newer, tag="prod")
    digest = upload(server, newer, "weights", "model/a.bin", b"bytes")

    found = api.version("models/net:prod")
    assert found == api.version("models/net:2.0") == api.version(newer)
    assert (found.model, found.version, found.namespace, found.unique_tags) == ("net", "2.0", "models", ["prod"])
    ((file,),) = [artifact.files for artifact in found.artifacts]
    assert (file.path, file.size, file.digest) == ("model/a.bin", 5, digest)
    assert b"".join(api.connection.get(str(file.download_url))) == b"bytes"
    assert [each.name for each in api.artifacts(found)] == ["weights"]

    was = api.version_by_tag("models/net", "prod", between)
    assert was is not None
    assert was.version == "1.0"
    assert [(each.version, each.previous_version) for each in api.tag_history("models/net", tag="prod")] == [
        ("2.0", "1.0"),
        ("1.0", None),
    ]
    assert [each.version for each in api.versions("models/net")] == ["2.0", "1.0"]
    model = api.model("models/net")
    assert [(each.tag, each.version) for each in model.unique_tags] == [("prod", "2.0")]
    assert [each.name for each in api.models("models")] == ["net"]


@pytest.mark.parametrize("reference", ["net", "net:", ":prod"])
def test_a_reference_needs_both_parts(api: Api, reference: str) -> None:
    with pytest.raises(ModelBoxError, match="model:tag"):
        api.version(reference)


def test_a_version_that_is_not_there_is_not_found(api: Api) -> None:
    with pytest.raises(Refused, match="There is no model version 'models/net:none'"):
        api.version("models/net:none")


def test_the_rest_of_an_objects_story(api: Api, server: Server) -> None:
    made = experiment(server, "story", namespace="story")
    change(server, CHECKPOINT, experimentId=made, name="c", step=3, epoch=0.5)
    change(server, EVENTS, events=[{"objectId": made, "name": "evaluated", "source": "ci", "metadata": {"ok": True}}])

    (checkpoint,) = api.checkpoints("story/story")
    assert (checkpoint.name, checkpoint.step, checkpoint.epoch, checkpoint.experiment_id) == ("c", 3, 0.5, made)
    (event,) = api.events(of=made)
    assert (event.name, event.source, event.metadata, event.object_id) == ("evaluated", "ci", {"ok": True}, made)
    assert [each.id for each in api.events("story")] == [event.id]
    assert [each.action for each in api.audit(of=made)] == ["CREATE"]
    assert {each.object_name for each in api.audit("story")} >= {"story"}
    assert api.usage("story").file_bytes == 0
    assert api.viewer().tenant
    assert api.server().version
    with pytest.raises(ModelBoxError, match="not both"):
        api.events("story", of=made)


def test_any_operation_can_be_asked(api: Api) -> None:
    assert api.query("query Q($first: Int) { experiments(first: $first) { nodes { name } } }", first=1).keys() == {
        "experiments"
    }
    with pytest.raises(Refused) as caught:
        api.query("{ nothing }")
    assert caught.value.code == "GRAPHQL_VALIDATION_FAILED"


def test_a_table_needs_pandas_and_says_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ModelBoxError, match="pip install pandas") as caught:
        api.experiments(limit=1).to_pandas()
    assert caught.value.code == "PANDAS_MISSING"


def test_no_server_is_said_to_be_none() -> None:
    with pytest.raises(Unreachable, match="No server answers"):
        Api("http://127.0.0.1:9").server()


def test_a_token_is_not_sent_over_an_open_line() -> None:
    with pytest.raises(ModelBoxError, match="not https"):
        Api("http://modelbox.example", "mbx_1")
