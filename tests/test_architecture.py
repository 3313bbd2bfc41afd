"""The shape of the code, checked: what no reviewer remembers to look at in the hundredth change.

Complexity, annotations and docstrings are ruff's and mypy's; this file holds them to their settings.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import house_rules
from tests.house_rules import (
    MEDIAN_LINES,
    OUTSIDE,
    SERVER,
    Module,
    foreign_imports,
    import_cycle,
    kept_files,
    median_length,
    modules_of,
    overlong_file,
    overlong_functions,
    places_named,
    sql_texts,
    unsafe_uses,
    upward_imports,
    vague_names,
)

ROOT = Path(__file__).parents[1]
MODULES = modules_of(ROOT, [*SERVER, *OUTSIDE, "client", "web"])
BY_ROOM = {room: [module for module in MODULES if module.room == room] for room in (*SERVER, *OUTSIDE)}


def everywhere(check: Callable[[Module], list[str]], modules: list[Module] = MODULES) -> list[str]:
    return [finding for module in modules for finding in check(module)]


def none(findings: list[str]) -> None:
    assert not findings, "\n".join(findings)


# --- The code as it is ---


def test_there_is_code_to_check() -> None:
    assert all(BY_ROOM[room] for room in (*SERVER, "tests"))


def test_imports_run_downwards() -> None:
    """app → graphql_schema → db. Growth is the danger: what points both ways can no longer be moved."""
    none(everywhere(upward_imports))


def test_rooms_leave_the_neighbours_libraries_alone() -> None:
    """The database knows no GraphQL and no HTTP; the schema opens no connection."""
    none(everywhere(foreign_imports))


def test_no_import_cycles() -> None:
    """A cycle makes the order of imports matter, and one room of two."""
    assert import_cycle(MODULES) == []


def test_files_are_short() -> None:
    """A file that nobody can hold in their head gets a second meaning, then a third."""
    none(everywhere(overlong_file))


def test_functions_are_short() -> None:
    """It is the tail that makes a codebase hard to love, so the longest is bounded ..."""
    none(everywhere(overlong_functions))


@pytest.mark.parametrize("room", [room for room, modules in BY_ROOM.items() if modules])
def test_the_usual_function_is_shorter(room: str) -> None:
    """... and so is the middle, room by room."""
    assert median_length(BY_ROOM[room]) <= MEDIAN_LINES


def test_modules_are_nouns_of_the_domain() -> None:
    """`utils` is where code goes whose home nobody looked for."""
    none(everywhere(vague_names))


def test_no_text_is_run_and_no_pickle_loaded() -> None:
    """Of 87 published flaws of trackers, 17 ran code by unpickling or evaluating what a client sent."""
    none(everywhere(unsafe_uses))


@pytest.mark.parametrize("room", ["app", "graphql_schema"])
def test_sql_is_written_in_db(room: str) -> None:
    """The access predicate is put into every statement by db; a statement from elsewhere has none."""
    none(everywhere(sql_texts, BY_ROOM[room]))


def test_files_name_no_machine_and_no_registry() -> None:
    """A path of somebody's disk or a mirror's address works until somebody else clones."""
    found = []
    for path in kept_files(ROOT):
        text = path.read_bytes().decode(errors="ignore")
        found += places_named(path.relative_to(ROOT).as_posix(), text)
    none(found)


def test_the_linters_hold_the_rest() -> None:
    """Complexity, annotations and strict types are theirs; nobody may quietly turn them off."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert linter_gaps(settings) == []


def linter_gaps(settings: dict[str, Any]) -> list[str]:
    lint, mypy = settings["ruff"]["lint"], settings["mypy"]
    relaxed = {
        key: override["module"]
        for override in mypy.get("overrides", [])
        for key, value in override.items()
        if key.startswith(("disallow_", "ignore_errors", "check_")) and (value is not key.startswith("disallow"))
    }
    gaps = [f"ruff does not select {rule}" for rule in ("ANN", "C90", "D", "PGH", "S") if rule not in lint["select"]]
    gaps += [] if lint["mccabe"]["max-complexity"] <= 8 else ["functions may be more complex than 8"]
    gaps += [] if mypy["strict"] else ["mypy is not strict"]
    gaps += [f"mypy does not check {room}" for room in (*SERVER, "tests") if room not in mypy["packages"]]
    gaps += [] if set(relaxed) <= {"disallow_untyped_decorators"} else [f"mypy is relaxed: {relaxed}"]
    gaps += [
        f"decorators: {module}"
        for module in relaxed.get("disallow_untyped_decorators", [])
        if module != "graphql_schema.*"
    ]
    return gaps


# --- Every check can fail ---


def source(text: str, name: str = "db.thing") -> Module:
    return Module(name, name.replace(".", "/") + ".py", text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("db.thing", "import app"),
        ("db.thing", "import graphql_schema.scalars"),
        ("db.thing", "from app import settings"),
        ("db.thing", "def late():\n    from app.settings import Settings"),
        ("db.thing", "if TYPE_CHECKING:\n    from graphql_schema import schema"),
        ("db.thing", "importlib.import_module('app.main')"),
        ("graphql_schema.thing", "from app.main import create_app"),
        ("app.thing", "from tests import house_rules"),
        ("app.thing", "import demo"),
        ("client.thing", "from db import tables"),
    ],
)
def test_an_upward_import_is_found(name: str, text: str) -> None:
    assert len(upward_imports(source(text, name))) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "app.thing",
            "from db import engine\nfrom graphql_schema.schema import schema\nfrom app import settings",
        ),
        ("graphql_schema.thing", "import db.errors"),
        ("db.thing", "import application\nfrom appdirs import x"),
        ("tests.thing", "import app, db, graphql_schema, demo"),
    ],
)
def test_a_downward_import_is_not(name: str, text: str) -> None:
    assert upward_imports(source(text, name)) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("db.thing", "import strawberry"),
        ("db.thing", "def f():\n    from starlette.requests import Request"),
        ("graphql_schema.thing", "import asyncpg"),
        ("app.thing", "from strawberry.asgi import GraphQL"),
    ],
)
def test_a_neighbours_library_is_found(name: str, text: str) -> None:
    assert len(foreign_imports(source(text, name))) == 1


def test_a_cycle_is_found() -> None:
    one = source("from db import two", "db.one")
    two = source("import db.three", "db.two")
    three = source("try:\n    from db.one import name\nexcept ImportError:\n    pass", "db.three")
    assert set(import_cycle([one, two, three])) == {"db.one", "db.two", "db.three"}


def test_a_package_that_imports_its_parts_is_no_cycle_unless_they_import_it() -> None:
    door = source("from db.tables.row import Row", "db.tables")
    assert import_cycle([door, source("import math", "db.tables.row")]) == []
    assert import_cycle([door, source("from db.tables import name", "db.tables.row")])


@pytest.mark.parametrize("text", ["if TYPE_CHECKING:\n    from db import one", "def late():\n    from db import one"])
def test_imports_that_do_not_run_make_no_cycle(text: str) -> None:
    assert import_cycle([source("from db import two", "db.one"), source(text, "db.two")]) == []


def test_the_other_branch_of_type_checking_runs() -> None:
    text = "if typing.TYPE_CHECKING:\n    pass\nelse:\n    import db.one"
    assert import_cycle([source("import db.two", "db.one"), source(text, "db.two")])


def test_a_long_file_is_found() -> None:
    assert overlong_file(source("x = 1\n" * 400)) == []
    assert overlong_file(source("x = 1\n" * 401))
    assert overlong_file(source("x = 1\n" * 600, "tests.thing")) == []
    assert overlong_file(source("x = 1\n" * 601, "tests.thing"))


def test_a_long_function_is_found_and_moves_the_median() -> None:
    short, long = "def f():\n" + "    x = 1\n" * 39, "class A:\n  async def g(self):\n" + "    x = 1\n" * 40
    assert overlong_functions(source(short)) == []
    assert overlong_functions(source(long)) == ["db/thing.py:2 g has 41 lines, over 40"]
    assert median_length([source(short), source(long), source("def h():\n  pass")]) == 40


@pytest.mark.parametrize("name", ["app.utils", "db.util", "app.http_helpers", "db.common.text", "db.pool_manager"])
def test_a_vague_name_is_found(name: str) -> None:
    assert vague_names(source("", name))


@pytest.mark.parametrize("name", ["db.utility_function", "app.commonmark", "db.identifiers"])
def test_a_longer_word_is_no_vague_name(name: str) -> None:
    assert vague_names(source("", name)) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from joblib import load",
        "def f():\n    import dill",
        "importlib.import_module('marshal')",
        "eval('1')",
        "run = exec",
        "builtins.eval(x)",
        "numpy.load(path, allow_pickle=True)",
    ],
)
def test_running_what_was_read_is_found(text: str) -> None:
    assert len(unsafe_uses(source(text))) == 1


def test_names_that_only_look_unsafe_are_not() -> None:
    assert (
        unsafe_uses(source("asyncio.create_subprocess_exec(x)\nmodel.eval()\nnumpy.load(p, allow_pickle=False)")) == []
    )


@pytest.mark.parametrize(
    "text",
    [
        "x = 'SELECT id FROM model'",
        "x = f'{a} ORDER BY {b}'",
        "x = 'a LEFT JOIN b'",
        "x = f'WHERE id = {a}'",
        "x = f'json_build_object({a})'",
        "x = f'{a}::text'",
        "x = f'{a}.id IS NOT NULL'",
        "x = f'{a}.x = {b}.x AND {c}'",
        "def f():\n    return '''\n  UPDATE head SET seq = 1'''",
    ],
)
def test_sql_text_is_found(text: str) -> None:
    assert len(sql_texts(source(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "'''SELECT in a docstring: SELECT a FROM b'''",
        "x = 'Select where it lives, order by name.'",
        "x = a['::']",
    ],
)
def test_prose_is_no_sql(text: str) -> None:
    assert sql_texts(source(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "open('" + "/home" + "/ann/model.bin')",
        "see (" + "/Users" + "/ann)",
        "C:" + "\\Users\\ann",
        "pip install --index-url " + "https:" + "//mirror.example/simple x",
        "--extra-index-url=" + "file:" + "///mirror",
        '"resolved": "https://registry.' + 'npmjs.org/x"',
        "# from https://pypi" + ".org/simple",
    ],
)
def test_a_machine_or_registry_is_found(text: str) -> None:
    assert len(places_named("x", text)) == 1


@pytest.mark.parametrize(
    "text", ["https://example.org/home/ann", "/data", "~/work/here", "$HOME/root/x", "-u PIP_INDEX_URL"]
)
def test_other_places_may_be_named(text: str) -> None:
    assert places_named("x", text) == []


def test_only_what_git_would_keep_is_read(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("build/\n*.egg-info/\n")
    for name in ("build/a", "x.egg-info/b", ".git/c", "docs/d", "e"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    names = {path.relative_to(tmp_path).as_posix() for path in kept_files(tmp_path)}
    assert names == {".gitignore", "docs/d", "e"}


def test_modules_are_found_by_their_dotted_names(tmp_path: Path) -> None:
    for name in ("db/__init__.py", "db/read/__init__.py", "db/read/plan.py", "app/main.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    found = modules_of(tmp_path, ["db", "app", "missing"])
    assert {module.name for module in found} == {"db", "db.read", "db.read.plan", "app.main"}
    assert {module.room for module in found} == {"db", "app"}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("strict", False),
        ("packages", ["app", "db", "tests"]),
        ("overrides", [{"module": ["db.*"], "disallow_untyped_defs": False}]),
        ("overrides", [{"module": ["app.*"], "ignore_errors": True}]),
        ("overrides", [{"module": ["db.*"], "disallow_untyped_decorators": False}]),
    ],
)
def test_a_relaxed_type_checker_is_found(place: str, value: object) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    settings["mypy"][place] = value
    assert linter_gaps(settings)


def test_a_relaxed_linter_is_found() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    settings["ruff"]["lint"]["select"].remove("ANN")
    settings["ruff"]["lint"]["mccabe"]["max-complexity"] = 9
    assert len(linter_gaps(settings)) == 2


def test_the_limits_are_those_of_the_house() -> None:
    assert (
        house_rules.FILE_LINES,
        house_rules.TEST_FILE_LINES,
        house_rules.FUNCTION_LINES,
        MEDIAN_LINES,
    ) == (
        400,
        600,
        40,
        8,
    )
