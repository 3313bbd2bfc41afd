"""The documentation against the code: what is named exists, and what exists is named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import httpx
import pytest
from graphql import parse, validate
from typer.main import get_command

from app import cli, graphql_http, ws_messages
from app.main import create_app
from app.settings import Settings, variable
from db import errors
from db.engine import Database
from graphql_schema.schema import graphql_schema
from tests.documentation import (
    CODE,
    TARGET,
    Command,
    Page,
    anchors,
    broken_links,
    codes_raised,
    command_lines,
    commands_of,
    curl,
    pages,
    unknown_command,
)
from tests.house_rules import Module, modules_of

ROOT = Path(__file__).parents[1]
PAGES = {page.path.relative_to(ROOT).as_posix(): page for page in pages(ROOT)}
TARGETS = set(TARGET.findall((ROOT / "Makefile").read_text()))
CONSOLE = cast("Command", get_command(cli.commands))
NAMES = pytest.mark.parametrize("name", PAGES)


def domain_errors(kind: type[errors.DomainError] = errors.DomainError) -> set[type[errors.DomainError]]:
    return {kind}.union(*(domain_errors(child) for child in kind.__subclasses__()))


# --- Named where it should be ---


def test_the_pages_that_readers_look_for_exist() -> None:
    wanted = ("api", "concepts", "docker", "errors", "quickstart", "settings")
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", *(f"docs/{name}.md" for name in wanted)} <= set(PAGES)


def test_the_index_lists_every_page() -> None:
    index = PAGES["docs/README.md"].text
    assert [
        name
        for name in PAGES
        if name.startswith("docs/")
        and name.count("/") == 1
        and name != "docs/README.md"
        and f"({name.removeprefix('docs/')})" not in index
    ] == []


@pytest.mark.parametrize("setting", Settings.model_fields)
def test_a_setting_is_documented(setting: str) -> None:
    assert f"`{variable(setting)}`" in PAGES["docs/settings.md"].text


def test_error_codes_are_documented_and_no_others() -> None:
    raised = set().union(*(codes_raised(module) for module in modules_of(ROOT, ["app", "graphql_schema"])))
    known = raised | set(graphql_http.STATUS) | {kind.code for kind in domain_errors()}
    known |= set(graphql_schema.type_map["ErrorCode"].values)  # type: ignore[attr-defined]
    page = PAGES["docs/errors.md"].text.partition("\n## Of the client\n")[0]
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert {CODE.findall(row)[0] for row in rows} == known


def test_close_codes_are_documented() -> None:
    codes = [code for code in vars(ws_messages).values() if isinstance(code, int) and 1000 < code < 5000]
    text = PAGES["docs/errors.md"].text
    assert [code for code in codes if f"\n| {code} |" not in text] == []


@pytest.mark.parametrize("command", commands_of(CONSOLE))
def test_a_command_is_documented(command: str) -> None:
    assert any(command in page.text for name, page in PAGES.items() if name.startswith("docs/"))


@pytest.mark.parametrize("root", ["Query", "Mutation", "Subscription"])
def test_the_api_page_lists_what_the_schema_has(root: str) -> None:
    section = PAGES["docs/api.md"].text.partition(f"\n## {root}\n")[2].partition("\n## ")[0]
    listed = [line.split("`")[1].partition("(")[0] for line in section.splitlines() if line.startswith("| `")]
    assert sorted(listed) == sorted(graphql_schema.type_map[root].fields)  # type: ignore[attr-defined]


def test_the_api_page_says_who_may() -> None:
    """Who may call a mutation is appended to its description from its access rule."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+)(?: \((\w+)\))? \|", PAGES["docs/api.md"].text, re.MULTILINE)
    fields = graphql_schema.type_map["Mutation"].fields  # type: ignore[attr-defined]
    rules = {
        name: re.findall(
            r"Needs the role (\w+) on the (?:whole (tenant)|namespace)", field.description.replace("\n", " ")
        )
        for name, field in fields.items()
    }
    assert {name: [(role.upper(), where)] for name, role, where in rows} == rules


# --- Existing where it is named ---


@NAMES
def test_links_lead_somewhere(name: str) -> None:
    assert broken_links(PAGES[name]) == []


@NAMES
def test_commands_can_be_run(name: str) -> None:
    words = [line for block in PAGES[name].blocks("sh") for line in command_lines(block)]
    assert [fault for line in words if (fault := unknown_command(line, TARGETS, CONSOLE, ROOT))] == []


@NAMES
def test_documents_fit_the_schema(name: str) -> None:
    blocks = PAGES[name].blocks("graphql")
    assert [str(error) for block in blocks for error in validate(graphql_schema, parse(block))] == []


@pytest.mark.parametrize("path", sorted((ROOT / "web/graphiql/queries").glob("*.graphql")), ids=lambda path: path.name)
def test_the_ready_queries_of_the_page_fit_the_schema(path: Path) -> None:
    assert [str(error) for error in validate(graphql_schema, parse(path.read_text()))] == []


async def test_what_the_readme_sends_is_answered(database: Database) -> None:
    """In the order of the page, on an empty server, so that a later request finds what an earlier made."""
    sent = [
        curl(line) for block in PAGES["README.md"].blocks("sh") for line in command_lines(block) if line[0] == "curl"
    ]
    assert sent
    transport = httpx.ASGITransport(create_app(Settings(), database))
    async with httpx.AsyncClient(transport=transport) as client:
        for request in sent:
            response = await client.request(
                "POST" if request.body else "GET", request.url, headers=request.headers, content=request.body
            )
            assert response.status_code == 200, response.text
            assert '"errors":' not in response.text
            assert '"userErrors":[{' not in response.text


# --- The checks can fail ---


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Some *words*, here\n")
    text = "[a](other.md) [b](other.md#some-words-here) [c](missing.md) [d](other.md#no) [e](https://x.org)"
    text += " [f](#top)\n# Top"
    assert broken_links(Page(tmp_path / "page.md", text)) == ["missing.md", "other.md#no"]


def test_anchors_are_those_of_headings() -> None:
    assert anchors(Page(Path("x"), "# One `two`\n```sh\n# no heading\n```\n## In a payload: `userErrors`")) == {
        "one-two",
        "in-a-payload-usererrors",
    }


@pytest.mark.parametrize(
    "line",
    [
        "make nothing",
        "modelbox-server server",
        "modelbox-server serve --hots 0.0.0.0",
        "modelbox-server token",
        ".venv/bin/no-such-tool",
        "wget x",
        "docker run modelbox token create --for x",
        "make test && modelbox",
    ],
)
def test_a_command_that_is_not_there_is_found(line: str) -> None:
    assert any(unknown_command(words, TARGETS, CONSOLE, ROOT) for words in command_lines(line))


@pytest.mark.parametrize(
    "line",
    [
        'make test ARGS="-k cursor"  # comment',
        "MODELBOX_PORT=9000 modelbox-server serve --host 0.0.0.0 \\\n  --port=9000",
        ".venv/bin/modelbox-server token create ann | git x",
        "docker run -v modelbox:/data modelbox token list --json",
        "docker build -t modelbox .",
    ],
)
def test_a_command_that_is_there_is_not(line: str) -> None:
    assert not any(unknown_command(words, TARGETS, CONSOLE, ROOT) for words in command_lines(line))


def test_codes_are_found_in_source() -> None:
    text = "raise RequestError('A_CODE', 'x')\nrequest_error('OTHER', e)\nf({'code': 'THIRD'})\nRequestError(code)"
    assert codes_raised(Module("app.x", "app/x.py", text)) == {"A_CODE", "OTHER", "THIRD"}


def test_a_quoted_text_may_span_lines() -> None:
    assert list(command_lines("curl -d '{\n}' \\\n  x\nmake test")) == [["curl", "-d", "{\n}", "x"], ["make", "test"]]
    with pytest.raises(ValueError, match="unclosed"):
        list(command_lines("curl -d '{"))


def test_an_unread_curl_option_is_refused() -> None:
    assert curl(["curl", "-s", "http://x/", "-H", "A: b:c", "-d", "{}"]).headers == {"A": "b:c"}
    with pytest.raises(ValueError, match="--insecure"):
        curl(["curl", "--insecure", "http://x/"])
