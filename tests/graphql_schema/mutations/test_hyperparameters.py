"""Hyperparameters: typed JSON that comes back as it was sent, and is found by the path of each value."""

from __future__ import annotations

from typing import Any

import pytest

from tests.graph import Graph

CREATE = """
    mutation ($name: String!, $given: JSON!) {
      createExperiment(input: {name: $name, hyperparameters: $given}) {
        experiment { id hyperparameters } userErrors { code path message }
      }
    }
"""
UPDATE = """
    mutation ($id: ID!, $given: JSON!) {
      updateExperiment(input: {id: $id, patch: {hyperparameters: $given}}) {
        experiment { revision hyperparameters } userErrors { code path message }
      }
    }
"""
FIND = """
    query ($filter: [PathFilter!]!) {
      experiments(filter: {hyperparameters: $filter}, orderBy: [{field: NAME, direction: ASC}]) { nodes { name } }
    }
"""
SORTED = """
    query ($path: [String!]!) {
      experiments(orderBy: [{hyperparameter: {path: $path}, direction: DESC}]) { nodes { name } }
    }
"""
FIRST = {
    "lr": 0.001,
    "seed": 7,
    "amp": True,
    "optimizer": {"name": "adam", "betas": [0.9, 0.999]},
    "layers": [{"units": 64}, {"units": 32}],
    "a/b": {"": "empty key"},
    "nothing": None,
    "none": [],
    "big": 2**53 + 1,
}
SECOND = {"lr": 0.1, "seed": "7", "amp": False, "optimizer": "sgd"}


async def create(graphql: Graph, name: str, given: object) -> dict[str, Any]:
    experiment: dict[str, Any] = (await graphql.change(CREATE, name=name, given=given))["experiment"]
    return experiment


async def found(graphql: Graph, *conditions: dict[str, Any]) -> list[str]:
    return [node["name"] for node in (await graphql(FIND, filter=list(conditions)))["experiments"]["nodes"]]


@pytest.fixture
async def two(graphql: Graph) -> Graph:
    await create(graphql, "first", FIRST)
    await create(graphql, "second", SECOND)
    return graphql


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ({"path": ["lr"], "number": {"lt": 0.01}}, ["first"]),
        ({"path": ["lr"], "number": {"in": [0.1, 0.001]}}, ["first", "second"]),
        ({"path": ["seed"], "number": {"eq": 7}}, ["first"]),
        ({"path": ["seed"], "text": {"eq": "7"}}, ["second"]),
        ({"path": ["amp"], "text": {"eq": "true"}}, ["first"]),
        ({"path": ["optimizer"], "text": {"eq": "sgd"}}, ["second"]),
        ({"path": ["optimizer", "name"], "text": {"startsWith": "ad"}}, ["first"]),
        ({"path": ["optimizer", "betas", "1"], "number": {"gte": 0.999}}, ["first"]),
        ({"path": ["layers", "0", "units"], "number": {"eq": 64}}, ["first"]),
        ({"path": ["a/b", ""], "text": {"eq": "empty key"}}, ["first"]),
        ({"path": ["a", "b"], "text": {"eq": "empty key"}}, []),
        ({"path": ["optimizer.name"], "text": {"eq": "adam"}}, []),
    ],
)
async def test_each_value_is_found_by_its_path(two: Graph, condition: dict[str, Any], names: list[str]) -> None:
    assert await found(two, condition) == names


async def test_several_conditions_must_all_hold(two: Graph) -> None:
    slow = {"path": ["lr"], "number": {"lt": 0.01}}
    assert await found(two, slow, {"path": ["seed"], "number": {"eq": 7}}) == ["first"]
    assert await found(two, slow, {"path": ["seed"], "text": {"eq": "7"}}) == []


async def test_experiments_are_ordered_by_one(two: Graph) -> None:
    await create(two, "third", {})
    order = [node["name"] for node in (await two(SORTED, path=["lr"]))["experiments"]["nodes"]]
    assert order == ["second", "first", "third"]


async def test_they_come_back_as_they_were_sent(two: Graph) -> None:
    assert (await create(two, "first", {"ignored": 1}))["hyperparameters"] == FIRST
    assert (await create(two, "first", {}))["hyperparameters"]["amp"] is True


async def test_a_change_replaces_them_all(two: Graph) -> None:
    id_ = (await create(two, "first", {}))["id"]
    changed = await two.change(UPDATE, id=id_, given={"lr": 0.5})
    assert changed["experiment"] == {"revision": 2, "hyperparameters": {"lr": 0.5}}
    assert await found(two, {"path": ["seed"], "number": {"eq": 7}}) == []
    assert await found(two, {"path": ["lr"], "number": {"gt": 0.01}}) == ["first", "second"]
    unchanged = await two.change(UPDATE, id=id_, given={"lr": 0.5})
    assert unchanged["experiment"]["revision"] == 2


async def test_a_long_text_is_kept_but_not_found(graphql: Graph) -> None:
    prompt = "\u4e00" * 5_000
    assert (await create(graphql, "long", {"prompt": prompt, "short": "s"}))["hyperparameters"]["prompt"] == prompt
    assert await found(graphql, {"path": ["prompt"], "text": {"startsWith": "\u4e00"}}) == []
    assert await found(graphql, {"path": ["short"], "text": {"eq": "s"}}) == ["long"]


async def test_keys_and_texts_as_long_as_they_may_be_fit_the_index(graphql: Graph) -> None:
    keys = [f"{level:050}" for level in range(20)]
    # Text that does not shrink when it is compressed.
    text = "".join(chr(0x4E00 + number * 7_919 % 20_000) for number in range(333))
    given: Any = text
    for key in reversed(keys):
        given = {key: given}
    await create(graphql, "long", given)
    assert await found(graphql, {"path": keys, "text": {"eq": text}}) == ["long"]


def nested(levels: int, value: object = 1) -> object:
    for _ in range(levels):
        value = {"k": value}
    return value


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(nested(21), id="21 levels"),
        pytest.param({"k" * 1_001: 1}, id="a key of 1 001 bytes"),
        pytest.param({"\u4e00" * 334: 1}, id="a key of 1 002 bytes"),
        pytest.param({str(number): number for number in range(1_001)}, id="1 001 values"),
        pytest.param({"layers": [0] * 200_000}, id="200 000 values"),
        pytest.param([1], id="a list"),
        pytest.param("lr=0.1", id="a text"),
    ],
)
async def test_too_much_is_refused_and_changes_nothing(graphql: Graph, given: object) -> None:
    refusal = await graphql.refused(CREATE, name="a", given=given)
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "hyperparameters"])
    id_ = (await create(graphql, "a", {"lr": 1}))["id"]
    refusal = await graphql.refused(UPDATE, id=id_, given=given)
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "patch", "hyperparameters"])
    assert await found(graphql, {"path": ["lr"], "number": {"eq": 1}}) == ["a"]


async def test_as_much_as_may_be(graphql: Graph) -> None:
    await create(graphql, "deep", nested(20))
    await create(graphql, "wide", {str(number): number for number in range(1_000)})
    assert await found(graphql, {"path": ["k"] * 20, "number": {"eq": 1}}) == ["deep"]
    assert await found(graphql, {"path": ["999"], "number": {"eq": 999}}) == ["wide"]
