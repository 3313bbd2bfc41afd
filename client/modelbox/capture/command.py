"""The command that the training was begun with."""

from __future__ import annotations

import sys
from typing import Final

from modelbox.capture.secrets import in_arguments

MOST_WORDS: Final = 500
LONGEST_WORD: Final = 2_000


def words() -> list[str]:
    """Its words, with the secrets hidden. The interpreter's path is left out, but not its options."""
    given = [_text(word) for word in sys.orig_argv[1 : MOST_WORDS + 1]]
    # Cut when they are hidden: half a secret may not look like one.
    found = [word if len(word) <= LONGEST_WORD else f"{word[:LONGEST_WORD]}…" for word in in_arguments(given)]
    return ["python", *found] if len(sys.orig_argv) <= MOST_WORDS else ["python", *found, "…"]


def _text(word: str) -> str:
    """Words of a command may hold bytes that are no text."""
    return word.encode(errors="replace").decode().replace("\0", "")
