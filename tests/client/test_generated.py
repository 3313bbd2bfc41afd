"""What is generated is what the schema and the operations make, and reads what a server sends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

import generate
from modelbox.api import enums, types
from modelbox.api.reading import Page, plain, reader, sent

TEXTS = generate.generated()
ONE = "fragment One on Server { version } query Server { server { ...One } }"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_a_generated_file_is_what_the_schema_makes(path: Any) -> None:
    assert path.read_text() == TEXTS[path], "run `make client`"


def test_a_fault_in_the_operations_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for text in ("query Nothing { nothing }", "query Two { viewer { tenant actor { name } } }", ONE):
        (tmp_path / "operations.graphql").write_text(text)
        monkeypatch.setattr(generate, "OPERATIONS", tmp_path / "operations.graphql")
        with pytest.raises(generate.Fault):
            generate.generated()


def test_names_change_their_case_both_ways() -> None:
    assert generate.snake("previousVersionId") == "previous_version_id"
    assert generate.sentence("One. Two.") == '"""One."""'
    assert generate.sentence("word, " * 30 + "end.").endswith('word."""')


def test_a_row_is_read_by_the_types_of_its_class() -> None:
    row = {
        "id": "evt_1",
        "name": "deployed",
        "source": "argo",
        "externalId": None,
        "at": "2026-03-01T12:00:00.500000Z",
        "endedAt": None,
        "durationMs": "Infinity",
        "metadata": {"only": 1},
        "object": {"id": "mod_1"},
        "objectId": {"id": "mod_1"},
        "actor": {"name": "ann"},
        "recordedAt": "2026-03-01T12:00:01Z",
        "ofANewerServer": 1,
    }
    event: types.Event = reader(types.Event)(row)
    assert event.at == datetime(2026, 3, 1, 12, 0, 0, 500000, UTC)
    assert (event.object_id, event.actor, event.duration_ms) == ("mod_1", "ann", float("inf"))
    assert event.metadata == {"only": 1}
    assert plain(event)["durationMs"] == "Infinity"
    assert plain(event)["recordedAt"] == "2026-03-01T12:00:01Z"
    assert reader(types.Event)({**row, "objectId": None}).object_id is None


def test_columns_keep_every_number() -> None:
    columns: types.MetricColumns = reader(types.MetricColumns)(
        {"steps": [1, None], "wallTimes": [5, 6], "values": [0.5, "-Infinity"], "strings": None, "bytes": ["aGk="]}
    )
    assert (columns.steps, columns.values, columns.bytes) == ([1, None], [0.5, float("-inf")], [b"hi"])
    assert plain(columns)["bytes"] == ["aGk="]


def test_a_page_knows_whether_there_is_more() -> None:
    read = reader(Page[types.BegunLeg])
    rows = [{"objectId": "exp_1", "number": 1, "fromStep": None}]
    assert read({"nodes": rows, "pageInfo": {"hasNextPage": False, "endCursor": "x"}}).cursor is None
    page = read({"nodes": rows, "pageInfo": {"hasNextPage": True, "endCursor": "x"}})
    assert (page.cursor, page.nodes[0].from_step) == ("x", None)


def test_what_json_has_no_word_for_is_sent_as_the_server_wants_it() -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    wanted = {"at": {"gte": moment}, "number": {"gt": float("-inf")}}
    assert sent(filter=wanted, after=None) == {
        "filter": {"at": {"gte": "2026-03-01T00:00:00+00:00"}, "number": {"gt": "-Infinity"}}
    }
    assert "RUNNING" in enums.ExperimentStatus.__args__  # type: ignore[attr-defined]
