"""The server of the page: its port, its end, and which requests it answers: the page's own.

A server on 127.0.0.1 is within reach of every page that the same browser shows. Such a page is kept out by what the
browser says of each request (Fetch, "Origin header"; Fetch Metadata Request Headers, W3C), and a name that was made to
point to this machine (DNS rebinding: Jackson et al. 2007) by the Host that is asked for.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import os
import re
import signal
import socket
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI
from omegaconf import DictConfig
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from distillgan.cli.commands.tensorboard_command import open_page
from distillgan.errors import UserError, whole
from distillgan.paths import Home
from distillgan.process import SIGHUP, Ended, checked, exit_code, ignored

if TYPE_CHECKING:
    from distillgan.ui.page import Page


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
        """Whether it is a file in one of the folders, links followed, and of a kind that may be read there."""
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
    """Whether a host's name or address means this machine, seen from itself."""
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


_PORTS = 100  # that are tried from ui.port on
_SOUNDS = (".wav", ".flac", ".ogg", ".mp3", ".png", ".json")  # what generate writes
_PROXIES = ("all_proxy", "http_proxy", "https_proxy")
_PATIENCE = 2  # seconds that open connections get at the end


class Served:
    """A page and the folder of its uploads, from `paths.home`/cache, that lives as long as it does.

    Raises:
        UserError: a value of conf/ui.yaml is refused.
    """

    def __init__(self, config: DictConfig):
        settings = config.ui
        self.host, self.port = str(settings.host), whole("ui.port", settings.port, 0, 65535)
        self.upload_mb = whole("ui.upload_mb", settings.upload_mb, 1, 1_000_000)
        self.auth = _login(settings.auth)
        self.local = is_local(self.host)
        if not self.local and self.auth is None:
            raise UserError(
                f"ui.host={self.host} lets other machines in: set ui.auth=user:password, or leave ui.host at 127.0.0.1"
            )
        self.open, self.threads = bool(settings.open), checked(config.threads)
        self.home, self._config = Home(config.paths.home), config

    def run(self) -> None:
        """Serve until Ctrl-C, SIGTERM or SIGHUP; then what is generated ends, and trainings write their checkpoints.

        Raises:
            UserError: the address cannot be had.
        """
        bound = _bound(self.host, self.port)
        print("starting the page …", flush=True)
        cache = self.home.root / "cache"
        cache.mkdir(exist_ok=True)
        with bound, tempfile.TemporaryDirectory(prefix="page-", dir=cache, ignore_cleanup_errors=True) as uploads:
            with _without_proxies():
                app, page = self._app(Path(uploads))
            config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=_PATIENCE, proxy_headers=False)
            self._announce(bound)
            try:
                _Server(config, page).run(sockets=[bound])
            except Ended:
                sys.exit(exit_code())
            except KeyboardInterrupt:  # uvicorn raises it again when all is closed
                pass
            finally:
                print("the page is closed")

    def _app(self, uploads: Path) -> tuple[Guard, Page]:
        # Read when gradio is imported, and later.
        os.environ.update(GRADIO_TEMP_DIR=str(uploads), GRADIO_ANALYTICS_ENABLED="False")
        import gradio as gr

        from distillgan.ui.app import LOOK, build
        from distillgan.ui.page import Page
        from distillgan.ui.renderings import Renderings
        from distillgan.ui.runs import Supervisor

        page = Page(self.home, self._config, Supervisor(self.home, self.threads), Renderings(self.home, self.threads))
        blocks = build(page)
        gr.set_static_paths([self.home.audio])  # sound of any length is played where it lies, and not copied
        app = gr.mount_gradio_app(
            FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
            blocks,
            "/",
            # What the tabs may show; by its address only what the guard lets through is read.
            allowed_paths=[str(self.home.runs), str(self.home.audio)],
            auth=self.auth,
            auth_message="This page asks who you are.",
            max_file_size=f"{self.upload_mb}mb",
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            show_error=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            **LOOK,
        )
        # Without it gradio takes it for a page in the making, and lets a request name any file of this machine as one
        # that it has uploaded (processing_utils._check_allowed).
        blocks.has_launched = True
        return Guard(app, self.local, {uploads: None, self.home.audio: _SOUNDS}), page

    def _announce(self, bound: socket.socket) -> None:
        port = bound.getsockname()[1]
        if self.port not in (0, port):
            print(f"port {self.port} is taken")
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else f"[{self.host}]" if ":" in self.host else self.host
        address = f"http://{host}:{port}"
        print(f"the page is at {address} (Ctrl-C closes it)", flush=True)
        if self.open:
            open_page(address)  # it waits until the server, which listens already, answers


class _Server(uvicorn.Server):
    """It ends what is under way before it waits for the connections that wait for that."""

    def __init__(self, config: uvicorn.Config, page: Page):
        super().__init__(config)
        self._page = page

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            if SIGHUP is None or ignored(SIGHUP):
                yield
                return
            before = signal.signal(SIGHUP, self.handle_exit)
            try:
                yield
            finally:
                signal.signal(SIGHUP, before)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        print("closing …", flush=True)
        # Pages that are open are cut off, which uvicorn would call an error of the application.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await asyncio.to_thread(self._page.renderings.close)
        await asyncio.to_thread(self._page.supervisor.close)
        await super().shutdown(sockets)


@contextmanager
def _without_proxies() -> Iterator[None]:
    """A block in which gradio, as it is imported and set up, knows of no proxy.

    Nothing here leaves this machine by gradio, and its HTTP client refuses addresses of some proxies, such as
    ALL_PROXY=socks5://… Downloads of weights and what is trained still have them.
    """
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.lower() in _PROXIES}
    try:
        yield
    finally:
        os.environ.update(kept)


def _login(auth: object) -> tuple[str, str] | None:
    if auth is None:
        return None
    user, _, password = str(auth).partition(":")
    if not user or not password:
        raise UserError("ui.auth must be user:password")
    return user, password


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens at the first free port from `port` on. Raises UserError if there is none."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UserError(f"ui.host={host}: there is no such address ({error.strerror}). Try 127.0.0.1") from error
    for wanted in [0] if port == 0 else range(port, min(port + _PORTS, 65536)):
        bound = socket.socket(family)
        try:
            if os.name == "posix":  # a port whose last connections fade out is free; elsewhere it means more
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((address[0], wanted, *address[2:]))
            bound.listen()
            return bound
        except OSError as error:
            bound.close()
            if error.errno != errno.EADDRINUSE:
                raise UserError(f"ui.host={host} ui.port={wanted} cannot be used: {error.strerror}") from error
    raise UserError(f"ui.port={port}: it and the {_PORTS - 1} after it are taken. Try ui.port=0")
