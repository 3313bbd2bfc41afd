"""How lines are written: JSON for machines, colours for a terminal, both from one list of steps."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

import orjson
import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

    from app.settings import Settings

# uvicorn tells of every socket with its query string, where a token may stand.
QUIET: Final = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "asyncio", "alembic", "pgqueuer")
# A terminal's reader knows the day and the place.
CLOCK: Final = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
UTC_TIME: Final = structlog.processors.TimeStamper(fmt="iso", utc=True)


Write = Callable[[str, dict[str, Any]], None]
"""Takes the event and its values."""


def _by_steps(event: str, values: dict[str, Any]) -> None:
    structlog.get_logger("modelbox.access").info(event, **values)


_write_access: Write = _by_steps


def access(event: str, values: dict[str, Any]) -> None:
    """Write the line of a request, which is written more often than all others."""
    _write_access(event, values)


def configure(settings: Settings, stream: TextIO = sys.stderr) -> None:
    """Send every line, ours and the libraries', to `stream` in the format of the settings."""
    level = getattr(logging, settings.log_level.upper())
    as_json = is_json(settings, stream)
    first: list[Processor] = [structlog.processors.add_log_level, UTC_TIME if as_json else CLOCK]
    last = _last_steps(as_json, colours=stream.isatty())
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    global _write_access  # noqa: PLW0603 - as global as the configuration above
    _write_access = _straight(stream) if as_json and level <= logging.INFO else _by_steps
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=first, processors=[_without_record, *last])
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def is_json(settings: Settings, stream: TextIO = sys.stderr) -> bool:
    """Whether lines are JSON: asked for, or nobody looks on."""
    return settings.log_format == "json" or (settings.log_format == "auto" and not stream.isatty())


def _straight(stream: TextIO) -> Write:
    """As JSON straight to the stream: the steps of all others would take a tenth of a small request."""

    def write(event: str, values: dict[str, Any]) -> None:
        values |= {"event": event, "level": "info", "timestamp": datetime.now(UTC)}
        stream.write(_json(values) + "\n")
        stream.flush()

    return write


def _last_steps(as_json: bool, *, colours: bool) -> list[Processor]:
    """Tracebacks are rendered plainly: the fancy ones show local variables, and with them secrets."""
    if as_json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_json)]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain, pad_event_to=12)]


def _json(line: EventDict, **_options: Any) -> str:
    return orjson.dumps(line, default=str, option=orjson.OPT_UTC_Z).decode()


def _without_record(_logger: Any, _method: str, line: EventDict) -> EventDict:
    """Drop what the standard library's logging adds for its own use."""
    del line["_record"], line["_from_structlog"]
    return line
