"""`python -m modelbox.sender FOLDER`: the process beside a training. It lives as long as its standard input is open."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Final

from modelbox.connection import Connection
from modelbox.credentials import token
from modelbox.errors import ModelBoxError
from modelbox.queue.lease import Taken
from modelbox.queue.spool import remove
from modelbox.sender.drain import Drain
from modelbox.sender.session import ASIDE, Session

PAUSE_SECONDS: Final = 0.05
LINGER_SECONDS: Final = 10.0
"""How long it goes on when the training is gone."""


def main() -> int:
    """Send one folder."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(5)
    folder = Path(sys.argv[1])
    session = Session(folder, Connection("http://unknown"))
    server = session.about["server"]
    try:
        session.server = Connection(server, token(server))
        is_sent = Drain(session).follow(_is_alive, LINGER_SECONDS)
    except Taken as holder:
        session.warn("QUEUE_TAKEN", f"{folder} is being sent by {holder}.")
        return 0
    except ModelBoxError as error:  # Settings that are none: the next sender would have the same.
        session.warn(error.code, f"{error.message} All is kept; `modelbox sync` sends it.")
        return 0
    while _is_alive():  # The training reads the status before it lets go.
        time.sleep(PAUSE_SECONDS)
    if is_sent and not (folder / ASIDE).exists():
        remove(folder)
    return 0


def _is_alive() -> bool:
    """Whether the training is: its end of the pipe is open."""
    ready, _, _ = select.select([sys.stdin], [], [], 0)
    return not ready


if __name__ == "__main__":
    sys.exit(main())
