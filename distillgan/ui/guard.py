"""What the server answers at all: this page's own requests, and of the files those that are meant to be seen.

A server on 127.0.0.1 is within reach of every page that the same browser shows. Such a page is kept out by what the
browser says of each request (Fetch, "Origin header"; Fetch Metadata Request Headers, W3C), and a name that was made to
point to this machine (DNS rebinding: Jackson et al. 2007) by the Host that is asked for.
"""

import ipaddress
import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FILE = "/gradio_api/file="
# What the page asks for. Gradio has more: an API with its documentation, a proxy, a page of runs, monitoring.
_NEEDED = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt|login|logout)/?|/(assets|static|svelte)/.*"
    r"|/gradio_api/(queue/join|queue/data|upload|upload_progress|cancel|reset|login_check|user|token|app_id"
    r"|startup-events|theme\.css|heartbeat/[^/]+|component_server)/?"
)
# No script, style, picture or request of the page comes from or goes to another machine, and no other page frames it.
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """An ASGI application before another that it lets only some requests through to.

    local: only names of this machine are answered to, as is right for a server that no other machine reaches.
    folders: folder → the ends of the names (in small letters) that may be read in it, None for any.
    """

    def __init__(self, app: ASGIApp, local: bool, folders: dict[Path, Iterable[str] | None]):
        self._app, self._local = app, local
        self._folders = {Path(os.path.realpath(folder)): ends and tuple(ends) for folder, ends in folders.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":  # there are no web sockets in it
            refusal = self.refusal(scope)
            if refusal is None:
                await self._app(scope, receive, _with_headers(send))
            else:
                code, words = refusal
                await PlainTextResponse(words, code)(scope, receive, _with_headers(send))

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and words for a request that is not answered; None for one that is."""
        headers, path = Headers(scope=scope), scope["path"]
        host = headers.get("host", "")
        if self._local and not is_local(_name(host)):
            return 403, f"This page is at 127.0.0.1 and localhost, not at {_name(host)!a}."
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, "Another page may not ask here."
        strange = headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
        if strange and (headers.get("sec-fetch-mode") != "navigate" or path != "/"):
            return 403, "Another page may not ask here."
        if path.startswith(_FILE):
            return None if self.readable(path.removeprefix(_FILE)) else (403, "There is no such file to be read here.")
        return None if _NEEDED.fullmatch(path) else (404, "There is nothing here.")

    def readable(self, path: str) -> bool:
        """Is it a file in one of the folders, links followed, and of a kind that may be read there?"""
        if not os.path.isabs(path):
            return False
        try:
            real = Path(os.path.realpath(path, strict=True))
        except (OSError, ValueError):
            return False
        return real.is_file() and any(_inside(real, folder, ends) for folder, ends in self._folders.items())


def _inside(file: Path, folder: Path, ends: tuple[str, ...] | None) -> bool:
    """Nothing that is hidden is inside of anything."""
    if not file.is_relative_to(folder) or any(part.startswith(".") for part in file.relative_to(folder).parts):
        return False
    return ends is None or file.name.lower().endswith(ends)


def is_local(name: str) -> bool:
    """Does a host's name or address mean this machine, seen from itself?"""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _name(host: str) -> str:
    """`localhost:7860`, `[::1]:7860` → `localhost`, `::1`."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_HEADERS)
        await send(message)

    return sending
