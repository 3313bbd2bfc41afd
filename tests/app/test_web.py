"""The bundled pages: whole, self-contained, and under their policy."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from app import web

ORIGIN = "http://modelbox.test"
FOLDERS = {"assets/": web.BUNDLE / "assets", "live/": web.LIVE / "live"}
FILES = [file for folder in FOLDERS.values() for file in sorted(folder.iterdir())]
PAGES = pytest.mark.parametrize("name", ["", "live"])


class _Addresses(HTMLParser):
    """Collects what a page loads: (tag, address)."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.inline_scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        address = given.get("src") or (given.get("href") if tag == "link" else None)
        if address:
            self.found.append((tag, address))
        elif tag == "script":
            self.inline_scripts += 1


def _parse(html: str) -> _Addresses:
    parser = _Addresses()
    parser.feed(html)
    return parser


@pytest.fixture(params=["/", "/team/box/"])
def base(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def browser(base: str) -> AsyncIterator[httpx.AsyncClient]:
    prefix = base.rstrip("/")
    routes = [Mount(prefix, routes=web.web_routes())] if prefix else web.web_routes()
    transport = httpx.ASGITransport(app=Starlette(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield client


@PAGES
async def test_page_and_all_that_it_loads_are_served_below_any_base_path(
    browser: httpx.AsyncClient, base: str, name: str
) -> None:
    page = await browser.get(base + name)
    addresses = _parse(page.text).found

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert {tag for tag, _ in addresses} >= {"script", "link"}
    for _, address in addresses:
        asset = await browser.get(urljoin(str(page.url), address))
        assert asset.status_code == 200, address
        assert asset.content


@PAGES
async def test_page_names_nothing_outside_its_origin(browser: httpx.AsyncClient, base: str, name: str) -> None:
    parsed = _parse((await browser.get(base + name)).text)

    assert parsed.inline_scripts == 0
    for _, address in parsed.found:
        assert not urlsplit(address).scheme, address
        assert address.startswith("./"), address


@PAGES
async def test_page_carries_its_policy(browser: httpx.AsyncClient, base: str, name: str) -> None:
    headers = (await browser.get(base + name)).headers

    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["script-src"] == "'self'"
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe-eval" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-cache"


async def test_every_asset_is_cached_by_its_hash(browser: httpx.AsyncClient, base: str) -> None:
    assert {file.parent for file in FILES} == set(FOLDERS.values())
    for address, file in [(name, file) for name, folder in FOLDERS.items() for file in folder.iterdir()]:
        answer = await browser.get(f"{base}{address}{file.name}")
        assert re.search(r"-[\w-]{8}\.\w+$", file.name), file.name
        assert answer.content == file.read_bytes()
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["assets/", "live/", "assets/absent.js", "assets/..%2findex.html", "assets/%2e%2e/index.html"]
)
async def test_nothing_else_is_served(browser: httpx.AsyncClient, base: str, path: str) -> None:
    assert (await browser.get(base + path)).status_code == 404


@PAGES
async def test_page_only_answers_reads(browser: httpx.AsyncClient, base: str, name: str) -> None:
    assert (await browser.head(base + name)).status_code == 200
    assert (await browser.post(base + name)).status_code == 405


def test_styles_and_scripts_load_nothing_from_outside() -> None:
    outside = re.compile(rb"""(?:@import\s*|url\(\s*|import\(\s*|from\s*)["']?(?:https?:)?//[^"')\s]+""")
    for file in FILES:
        assert not outside.findall(file.read_bytes()), file.name


def test_scripts_need_no_evaluation() -> None:
    for file in FILES:
        assert file.suffix != ".js" or not re.search(rb"\beval\(|\bnew Function\(", file.read_bytes()), file.name
