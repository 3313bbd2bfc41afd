"""Pages of our own and their hashed assets, under a strict policy: GraphiQL at `/`, live curves at `/live`.

The files are built from `web/graphiql` and `examples/live` by `make graphiql` and `make live` and committed, so that
serving needs no Node. All addresses in the pages are relative: they work below any base path.
"""

from __future__ import annotations

from os import PathLike, stat_result
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

BUNDLE = Path(__file__).parent / "static" / "graphiql"
LIVE = Path(__file__).parent / "static" / "live"

# `'self'` covers same-origin WebSockets too (CSP level 3). Styles stay inline because the editor
# measures text by writing them; scripts never are.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

_NOSNIFF = {"X-Content-Type-Options": "nosniff"}
PAGE_HEADERS = {
    **_NOSNIFF,
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
# A hash of the content is part of every asset's name, so what a name holds never changes.
ASSET_HEADERS = {
    **_NOSNIFF,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "public, max-age=31536000, immutable",
}


def web_routes() -> list[BaseRoute]:
    """The pages and what they load below `/assets` and `/live`; hand them to the application's routes.

    Raises FileNotFoundError or RuntimeError when a bundle is missing: a server without its pages
    should not start.
    """
    return [
        _page("/", BUNDLE, "graphiql"),
        _page("/live", LIVE, "live"),
        Mount("/assets", app=_Assets(directory=BUNDLE / "assets"), name="assets"),
        Mount("/live", app=_Assets(directory=LIVE / "live"), name="live-assets"),
    ]


def _page(path: str, bundle: Path, name: str) -> BaseRoute:
    content = (bundle / "index.html").read_bytes()

    async def page(_request: Request) -> Response:
        return HTMLResponse(content, headers=PAGE_HEADERS)

    return Route(path, page, methods=["GET"], name=name)


class _Assets(StaticFiles):
    """Files whose names hold their hash, cached for a year."""

    def file_response(
        self,
        full_path: str | PathLike[str],
        stat_result: stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(ASSET_HEADERS)
        return response
