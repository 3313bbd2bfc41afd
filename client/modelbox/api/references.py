"""How people name things: `vision/cifar/resnet`, `resnet:prod`, `-startedAt`."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar, cast

from modelbox.api import enums, inputs
from modelbox.errors import ModelBoxError

ID: Final = re.compile(r"[a-z]{2,5}_[0-9a-f]{32}")
T = TypeVar("T")


def is_id(text: str) -> bool:
    """Whether it is an id, and not a name."""
    return ID.fullmatch(text) is not None


def id_of(thing: Any) -> str:
    """The id of an object that was read, or the id itself."""
    return thing if isinstance(thing, str) else str(thing.id)


def by_name(thing: Any, namespace: str) -> inputs.ExperimentBy:
    """An experiment or a model: an object, its id, or `namespace/name`; without a namespace, in this one."""
    text = id_of(thing)
    if is_id(text):
        return {"id": text}
    above, _, name = text.rpartition("/")
    return {"name": {"name": name, "namespace": above or namespace}}


def model_by(thing: Any, namespace: str) -> inputs.ModelBy:
    """The same of a model."""
    return cast("inputs.ModelBy", by_name(thing, namespace))


def version_by(text: str, namespace: str) -> list[inputs.ModelVersionBy]:
    """The ways to look for a version, one after the other: `model:tag` goes before `model:version`.

    Raises:
        ModelBoxError: BAD_REFERENCE.
    """
    if is_id(text):
        return [{"id": text}]
    path, _, word = text.partition(":")
    above, _, model = path.rpartition("/")
    if not model or not word:
        raise ModelBoxError("BAD_REFERENCE", f"{text!r} names no version: write model:tag or model:version.")
    place = above or namespace
    return [
        {"tag": {"model": model, "tag": word, "namespace": place}},
        {"version": {"model": model, "version": word, "namespace": place}},
    ]


def experiment_order(text: str) -> inputs.ExperimentOrder:
    """`startedAt`, `-startedAt` for the greatest first, `metric:val/loss`, `hyperparameter:optimizer/lr`."""
    name, direction = direction_of(text)
    kind, _, rest = name.partition(":")
    match kind:
        case "metric":
            return {"metric": {"key": rest}, "direction": direction}
        case "hyperparameter":
            return {"hyperparameter": {"path": rest.split("/")}, "direction": direction}
    return {"field": cast("enums.ExperimentOrderField", upper(kind)), "direction": direction}


def direction_of(text: str) -> tuple[str, enums.Direction]:
    """What to sort by, and which way."""
    return text.removeprefix("-"), "DESC" if text.startswith("-") else "ASC"


def upper(name: str) -> str:
    """A field's name as enums have it."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name.replace("-", "_")).upper()


def listed(value: T | list[T] | tuple[T, ...] | None) -> list[T]:
    """One, several, or none."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
