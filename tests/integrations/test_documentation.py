"""The page of the integrations: every block of Python on it is run as it stands."""

from __future__ import annotations

import re

import pytest

from tests.documentation import Page
from tests.integrations.scripts import REPOSITORY, Scripts

pytestmark = pytest.mark.integrations
PATH = REPOSITORY / "docs" / "integrations.md"
BLOCKS = Page(PATH, PATH.read_text()).blocks("python")


def name_of(block: str) -> str:
    [module] = re.findall(r"from modelbox\.integrations(?:\.\w+)? import (?:\w+)", block)
    return str(module.split()[1].removeprefix("modelbox.integrations").lstrip(".") or module.split()[-1])


@pytest.mark.parametrize("block", BLOCKS, ids=name_of)
def test_a_block_runs_and_a_run_ends_well(scripts: Scripts, block: str) -> None:
    namespace = name_of(block)
    scripts.run(block, namespace=namespace)
    runs = scripts.runs(namespace)
    assert runs
    assert {each["status"] for each in runs.values()} == {"COMPLETED"}
    assert any(each["series"] for each in runs.values())


def test_every_integration_has_its_block() -> None:
    files = {path.stem for path in (REPOSITORY / "client/modelbox/integrations").glob("[a-z]*.py")}
    assert {name_of(block) for block in BLOCKS} == files - {"held", "event_files"}
