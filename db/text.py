"""What text PostgreSQL can store, and how long a caller's text may be."""

from __future__ import annotations

from db.errors import Invalid


def fault_in(text: str) -> str | None:
    """What keeps a text from being stored exactly, in words; None when nothing does.

    PostgreSQL's `text` and `jsonb` hold neither U+0000 nor half of a surrogate pair.
    """
    if "\0" in text:
        return "a NUL character (U+0000)"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"a lone surrogate (U+{ord(text[error.start]):04X})"
    return None


def check_text(value: str, *, what: str, max_length: int, path: tuple[str, ...] | None = None) -> str:
    """The value, when it can be stored and has at most `max_length` characters.

    `what` is the argument as the caller wrote it, such as `input.description`; its parts are the
    error's path unless `path` says otherwise.

    Raises:
        Invalid: it holds a NUL or a lone surrogate, or is too long.
    """
    where = tuple(what.split(".")) if path is None else path
    if len(value) > max_length:
        raise Invalid(
            f"`{what}` has {len(value)} characters; at most {max_length} are allowed. Shorten it.",
            path=where,
        )
    fault = fault_in(value)
    if fault is not None:
        raise Invalid(f"`{what}` contains {fault}, which cannot be stored. Remove it.", path=where)
    return value
