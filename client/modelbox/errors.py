"""What can go wrong, each with a code and a page that says what to do."""

from __future__ import annotations

from typing import Final

PAGES: Final = "https://github.com/modelbox/modelbox/blob/main/docs/errors.md#"


class ModelBoxError(Exception):
    """Something that the user can do something about."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def page(self) -> str:
        """Where the code is explained."""
        return PAGES + self.code.lower().replace("_", "-")

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Refused(ModelBoxError):
    """The server understood, and did not do it; the same again would be refused again."""


class Unreachable(ModelBoxError):
    """No answer, or one that asks to come again later. What was sent may have been done."""

    def __init__(self, message: str, *, code: str = "UNREACHABLE", wait_seconds: float | None = None) -> None:
        super().__init__(code, message)
        self.wait_seconds = wait_seconds
        """What the server asked for, if it did."""
