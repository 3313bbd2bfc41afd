"""`modelbox run …`: experiments, listed, shown, followed, compared, deleted."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from modelbox.cli import output, run_tail
from modelbox.cli.arguments import api_of, count, noun, verb

if TYPE_CHECKING:
    from modelbox.api import types
    from modelbox.cli.arguments import Commands

HEAD = ("NAME", "STATUS", "NAMESPACE", "STARTED", "ENDED", "ID")
FIGURES = ("METRIC", "COUNT", "LAST STEP", "LAST", "MIN", "MAX", "MEAN")
SHOWN = 1000
"""Series that are shown of a run."""


def add(commands: Commands) -> None:
    """Add the commands."""
    verbs = noun(commands, "run", "Training runs: experiments.")
    _add_list(verbs)
    parser = verb(verbs, "show", "Show a run: what it is, its hyperparameters, its metrics' figures.", show)
    parser.add_argument("run", help="NAME, NAMESPACE/NAME or id")
    run_tail.add(verbs)
    parser = verb(verbs, "diff", "Show in what runs differ: hyperparameters, and the last values of metrics.", diff)
    parser.add_argument("run", nargs="+", help="two or more: NAME, NAMESPACE/NAME or id")
    parser.add_argument("--key", action="append", metavar="KEY", help="only this metric; may be repeated")
    parser = verb(verbs, "rm", "Delete runs with their checkpoints; versions that they produced stay.", remove)
    parser.add_argument("run", nargs="+", help="NAME, NAMESPACE/NAME or id")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def _add_list(verbs: Commands) -> None:
    parser = verb(verbs, "list", "List runs, newest first.", list_)
    parser.add_argument("--namespace", metavar="PATH", help="only there and below")
    parser.add_argument("--status", action="append", type=str.upper, metavar="STATUS", help="RUNNING, FAILED, …")
    parser.add_argument("--label", action="append", metavar="LABEL", help="only with this label; may be repeated")
    parser.add_argument("--sort", metavar="FIELD", help="name, -startedAt, metric:val/loss, hyperparameter:lr")
    parser.add_argument("--limit", type=count, default=30, metavar="N", help="at most so many; 30 when absent")


def list_(wanted: argparse.Namespace) -> None:
    """List them."""
    runs = list(
        api_of(wanted).experiments(
            wanted.namespace, status=wanted.status, labels=wanted.label, order=wanted.sort, limit=wanted.limit
        )
    )
    if wanted.json:
        return output.document(runs)
    output.table(HEAD, [(r.name, r.status, r.namespace, r.started_at, r.ended_at, r.id) for r in runs])
    if len(runs) == wanted.limit:
        output.say(f"The first {wanted.limit}; --limit shows more.")
    return None


def show(wanted: argparse.Namespace) -> None:
    """Show one."""
    api = api_of(wanted)
    run = api.experiment(wanted.run)
    series = list(api.series(run, limit=SHOWN))
    if wanted.json:
        return output.document({"experiment": run, "metrics": series})
    output.fields(_attributes(run))
    if series:
        output.line("")
        rows = [(s.key, s.count, s.last_step, s.last, s.min, s.max, s.mean) for s in series]
        output.table(FIGURES, rows)
    return None


def _attributes(run: types.Experiment) -> list[tuple[str, object]]:
    from modelbox.api.rows import flat

    return [
        ("name", run.name),
        ("id", run.id),
        ("namespace", run.namespace),
        ("status", run.status),
        ("description", run.description),
        ("group", run.group),
        ("labels", run.labels),
        ("owner", run.owner or run.created_by),
        ("started", run.started_at),
        ("ended", run.ended_at),
        ("leg", run.leg),
        *((f"hyperparameters/{name}", value) for name, value in flat(run.hyperparameters).items() if name),
    ]


def diff(wanted: argparse.Namespace) -> None:
    """Compare them."""
    from modelbox.errors import ModelBoxError

    if len(wanted.run) < 2:
        raise ModelBoxError("BAD_REFERENCE", "To compare takes two runs at least.")
    found = api_of(wanted).compare(*wanted.run, keys=wanted.key)
    if wanted.json:
        return output.document(found)
    rows = [("/".join(each.path), *each.values) for each in found.hyperparameters]
    rows += [(each.key, *(series and series.last for series in each.series)) for each in found.metrics]
    names = [each.name if each else name for each, name in zip(found.experiments, wanted.run, strict=True)]
    output.table(("", *names), rows)
    return None


def remove(wanted: argparse.Namespace) -> None:
    """Delete them, when that is really wanted."""
    from modelbox.api import operations

    api = api_of(wanted)
    runs = [api.experiment(name) for name in wanted.run]
    names = ", ".join(output.printable(f"{run.namespace}/{run.name}") for run in runs)
    output.confirm(f"Delete {names}?", is_confirmed=wanted.yes)
    deleted = [operations.delete_experiment(api.connection, input={"id": run.id}) for run in runs]
    output.say(f"Deleted {names}. The mutation restoreExperiment brings them back.")
    if wanted.json:
        output.document(deleted)
    else:
        output.table(("ID",), [(each,) for each in deleted])
