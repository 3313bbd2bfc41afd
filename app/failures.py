"""What a command ends with when it cannot do its work: a sentence, and a number for scripts."""

from __future__ import annotations

from typing import Final

from app.database import DatabaseUnreachable
from app.listening import AddressRefused
from app.process import Exposed, PostgresDied
from app.setting_files import SettingsError
from app.workers import WorkerFailed
from db.embedded import EmbeddedError
from db.errors import DomainError, Unavailable
from db.migrate import MigrationRefused

EXIT_CODES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (SettingsError, 2),
    (EmbeddedError, 3),
    (DatabaseUnreachable, 3),
    (MigrationRefused, 3),
    (PostgresDied, 3),
    (Unavailable, 3),
    (AddressRefused, 4),
    (Exposed, 5),
    (WorkerFailed, 6),
    (DomainError, 7),
)


def exit_code(error: Exception) -> int | None:
    """The exit code of an error that the operator can mend; None for a fault of ours."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), None)
