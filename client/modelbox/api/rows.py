"""Lists that are longer than a page, and tables of what was read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Generic, TypeVar

from modelbox.api.reading import Page, plain
from modelbox.errors import ModelBoxError, Refused

T = TypeVar("T")
PAGE: Final = 100
"""The most rows that the server sends at once."""


class Rows(Generic[T]):
    """The rows of a list, asked for page by page as a loop needs them; every loop asks anew."""

    def __init__(self, ask: Callable[[int, str | None], Page[T] | None], *, what: str, limit: int | None) -> None:
        self._ask = ask
        self._what = what
        self._limit = limit

    def __iter__(self) -> Iterator[T]:
        left, after = self._limit, None
        while left is None or left > 0:
            page = there(self._ask(PAGE if left is None else min(left, PAGE), after), self._what)
            yield from page.nodes
            after = page.cursor
            if after is None:
                return
            left = None if left is None else left - len(page.nodes)

    def first(self) -> T | None:
        """The first row; None if there is none."""
        page = there(self._ask(1, None), self._what)
        return page.nodes[0] if page.nodes else None

    def records(self) -> list[dict[str, Any]]:
        """Flat dictionaries: `{"name": …, "hyperparameters/optimizer/lr": …}`."""
        return [flat(row) for row in self]

    def to_pandas(self) -> Any:
        """A DataFrame with a row each. Raises ModelBoxError when pandas is not installed."""
        return frame(self.records())

    def __repr__(self) -> str:
        return f"<rows of {self._what}>"


def there(value: T | None, what: str) -> T:
    """What was found. Raises Refused, as NOT_FOUND, if it was not."""
    if value is None:
        raise Refused("NOT_FOUND", f"There is no {what}, or you may not see it.")
    return value


def flat(row: Any) -> dict[str, Any]:
    """An object without nesting: keys from the outside in, joined with `/`."""
    return dict(_flattened("", plain(row)))


def _flattened(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flattened(f"{path}/{name}" if path else name, inner)
    else:
        yield path, value


def frame(rows: Iterable[Any] | dict[str, Any]) -> Any:
    """A DataFrame. Raises ModelBoxError when pandas is not installed."""
    try:
        import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        message = "pandas is not installed here: run `pip install pandas`, or use what is there without it."
        raise ModelBoxError("PANDAS_MISSING", message) from None
    return pd.DataFrame(rows if isinstance(rows, dict) else list(rows))
