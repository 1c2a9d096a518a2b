"""What the gateway serves itself: the documents of the interface, and the console when built.

Everything is read into memory at the start and found by its exact path, so there is no path to
climb out of.
"""

import html
import json
import mimetypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from swagger_ui_bundle import swagger_ui_path

from api_gateway import headers, openapi

CONSOLE = Path(__file__).resolve().parents[2] / "web" / "dist"
"""Where the console's build lies."""

_PAGE_POLICY = (
    b"default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    b"connect-src 'self' ws: wss:; media-src 'self' blob:; worker-src 'self' blob:; "
    b"object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_VIEWER = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
_START = """\
SwaggerUIBundle({
  url: "/docs/openapi.json", dom_id: "#viewer", deepLinking: true, validatorUrl: null,
  persistAuthorization: false, presets: [SwaggerUIBundle.presets.apis],
});
"""


@dataclass(frozen=True, slots=True)
class Page:
    """One answer that is always the same; its headers are those of the gateway's own too."""

    status: int
    headers: headers.Pairs
    body: bytes


def open_pages(console: Path = CONSOLE) -> Mapping[str, Page]:
    """Every page by its path."""
    document = openapi.load()
    pages = {
        "/openapi.json": _page(_json(document), "application/json"),
        "/docs": _page(_viewer(document["info"]["title"]), "text/html; charset=utf-8"),
        "/docs/openapi.json": _page(_json(openapi.for_viewer(document)), "application/json"),
        "/docs/start.js": _page(_START.encode(), "text/javascript; charset=utf-8"),
        "/": Page(
            307, [(b"location", b"/docs"), (b"content-length", b"0"), *headers.SECURITY], b""
        ),
    }
    for name in _VIEWER:
        pages[f"/docs/{name}"] = _file(Path(str(swagger_ui_path)) / name)
    pages.update(_console(console))
    return pages


def _console(folder: Path) -> Iterator[tuple[str, Page]]:
    index = folder / "index.html"
    if not index.is_file():
        return
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield f"/{path.relative_to(folder).as_posix()}", _file(path)
    yield "/", _file(index)


def _file(path: Path) -> Page:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _page(
        path.read_bytes(), kind, cache=b"no-cache" if kind == "text/html" else b"max-age=3600"
    )


def _page(body: bytes, kind: str, *, cache: bytes = b"no-cache") -> Page:
    pairs = [(name, value) for name, value in headers.SECURITY if not name.startswith(b"content-")]
    own = [
        (b"content-type", kind.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"content-security-policy", _PAGE_POLICY),
        (b"cache-control", cache),
    ]
    return Page(200, own + pairs, body)


def _json(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _viewer(title: str) -> bytes:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title>"
        '<link rel="icon" href="/docs/favicon-32x32.png">'
        '<link rel="stylesheet" href="/docs/swagger-ui.css"></head><body><div id="viewer"></div>'
        '<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script>'
        "</body></html>"
    ).encode()
