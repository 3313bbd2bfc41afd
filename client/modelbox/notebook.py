"""A run as notebooks show it: a card without a script and without anything from elsewhere; all text is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from modelbox.shown import Series, bars, number, safe

if TYPE_CHECKING:
    from modelbox.run import Run

MOST_KEYS: Final = 8
WIDTH: Final = 32
_CARD: Final = "border:1px solid #8888;border-radius:6px;padding:8px 12px;max-width:44em;font-family:sans-serif"
_CELL: Final = "text-align:left;padding:0 1em 0 0"


def card(run: Run) -> str:
    """The card of a run, as it is now."""
    status = run.sending.status()
    name = status.get("name") or run.id[:12]
    rows = "".join(_row(key, series) for key, series in run.shown.chosen(MOST_KEYS))
    return (
        f'<div style="{_CARD}"><b>{_text(name)}</b> in {_text(run.settings.namespace)}'
        f"<div>{_text(_state(run))} · {run.shown.points:,} points · {_place(run)}</div>"
        f"<table>{rows}</table></div>"
    )


def _state(run: Run) -> str:
    if run.is_silent:
        return "switched off"
    return "over" if run.is_finished else "under way"


def _place(run: Run) -> str:
    if run.settings.mode != "online":
        return f"kept in <code>{_text(str(run.settings.folder))}</code>"
    server = _text(run.settings.server)
    return f'<a href="{server}" target="_blank" rel="noopener noreferrer">{server}</a>'


def _row(key: str, series: Series) -> str:
    cells = (_text(key), f"<code>{bars(series.values, WIDTH)}</code>", number(series.last))
    return "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells) + "</tr>"


def _text(text: str) -> str:
    return escape(safe(str(text)), quote=True)
