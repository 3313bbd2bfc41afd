"""What the server answers when all is done, as tables that fit a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import modelbox as mb

HERE = Path(__file__).parent
BARS = "▁▂▃▄▅▆▇█"
PASSES_SHOWN = 4


def show(api: mb.Api, namespace: str, experiments: Sequence[str], best: Sequence[str]) -> None:
    """Ask about all experiments and the best of each setting, and print the answers."""
    found = api.query((HERE / "results.graphql").read_text(), all=experiments, best=best)
    compared(found["compare"])
    seeds(found["aggregateMetrics"])
    curves(found["nodes"])
    whole(api.query((HERE / "whole.graphql").read_text(), path=namespace)["namespace"])


def compared(answer: dict[str, Any]) -> None:
    """What differs between the best runs, and how they did beside the first."""
    rows = [["", *(each["name"] for each in answer["experiments"])]]
    rows += [[".".join(each["path"]), *map(json_word, each["values"])] for each in answer["hyperparameters"]]
    rows += [[metric["key"], *map(_with_delta, metric["series"])] for metric in answer["metrics"]]
    table("Side by side, beside the first (compare)", rows)


def _with_delta(each: dict[str, Any]) -> str:
    delta = each["deltas"]["last"]["relative"]
    return f"{each['series']['last']:.4f}" + (f" ({delta:+.0%})" if delta else "")


def seeds(answer: dict[str, Any]) -> None:
    """Mean and standard deviation over the seeds of each setting."""
    groups = answer["groups"]
    columns = [group["metrics"][0]["columns"] for group in groups]
    shown = _spread(len(columns[0]["steps"]))
    rows = [["hidden layers", "seeds", *(f"step {columns[0]['steps'][at]}" for at in shown)]]
    for group, column in zip(groups, columns, strict=True):
        figures = (f"{column['mean'][at]:.3f} ± {column['std'][at] or 0:.3f}" for at in shown)
        rows.append([json_word(group["values"][0]), str(group["experimentCount"]), *figures])
    table("Validation accuracy over seeds (aggregateMetrics)", rows)


def _spread(count: int) -> list[int]:
    """The first, the last and some in between."""
    return sorted({round(n * (count - 1) / (PASSES_SHOWN - 1)) for n in range(PASSES_SHOWN)})


def curves(answer: list[dict[str, Any]]) -> None:
    """The loss in as many characters as fit."""
    rows = []
    for each in answer:
        sample = each["metric"]["sample"]
        ends = f"{each['metric']['last']:.3f}, of {sample['rawCount']} points"
        rows.append([each["name"], spark(sample["columns"]["values"]), ends])
    table("Training loss (sample, MEAN)", rows)


def spark(values: Sequence[float]) -> str:
    """A curve one line high, from the least value to the greatest."""
    low, high = min(values), max(values)
    return "".join(BARS[int((value - low) / ((high - low) or 1) * (len(BARS) - 1) + 0.5)] for value in values)


def whole(namespace: dict[str, Any]) -> None:
    """What is registered, from the namespace down to the files."""
    print("\nWhat is registered (one nested query)")
    for model in namespace["models"]["nodes"]:
        print(f"  {namespace['path']}/{model['name']}  {model['task']}")
        for version in model["versions"]["nodes"]:
            tags = "".join(f" [{tag}]" for tag in version["uniqueTags"])
            figures = "  ".join(f"{series['key']} {series['last']:.3f}" for series in version["metrics"]["nodes"])
            origin = f"from {version['experiment']['name']}, step {version['checkpoint']['step']}"
            print(f"    version {version['version']}{tags}  {figures}  {origin}")
            for artifact in version["artifacts"]["nodes"]:
                for file in artifact["files"]["nodes"]:
                    print(f"      {artifact['name']}/{file['path']}  {file['size']} bytes  {file['digest'][:19]}…")


def json_word(value: Any) -> str:
    """A value as it stands in JSON, but a text without quotes and a dash for none."""
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value)


def table(title: str, rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a title, each column as wide as need be."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    print(f"\n{title}")
    for row in rows:
        print("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
