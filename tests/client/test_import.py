"""What a training script waits for: the modules that `import modelbox` and `init` bring along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).parents[2] / "client"
HEAVY = frozenset({
    "rich", "urllib3", "websockets", "http", "ssl", "socket", "subprocess", "shutil", "uuid", "platform", "asyncio",
    "email", "importlib.metadata", "tomllib", "multiprocessing", "concurrent", "logging", "unittest", "numpy", "pandas",
    "torch", "IPython", "keyring", "pynvml", "hashlib", "tempfile", "random", "ctypes", "zipfile", "xml", "sqlite3",
    "modelbox.capture", "modelbox.sender", "modelbox.api", "modelbox.cli", "modelbox.live", "modelbox.terminal",
    "modelbox.notebook",
})  # fmt: skip
"""Neither is needed before something is logged."""

MOST_MODULES = 100
"""Of the standard library and ours; there are 90 now."""

COUNTED = f"""
import sys
sys.path.insert(0, {str(CLIENT)!r})
before = set(sys.modules)
{{}}
print(*sorted(set(sys.modules) - before))
"""


def brought(statements: str, folder: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", COUNTED.format(statements)],
        capture_output=True, text=True, cwd=folder, timeout=60, check=True,
    )  # fmt: skip
    return set(done.stdout.split())


def heavy(modules: set[str]) -> set[str]:
    return {name for name in modules if any(f"{name}.".startswith(f"{heavy}.") for heavy in HEAVY)}


def test_the_import_brings_little(clean: Path) -> None:
    assert {name for name in brought("import modelbox", clean) if "modelbox" in name} == {"modelbox"}
    found = brought("import modelbox; modelbox.init", clean)
    assert "modelbox.run" in found
    assert heavy(found) == set()
    assert len(found) <= MOST_MODULES


def test_a_run_brings_nothing_that_is_only_for_servers(clean: Path) -> None:
    statements = "import modelbox; run = modelbox.init(mode='offline', quiet=True); run.log({'a': 1.0}); run.finish()"
    found = brought(statements, clean)
    assert "modelbox.capture.environment" in found
    ours = {name for name in heavy(found) if name.startswith("modelbox.")}
    assert {name.split(".")[1] for name in ours} <= {"capture", "terminal"}
    assert heavy(found) - ours == {"subprocess"}


def test_a_run_that_is_switched_off_looks_at_nothing(clean: Path) -> None:
    found = brought("import modelbox; modelbox.init(mode='disabled').log({'a': 1.0})", clean)
    assert "modelbox.capture.host" not in found
    assert "modelbox.capture.git" not in found
