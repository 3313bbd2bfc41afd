"""Reading the documentation as `test_docs.py` needs it: blocks, commands, links, and what code says."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from typer.core import TyperCommand, TyperGroup

from modelbox.cli.main import parser
from tests.house_rules import Module

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
CODE = re.compile(r"`([A-Z][A-Z_]+[A-Z])`")
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
Command = TyperCommand | TyperGroup
# What a reader has, or is told to get.
ORDINARY = frozenset({"curl", "docker", "git", "cd", "export"})


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path
    text: str

    def blocks(self, language: str) -> list[str]:
        return [body for name, body in FENCE.findall(self.text) if name == language]

    def prose(self) -> str:
        return FENCE.sub("", self.text)


def pages(root: Path) -> list[Page]:
    paths = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("[!.]*/README.md")]
    return [Page(path, path.read_text()) for path in sorted(set(paths))]


def anchors(page: Page) -> set[str]:
    """The anchors of the page's headings, as GitHub makes them."""
    words = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(page.prose())]
    return {word.strip().replace(" ", "-") for word in words}


def broken_links(page: Page) -> list[str]:
    """Links into the repository that lead nowhere."""
    broken: list[str] = []
    for target in LINK.findall(page.prose()):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = page.path.parent / name
        if not name:
            there = anchors(page)
        else:
            there = anchors(Page(path, path.read_text())) if path.suffix == ".md" and path.exists() else set()
        if (name and not path.exists()) or (anchor and anchor not in there):
            broken.append(target)
    return broken


def command_lines(block: str) -> Iterator[list[str]]:
    """The words of each command of a shell block; pipes and `&&` part commands."""
    pending = ""
    for line in block.replace("\\\n", " ").split("\n"):
        pending += line
        try:
            words = shlex.split(pending, comments=True)
        except ValueError:  # A quoted text goes on in the next line.
            pending += "\n"
            continue
        pending = ""
        while words:
            end = next((at for at, word in enumerate(words) if word in {"|", "&&"}), len(words))
            yield words[:end]
            words = words[end + 1 :]
    if pending:
        raise ValueError(f"unclosed quotation: {pending[:80]}")


def unknown_words(words: list[str]) -> str | None:
    """What the client's command line does not take; None if it takes them."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            parser().parse_args(words)
        except SystemExit as ended:
            return said.getvalue() if ended.code else None
    return None


def unknown_command(words: list[str], targets: set[str], console: Command, root: Path) -> str | None:
    """What is wrong with a command; None if it is one that a reader can run."""
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    program, rest = words[0], words[1:]
    if program == "make":
        wrong = {word for word in rest if "=" not in word and not word.startswith("-")} - targets
        return f"make has no target {wrong}" if wrong else None
    if program == "docker":  # What follows the image goes to the command.
        rest = rest[rest.index("modelbox") + 1 :] if "run" in rest and "modelbox" in rest else []
        return unknown_option(rest, console) if rest else None
    if program.removeprefix(".venv/bin/") == "modelbox-server":
        return unknown_option(rest, console)
    if program.removeprefix(".venv/bin/") == "modelbox":
        return unknown_words(rest)
    if program in ORDINARY or (program.startswith(".venv/bin/") and (root / program).exists()):
        return None
    return f"{program} is no command of ours"


def unknown_option(words: list[str], command: Command) -> str | None:
    """A subcommand or an option that the console command does not have."""
    while children := children_of(command):
        if not words or words[0] not in children:
            return f"{command.name} has no command {words[:1]}"
        command, words = children[words[0]], words[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help"
    }
    wrong = [word for word in words if word.startswith("-") and word.partition("=")[0] not in known]
    return f"{command.name} has no option {wrong}" if wrong else None


def children_of(command: Command) -> dict[str, Command]:
    """The subcommands by name; of a plain command, none."""
    return dict(command.commands) if isinstance(command, TyperGroup) else {}  # type: ignore[arg-type]


def commands_of(command: Command, path: str = "modelbox-server") -> list[str]:
    """Every command of a command line, with the words before it."""
    children = children_of(command).items()
    return [found for name, child in children for found in commands_of(child, f"{path} {name}")] or [path]


def codes_raised(module: Module) -> set[str]:
    """The codes that a module gives to request errors."""
    found = set()
    for node in ast.walk(module.tree):
        match node:
            case ast.Call(
                func=ast.Name(id="RequestError" | "request_error"),
                args=[ast.Constant(value=str(code)), *_],
            ):
                found.add(code)
            case ast.Dict(keys=[ast.Constant(value="code")], values=[ast.Constant(value=str(code))]):
                found.add(code)
    return found


@dataclass(frozen=True)
class Sent:
    """What a `curl` command of the documentation sends."""

    url: str
    headers: dict[str, str]
    body: str | None


def curl(words: list[str]) -> Sent:
    """Read the few options that the documentation uses; any other is an error."""
    url, body, headers = "", None, {}
    rest = iter(words[1:])
    for word in rest:
        match word:
            case "-s" | "-N" | "-sS":
                pass
            case "-H":
                name, _, value = next(rest).partition(":")
                headers[name] = value.strip()
            case "-d":
                body = next(rest)
            case _ if "://" in word or word.startswith("localhost"):
                url = word
            case _:
                raise ValueError(f"curl option {word}")
    return Sent(url, headers, body)
