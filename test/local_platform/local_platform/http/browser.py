"""The page in web/, and the bounds within which a browser shows what is served.

The page is static files, and one more client of the API. What jobs wrote is hostile: a browser
shows it in an origin of its own, from which neither the page nor the API can be reached.
"""

import html
from pathlib import Path

from aiohttp import web

from local_platform.errors import PermissionDenied

FOLDER = Path(__file__).parents[1] / "web"
# What the machine's own table says of .js may keep a browser from running it.
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
FILES = {"/": FOLDER / "index.html"} | {
    f"/web/{path.relative_to(FOLDER).as_posix()}": path
    for path in FOLDER.rglob("*")
    if path.suffix in TYPES
}
"""The files of the page by their addresses; no others are served."""
# A "sandbox" without "allow-same-origin" is an origin of its own, which shares nothing.
SHOWN_FILE = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'"
    " 'unsafe-eval' data: blob:; style-src 'unsafe-inline' data:; img-src data: blob:;"
    " font-src data:; media-src data: blob:; connect-src data: blob:; worker-src blob:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
AROUND_FILE = (
    "default-src 'none'; frame-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"
)
FRAME = """<!doctype html>
<meta charset="utf-8">
<title>{name}</title>
<style>
body {{ margin: 0 }}
iframe {{ border: 0; display: block; height: 100vh; width: 100% }}
</style>
<iframe sandbox="allow-scripts allow-downloads" src="{address}" title="{name}"></iframe>
"""
EVERYWHERE = {
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# Browsers show these; of any other text they are told that it is plain.
MEDIA_SHOWN = ("text/html", "application/json", "image/gif", "image/jpeg", "image/png")


def refuse_foreign_origin(request: web.Request) -> None:
    """Raise PermissionDenied when a browser sends what another page, or a job's file, asks for."""
    origin = request.headers.get("Origin")
    if origin not in (None, f"http://{request.host}"):
        raise PermissionDenied(f"This platform does not answer pages of {origin}")


async def add_bounds(_request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that bind a browser, where the response has none of its own."""
    for name, value in EVERYWHERE.items():
        response.headers.setdefault(name, value)


async def send_page(request: web.Request) -> web.FileResponse:
    """Send one file of the page."""
    path = FILES[request.path]
    policy = (
        f"default-src 'self'; connect-src 'self' ws://{request.host}; object-src 'none';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
        # One module, which shows an applet's README, may turn a string into HTML.
        " require-trusted-types-for 'script'; trusted-types readme"
    )
    return web.FileResponse(
        path,
        headers={
            "Content-Type": f"{TYPES[path.suffix]}; charset=utf-8",
            "Content-Security-Policy": policy,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cache-Control": "no-cache",
        },
    )


def send_frame(request: web.Request, name: str) -> web.Response:
    """Send a page that has nothing but a frame with the file that a tab asked for.

    In a tab, a file could lead the browser to any address. A frame stays where the policy of the
    page around it says.
    """
    page = FRAME.format(name=html.escape(name), address=html.escape(request.path_qs))
    headers = {"Content-Security-Policy": AROUND_FILE}
    return web.Response(text=page, content_type="text/html", headers=headers)


def is_shown(request: web.Request, place: str) -> bool:
    """Tell whether a browser is to show a file in a "document", its own tab, or an "iframe"."""
    return "inline" in request.query and request.headers.get("Sec-Fetch-Dest") == place


def file_headers(media: str, framed: bool) -> dict[str, str]:
    """Return what a browser is told of a stored file: keep it, or show it within bounds."""
    shown = media if media in MEDIA_SHOWN else "text/plain" if media.startswith("text/") else None
    if not framed or shown is None:
        return {"Content-Type": "application/octet-stream", "Content-Disposition": "attachment"}
    return {
        "Content-Type": shown if shown.startswith("image/") else f"{shown}; charset=utf-8",
        "Content-Disposition": "inline",
        "Content-Security-Policy": SHOWN_FILE,
    }
