"""A hub to test against: a real HTTP server that speaks the protocol of the Hugging Face client, and its faults.

As the real one it answers for small files itself, and sends large ones (here: .pt) to another host.
"""

import hashlib
import os
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

REFERENCE = Path(__file__).parent / "reference" / "bigvgan"
REPO, REVISION = "someone/small_vocoder", "0123456789abcdef0123456789abcdef01234567"
CONFIG, CHECKPOINT = "config.json", "bigvgan_generator.pt"


@dataclass
class Hub:
    """The running server: what it holds, what it was asked, and what is to go wrong."""

    files: dict[str, bytes]
    url: str = ""
    requests: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, Range header
    status: int = 200
    error_code: str = ""
    break_after: list[int] = field(
        default_factory=list
    )  # bytes of each of the next large answers before they break off
    reset: bool = False  # break off with a reset instead of an end
    stall: bool = False  # large answers stop in the middle, and are not gone on with
    mute: bool = False  # nothing is answered at all
    foreign: bool = False  # answers as any other web server would
    spoilt: bool = False  # the last byte of large answers is another than it should be
    done: threading.Event = field(default_factory=threading.Event)

    def gets(self) -> list[tuple[str, str]]:
        """Path and Range of the downloads; the client asks for other things, too."""
        wanted = re.compile(r"/resolve/|^/cdn/")
        return [(path, span) for method, path, span in self.requests if method == "GET" and wanted.search(path)]


def serve(hub: Hub) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self):
            self._answer(body=False)

        def do_GET(self):
            self._answer(body=True)

        def _answer(self, body: bool):
            hub.requests.append((self.command, self.path, self.headers.get("Range", "")))
            if hub.mute:
                hub.done.wait()
                return
            found = re.fullmatch(rf"/(?:{REPO}/resolve/{REVISION}|cdn)/([\w.]+)", self.path)
            name = found and found[1]
            if hub.status != 200 or name not in hub.files:
                self._head(
                    hub.status if hub.status != 200 else 404, {"X-Error-Code": hub.error_code, **self._known(b"")}
                )
                return
            content = hub.files[name]
            if name.endswith(".pt") and not self.path.startswith("/cdn"):
                place = hub.url.replace("127.0.0.1", "localhost") + f"/cdn/{name}"
                linked = {"X-Linked-Size": str(len(content)), "X-Linked-Etag": self._known(content)["ETag"]}
                self._head(302, {"Location": place, **linked, **self._known(content), "Content-Length": "0"})
                return
            if hub.spoilt and name.endswith(".pt"):
                content = content[:-1] + bytes([content[-1] ^ 1])
            first = int((re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) or [0, 0])[1])
            part = content[first:]
            headers = {**self._known(hub.files[name]), "Content-Length": str(len(part)), "Accept-Ranges": "bytes"}
            if first:
                headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            self._head(206 if first else 200, headers)
            if body:
                self._send(part, name.endswith(".pt"))

        def _known(self, content: bytes) -> dict[str, str]:
            return (
                {} if hub.foreign else {"X-Repo-Commit": REVISION, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
            )

        def _head(self, status: int, headers: dict[str, str]):
            self.send_response(status)
            for name, value in ({"Content-Length": "0"} | headers).items():
                self.send_header(name, value)
            self.end_headers()

        def _send(self, part: bytes, large: bool):
            if large and hub.break_after:
                self.wfile.write(part[: hub.break_after.pop(0)])
                self.wfile.flush()
                if hub.reset:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    os.close(self.connection.detach())
                self.close_connection = True
            elif large and hub.stall:
                if not self.headers.get("Range"):
                    self.wfile.write(part[: len(part) // 2])
                    self.wfile.flush()
                hub.done.wait()
            else:
                # In pieces, so that there is a progress to see.
                for start in range(0, len(part), 2**16):
                    self.wfile.write(part[start : start + 2**16])
                    time.sleep(0.001)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # a client that leaves, or a connection broken on purpose
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def write_pin(path: Path, files: dict[str, bytes]) -> Path:
    """A PIN for these files, as vendor/bigvgan/PIN is one for the release."""
    pinned = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()
    }
    path.write_text(yaml.safe_dump({"name": "small", "hub_repo": REPO, "hub_revision": REVISION, **pinned}))
    return path


def small_release() -> dict[str, bytes]:
    """A whole small generator of the release's kind."""
    names = {CONFIG: "small_v2_44k.json", CHECKPOINT: "small_v2_44k.pt"}
    return {name: (REFERENCE / source).read_bytes() for name, source in names.items()}
