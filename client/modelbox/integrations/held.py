"""What all integrations share: whose run it is, its end, and hyperparameters as JSON can hold them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import Enum
from types import TracebackType
from typing import Any, Final, Self
from weakref import WeakSet

from modelbox import begin
from modelbox.errors import ModelBoxError
from modelbox.run import Outcome, Run, outcome_of

PARENT_SECONDS: Final = 10.0
LONGEST_ID: Final = 200
DEEPEST: Final = 8
LONGEST_LIST: Final = 50
LONGEST_TEXT: Final = 1_000
MOST_VALUES: Final = 900
"""Of hyperparameters; the server takes some more, and integrations add some."""

_begun_here: Final[WeakSet[Run]] = WeakSet()
"""Runs that an integration began: what is trained next is another."""

_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")


def missing(package: str, error: ImportError) -> ImportError:
    """What to raise when a framework is not there."""
    return ImportError(f"This integration needs {package}, which cannot be imported ({error}): pip install {package}")


class Held:
    """A run that an integration was given; or else the one that the script began; or else one that it begins.

    One that it began ends with `finish()`, at the end of a `with` block, or with the script. It is no other's.
    """

    def __init__(self, name: str, run: Run | None, settings: Mapping[str, Any]) -> None:
        self._held_name = name
        self._held_run = run
        self._held_settings = dict(settings)
        self._is_ours = False

    @property
    def run(self) -> Run:
        """The run; it begins now, if none did."""
        return self._begun()

    def _begun(self, hyperparameters: Mapping[str, Any] | None = None) -> Run:
        """The run; hyperparameters that it cannot begin with any more are put into its metadata."""
        found = parameters(hyperparameters or {})
        if self._held_run is None:
            self._held_run = under_way()
        if self._held_run is None:
            settings = self._held_settings
            settings["hyperparameters"] = found | parameters(settings.get("hyperparameters") or {})
            self._held_run = begin.init(**settings)
            self._is_ours = True
            _begun_here.add(self._held_run)
        elif found:
            self._held_run.metadata(**{self._held_name: found})
        return self._held_run

    def finish(self, status: Outcome = "COMPLETED") -> None:
        """End the run, if it began here."""
        if self._is_ours and self._held_run is not None:
            self._held_run.finish(status)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.finish(outcome_of(error))


def under_way() -> Run | None:
    """The run that a script has begun itself, and not ended."""
    try:
        found = begin.the_run()
    except ModelBoxError:
        return None
    return None if found.is_finished or found in _begun_here else found


def child_of(run: Run, key: str, **wanted: Any) -> Run:
    """A run below another, which stays the one that `modelbox.log` means. The same key is the same child.

    The server's id of the parent is waited for; when there is no server, the children have its id as `group` alone.
    """
    parent = run.sending.wait_for_experiment(PARENT_SECONDS).get("experiment")
    settings = replace(run.settings, run_id=f"{run.id}-{key}"[:LONGEST_ID])
    told = {"namespace": settings.namespace, "parentId": parent, "group": run.id, **wanted}
    return begin.Beginning(settings, told, run.warnings).run(every_rank=False)


def numbers(values: Mapping[Any, Any], prefix: str = "") -> dict[str, float]:
    """What is a number of what a framework reports."""
    found: dict[str, float] = {}
    for key, value in values.items():
        try:
            found[f"{prefix}{key}"] = float(value.item() if hasattr(value, "item") else value)
        except (TypeError, ValueError, RuntimeError):
            continue
    return found


# --- Hyperparameters ---


class _Budget:
    """How many values may still be kept."""

    def __init__(self) -> None:
        self.left = MOST_VALUES


def parameters(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Hyperparameters as JSON holds them; what is too long, too deep or too much is cut."""
    found: dict[str, Any] = _plain(values, _Budget(), 0)
    return found


def _plain(value: Any, budget: _Budget, depth: int) -> Any:
    if isinstance(value, Mapping) and depth < DEEPEST:
        return _object(value.items(), budget, depth)
    if isinstance(value, list | tuple | set | frozenset) and depth < DEEPEST:
        return [_plain(each, budget, depth + 1) for each in list(value)[: min(LONGEST_LIST, max(budget.left, 0))]]
    budget.left -= 1
    if isinstance(value, Enum):
        value = value.value
    if hasattr(value, "item") and getattr(value, "size", 2) == 1:
        value = value.item()
    return _scalar(value)


def _object(items: Iterable[tuple[Any, Any]], budget: _Budget, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, each in items:
        if budget.left <= 0:
            break
        found[str(key)[:100]] = _plain(each, budget, depth + 1)
    return found


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) < 1 << 53 else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return _ADDRESS.sub("", str(value)).replace("\0", "")[:LONGEST_TEXT]
