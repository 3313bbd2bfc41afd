"""The checks of `test_architecture.py`: each reads source text and says what breaks a rule, and where.

They read files and import nothing, so code that is half written is checked, too.
"""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

FILE_LINES = 400
TEST_FILE_LINES = 600
FUNCTION_LINES = 40
MEDIAN_LINES = 8

SERVER = ("app", "graphql_schema", "db")
OUTSIDE = ("tests", "demo", "examples", "benchmarks")
# What each room may import of the others; nobody imports what is outside the server.
BELOW: Mapping[str, frozenset[str]] = {
    "db": frozenset(),
    "graphql_schema": frozenset({"db"}),
    "app": frozenset({"graphql_schema", "db"}),
    "client": frozenset(),
    "web": frozenset(),
    **{room: frozenset({*SERVER, *OUTSIDE}) for room in OUTSIDE},
}
# Packages that would pull a room's neighbour in by the back door.
FOREIGN: Mapping[str, frozenset[str]] = {
    "db": frozenset({"strawberry", "starlette", "graphql", "uvicorn", "httptools", "websockets", "typer"}),
    "graphql_schema": frozenset({"asyncpg", "starlette", "uvicorn", "websockets", "socket", "typer"}),
    "app": frozenset({"strawberry"}),
}
VAGUE = re.compile(r"(^|_)(utils?|helpers?|common|misc|managers?|services?|shared)(_|$)")
UNSAFE_MODULES = frozenset({"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"})
UNSAFE_NAMES = frozenset({"eval", "exec"})
SQL = re.compile(
    r"\b(?:SELECT\s+[\w*.{(]|INSERT\s+INTO\b|UPDATE\s+\S+\s+SET\b|DELETE\s+FROM\b|(?:LEFT|INNER|CROSS)\s+JOIN\b"
    r"|JOIN\s+LATERAL\b|ORDER\s+BY\b|GROUP\s+BY\b|WHERE\s+\S+\s*[=<>]|(?:CREATE|ALTER|DROP)\s+(?:TABLE|INDEX)\b"
    r"|IS\s+(?:NOT\s+)?(?:NULL|TRUE|DISTINCT)\b)|\sAND\s"
    r"|\bjsonb?_(?:agg|build_\w+|object\w*|each\w*|array_\w+)\s*\(|::(?:text|uuid|int|bigint|jsonb?)\b"
)
MACHINE_PATH = re.compile(r"(?<![\w.~$}/-])/(?:home|Users|root|work)/[\w.-]+|\b[A-Z]:\\\\?Users\\")
REGISTRY = re.compile(
    r"\b(?:(?:test\.)?pypi\.org|(?:files\.)?pythonhosted\.org|registry\.(?:npmjs|yarnpkg)\.\w+|(?:deb|security)\.debian\.org"
    r"|(?:registry|index)(?:-1)?\.docker\.(?:io|com)|proxy\.golang\.org|static\.crates\.io|ghcr\.io|quay\.io)\b"
    r"|(?:^|\s)(?:--(?:extra-)?index-url|--find-links|-i)[ =]\S*(?:://|/simple)"
)


@dataclass(frozen=True)
class Module:
    """One Python file of the repository."""

    name: str
    path: str
    text: str

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=self.path)

    def at(self, node: ast.stmt | ast.expr, sentence: str) -> str:
        return f"{self.path}:{node.lineno} {sentence}"


def modules_of(root: Path, rooms: Iterable[str]) -> list[Module]:
    """Every Python file below the rooms; a package stands for its `__init__.py`."""
    found = []
    for path in sorted(path for room in rooms for path in (root / room).rglob("*.py")):
        relative = path.relative_to(root)
        parts = relative.with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, relative.as_posix(), path.read_text()))
    return found


def kept_files(root: Path) -> list[Path]:
    """What a commit may hold: every file but what `.gitignore` names. Works without git, too."""
    ignored = [line.rstrip("/") for line in (root / ".gitignore").read_text().split()] + [".git"]

    def walk(folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if any(fnmatch.fnmatch(path.name, pattern) for pattern in ignored):
                continue
            if path.is_dir() and not path.is_symlink():
                yield from walk(path)
            elif path.is_file():
                yield path

    return list(walk(root))


# --- Arrows ---


def imported(statement: ast.AST) -> list[str]:
    """The names that a statement or call imports: `a.b` for `from a import b`, a module or not."""
    match statement:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=str(module), level=0, names=names):
            return [f"{module}.{alias.name}" for alias in names]
        case ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__")):
            first = statement.args[0] if statement.args else None
            return [first.value] if isinstance(first, ast.Constant) and isinstance(first.value, str) else []
    return []


def upward_imports(module: Module) -> list[str]:
    """Imports of a room that is not below the module's own, wherever in the file they hide."""
    allowed = BELOW[module.room] | {module.room}
    return [
        module.at(node, f"imports {name}, but {module.room} may import only {sorted(allowed)}")
        for node in ast.walk(module.tree)
        for name in imported(node)
        if isinstance(node, ast.stmt | ast.expr) and name.partition(".")[0] in BELOW.keys() - allowed
    ]


def foreign_imports(module: Module) -> list[str]:
    """Packages whose business is another room's."""
    return [
        module.at(node, f"imports {name}, which is no business of {module.room}")
        for node in ast.walk(module.tree)
        for name in imported(node)
        if isinstance(node, ast.stmt | ast.expr) and name.partition(".")[0] in FOREIGN.get(module.room, frozenset())
    ]


def is_for_types_only(node: ast.AST) -> bool:
    """`if TYPE_CHECKING:`, which never runs."""
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
            return True
    return False


def run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    """The statements that importing a file executes: not function bodies, not `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if is_for_types_only(child):
            for other in child.orelse if isinstance(child, ast.If) else []:
                yield other
                yield from run_on_import(other)
        elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from run_on_import(child)


def import_cycle(modules: Iterable[Module]) -> list[str]:
    """The modules of one import cycle, first and last the same; empty if there is none."""
    known = {module.name: module for module in modules}

    def target(name: str) -> str | None:
        return name if name in known else next((p for p in [name.rpartition(".")[0]] if p in known), None)

    graph = {
        name: {found for node in run_on_import(module.tree) for n in imported(node) if (found := target(n))}
        for name, module in known.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


# --- Sizes ---


def overlong_file(module: Module) -> list[str]:
    limit = TEST_FILE_LINES if module.room == "tests" else FILE_LINES
    lines = len(module.text.splitlines())
    return [f"{module.path} has {lines} lines, over {limit}"] if lines > limit else []


def functions_of(module: Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(module.tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def overlong_functions(module: Module) -> list[str]:
    return [
        module.at(function, f"{function.name} has {length(function)} lines, over {FUNCTION_LINES}")
        for function in functions_of(module)
        if length(function) > FUNCTION_LINES
    ]


def median_length(modules: Iterable[Module]) -> float:
    return median(length(function) for module in modules for function in functions_of(module))


# --- Words ---


def vague_names(module: Module) -> list[str]:
    bad = [part for part in module.name.split(".") if VAGUE.search(part)]
    return [f"{module.path} is named {part!r}, which says nothing of what it holds" for part in bad]


def unsafe_uses(module: Module) -> list[str]:
    """Loaders that run what they read, and the functions that run text."""
    found = []
    for node in ast.walk(module.tree):
        found += [
            module.at(node, f"imports {name}")
            for name in imported(node)
            if isinstance(node, ast.stmt | ast.expr) and name.partition(".")[0] in UNSAFE_MODULES
        ]
        match node:
            case ast.Name(id=name) if name in UNSAFE_NAMES:
                found.append(module.at(node, f"uses {name}"))
            case ast.Attribute(attr=name, value=ast.Name(id="builtins")) if name in UNSAFE_NAMES:
                found.append(module.at(node, f"uses builtins.{name}"))
            case ast.keyword(arg="allow_pickle", value=ast.Constant(value=True) as value):
                found.append(module.at(value, "allows pickles"))
    return found


def docstrings_of(tree: ast.Module) -> set[int]:
    """The identities of the expressions that are docstrings or stand alone as one."""
    return {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)}


def sql_texts(module: Module) -> list[str]:
    """Strings that are SQL, but for docstrings."""
    docstrings = docstrings_of(module.tree)
    return [
        module.at(node, f"holds SQL text: {node.value.strip()[:60]!r}")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if id(node) not in docstrings and SQL.search(node.value)
    ]


def places_named(path: str, text: str) -> list[str]:
    """Folders of one machine, and hosts that a machine's settings choose."""
    return [
        f"{path}:{number} names {found.group().strip()!r}"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern in (MACHINE_PATH, REGISTRY)
        for found in pattern.finditer(line)
    ]
