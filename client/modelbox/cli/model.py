"""`modelbox model …`: models, their versions, and what their tags point to."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from modelbox.cli import output
from modelbox.cli.arguments import api_of, count, noun, verb

if TYPE_CHECKING:
    from modelbox.api import Api, types
    from modelbox.cli.arguments import Commands

VERSIONS = 20
"""Versions that are shown of a model."""


def add(commands: Commands) -> None:
    """Add the commands."""
    verbs = noun(commands, "model", "Models and their versions.")
    parser = verb(verbs, "list", "List models, newest first, with what their tags point to.", list_)
    parser.add_argument("--namespace", metavar="PATH", help="only there and below")
    parser.add_argument("--limit", type=count, default=30, metavar="N", help="at most so many; 30 when absent")
    parser = verb(verbs, "show", "Show a model and its versions; or a version and its files.", show)
    parser.add_argument("model", help="MODEL, NAMESPACE/MODEL; with :TAG or :VERSION, or by id, a version")
    parser = verb(verbs, "promote", "Let a unique tag point to a version.", promote)
    parser.add_argument("version", help="MODEL:VERSION, MODEL:TAG or id")
    parser.add_argument("tag", help="such as prod")
    parser = verb(verbs, "history", "Show who let which tag point where; or what was tagged at a moment.", history)
    parser.add_argument("model", help="MODEL, NAMESPACE/MODEL or id")
    parser.add_argument("--tag", metavar="TAG", help="only this tag")
    parser.add_argument("--as-of", metavar="TIME", help="what was tagged then: 2026-03-03 or 2026-03-03T12:00:00Z")
    parser.add_argument("--limit", type=count, default=100, metavar="N", help="at most so many; 100 when absent")


def list_(wanted: argparse.Namespace) -> None:
    """List them."""
    models = list(api_of(wanted).models(wanted.namespace, limit=wanted.limit))
    if wanted.json:
        return output.document(models)
    rows = [(m.name, m.namespace, _tags(m), m.task, m.created_at, m.id) for m in models]
    return output.table(("NAME", "NAMESPACE", "TAGS", "TASK", "CREATED", "ID"), rows)


def _tags(model: types.Model) -> list[str]:
    return [f"{each.tag}={each.version}" for each in model.unique_tags]


def show(wanted: argparse.Namespace) -> None:
    """Show a model, or a version."""
    api = api_of(wanted)
    if ":" in wanted.model or wanted.model.startswith("ver_"):
        return _show_version(api.version(wanted.model), as_json=wanted.json)
    model = api.model(wanted.model)
    versions = list(api.versions(model, limit=VERSIONS))
    if wanted.json:
        return output.document({"model": model, "versions": versions})
    output.fields(
        [
            ("name", model.name),
            ("id", model.id),
            ("namespace", model.namespace),
            ("task", model.task),
            ("owner", model.owner or model.created_by),
            ("description", model.description),
            ("labels", model.labels),
            ("tags", _tags(model)),
        ]
    )
    output.line("")
    rows = [(v.version, v.status, v.unique_tags, v.labels, v.created_at, v.id) for v in versions]
    return output.table(("VERSION", "STATUS", "TAGS", "LABELS", "CREATED", "ID"), rows)


def _show_version(version: types.ModelVersionWithFiles, *, as_json: bool) -> None:
    if as_json:
        return output.document(version)
    output.fields(
        [
            ("model", f"{version.namespace}/{version.model}"),
            ("version", version.version),
            ("id", version.id),
            ("status", version.status),
            ("tags", version.unique_tags),
            ("labels", version.labels),
            ("run", version.experiment_id),
            ("checkpoint", version.checkpoint_id),
            ("created", version.created_at),
            ("description", version.description),
        ]
    )
    output.line("")
    rows = [(a.name, f.path, f.size, f.digest or f.uri) for a in version.artifacts for f in a.files]
    return output.table(("ARTIFACT", "FILE", "BYTES", "DIGEST"), rows)


def promote(wanted: argparse.Namespace) -> None:
    """Let the tag point there, and say where it pointed."""
    from modelbox.api import operations

    api = api_of(wanted)
    version = api.version(wanted.version)
    before = operations.set_unique_tag(api.connection, input={"versionId": version.id, "tag": wanted.tag})
    was = f"; before, to {before.version}" if before else ""
    name = output.printable(f"{version.namespace}/{version.model}")
    output.say(f"{output.printable(wanted.tag)} of {name} points to {version.version}{was}.")
    if wanted.json:
        output.document({"tag": wanted.tag, "version": api.version(version), "previousVersion": before})


def history(wanted: argparse.Namespace) -> None:
    """Show the changes, or a moment between them."""
    api = api_of(wanted)
    changes = list(api.tag_history(wanted.model, tag=wanted.tag, limit=None if wanted.as_of else wanted.limit))
    if wanted.as_of:
        return _as_of(api, wanted, sorted({change.tag for change in changes}))
    if wanted.json:
        return output.document(changes)
    rows = [(c.at, c.tag, c.version, c.previous_version, c.actor) for c in changes]
    return output.table(("WHEN", "TAG", "VERSION", "BEFORE", "BY"), rows)


def _as_of(api: Api, wanted: argparse.Namespace, tags: list[str]) -> None:
    moment = _moment(wanted.as_of)
    found = [(tag, api.version_by_tag(wanted.model, tag, moment)) for tag in tags]
    if wanted.json:
        return output.document(dict(found))
    return output.table(("TAG", "VERSION", "ID"), [(tag, v.version, v.id) for tag, v in found if v])


def _moment(text: str) -> str:
    """A day begins here; a moment without an offset is one here, too."""
    from datetime import datetime

    from modelbox.errors import ModelBoxError

    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except ValueError:
        raise ModelBoxError("BAD_TIME", f"{text!r} is no time; write 2026-03-03 or 2026-03-03T12:00:00Z.") from None
