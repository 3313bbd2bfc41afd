"""Reading a server: `Api`, and the types of what it answers."""

from modelbox.api.reader import Api
from modelbox.api.rows import Rows

__all__ = ["Api", "Rows"]
