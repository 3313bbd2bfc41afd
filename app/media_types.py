"""Content negotiation: which of our two response types a client wants, and what it sent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

GRAPHQL: Final = "application/graphql-response+json"
JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"

OFFERED: Final = (GRAPHQL, JSON)
"""By our preference, for clients that name several with the same weight."""

MAX_RANGES: Final = 50
MAX_REMEMBERED: Final = 200
"""Characters of an Accept header whose meaning is kept; clients send few different ones."""


def parse(text: str) -> tuple[str, Mapping[str, str]]:
    """A media type or range and its parameters, in lower case: `a/b; charset="UTF-8"`."""
    kind, *pieces = text.split(";")
    parameters = {}
    for piece in pieces:
        name, _, value = piece.partition("=")
        parameters[name.strip().lower()] = value.strip().strip('"').lower()
    return kind.strip().lower(), parameters


def is_utf8(parameters: Mapping[str, str]) -> bool:
    """Whether the parameters name no other encoding than the only one that JSON has."""
    return parameters.get("charset", "utf-8") in ("utf-8", "utf8")


def negotiate(accept: str | None) -> str | None:
    """The type to answer with; None when the header allows neither.

    Without a header, and for `*/*`, it is `application/json`: so says the specification, for the
    sake of clients that are older than it.
    """
    if accept is None or not accept.strip():
        return JSON
    return _chosen(accept) if len(accept) < MAX_REMEMBERED else _chosen.__wrapped__(accept)


def takes_events(accept: str) -> bool:
    """Whether the header names Server-Sent Events; ranges such as `*/*` do not mean them."""
    if EVENTS not in accept.lower():
        return False
    ranges = [parse(part) for part in accept.split(",")[:MAX_RANGES]]
    return any(kind == EVENTS and is_utf8(parameters) and _quality(parameters) > 0 for kind, parameters in ranges)


def is_json(content_type: str) -> bool:
    """Whether a body of that type is JSON in UTF-8."""
    if content_type == JSON:
        return True
    kind, parameters = parse(content_type)
    return kind == JSON and is_utf8(parameters)


@lru_cache(maxsize=100)
def _chosen(accept: str) -> str | None:
    ranges = [parse(part) for part in accept.split(",")[:MAX_RANGES]]
    weights = {offer: _weight(offer, ranges) for offer in OFFERED}
    best = max(OFFERED, key=lambda offer: weights[offer])
    if weights[best] == (0.0, 0):
        return None
    named = weights[best][1] == len(_patterns(best))
    return best if named or weights[JSON][0] < weights[best][0] else JSON


def _weight(offer: str, ranges: list[tuple[str, Mapping[str, str]]]) -> tuple[float, int]:
    """The `q` that a type is given, by the most specific range that covers it, and how specific."""
    patterns = _patterns(offer)
    found = (0.0, 0)
    for kind, parameters in ranges:
        if kind not in patterns or not is_utf8(parameters):
            continue
        specific = patterns.index(kind) + 1
        if specific >= found[1]:
            found = (_quality(parameters), specific)
    return found if found[0] > 0 else (0.0, 0)


def _patterns(offer: str) -> list[str]:
    return ["*/*", "application/*", offer]


def _quality(parameters: Mapping[str, str]) -> float:
    try:
        return min(1.0, max(0.0, float(parameters.get("q", "1"))))
    except ValueError:
        return 0.0
