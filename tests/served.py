"""A page as a process of its own, and requests to it letter by letter, as no client would tidy them up."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

_ADDRESS = re.compile(r"http://\S+")


class Server:
    """`distillgan ui` with a home of its own; `output` is what it has printed."""

    def __init__(self, home: Path, *overrides: str, **environment: str):
        self._log = home / "page.log"
        command = [sys.executable, "-u", "-m", "distillgan.ui", f"paths.home={home}", "ui.open=false"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "ui.port=0", *overrides], stdout=log, stderr=log, env={**os.environ, **environment}, cwd=home
            )
        limit = time.monotonic() + 120
        while not (found := _ADDRESS.search(self.output)):
            assert self.process.poll() is None and time.monotonic() < limit, self.output
            time.sleep(0.05)
        self.address = found[0]

    @property
    def output(self) -> str:
        return self._log.read_text()

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Status and body; a header's `_` is a `-`."""
        connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=60)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data

    def upload(self, name: str, data: bytes, **headers: str) -> tuple[int, bytes]:
        form = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        kind = "multipart/form-data; boundary=x"
        return self.ask("/gradio_api/upload", "POST", form + data + b"\r\n--x--\r\n", Content_Type=kind, **headers)

    def call(self, number: int, data: list, session: str = "") -> dict:
        """What a handler of the page answers, by its number in /config: the last message of its event.

        Each call is a visitor's of its own, unless a `session` is named.
        """
        session = session or f"s{time.time_ns()}"
        body = json.dumps({"fn_index": number, "data": data, "session_hash": session}).encode()
        status, answer = self.ask("/gradio_api/queue/join", "POST", body, Content_Type="application/json")
        assert status == 200, answer
        lines = self.ask(f"/gradio_api/queue/data?session_hash={session}")[1].decode().splitlines()
        messages = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
        return next(message for message in messages if message["msg"] == "process_completed")

    def visitor(self) -> "Visitor":
        """Someone who has just loaded the page."""
        return Visitor(self)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)


class Visitor:
    """A session of the page without a browser: it fills in and presses, by the elem_id of each component."""

    def __init__(self, server: Server):
        self._server, self._session = server, f"v{time.time_ns()}"
        self._page = json.loads(server.ask("/config")[1])
        self._parts = {part["id"]: part for part in self._page["components"]}
        self._names = {part["props"].get("elem_id"): number for number, part in self._parts.items()}
        for handler in self._page["dependencies"]:
            if "load" in [event for _, event in handler["targets"]]:
                self._call(handler, {})

    def does(self, name: str, event: str, **filled: object) -> dict[str | None, object]:
        """What comes of an event of a component: elem_id → value. What is filled in is named so, with _ for -."""
        handler = next(each for each in self._page["dependencies"] if [self._names[name], event] in each["targets"])
        return self._call(handler, {self._names[key.replace("_", "-")]: value for key, value in filled.items()})

    def waits(self, name: str) -> dict[str | None, object]:
        """What the clock brings that fills this component."""
        wanted = self._names[name]
        ticking = [each for each in self._page["dependencies"] if "tick" in [event for _, event in each["targets"]]]
        return self._call(next(each for each in ticking if wanted in each["outputs"]), {})

    def _call(self, handler: dict, filled: dict[int, object]) -> dict[str | None, object]:
        data = [filled.get(number, self._parts[number]["props"].get("value")) for number in handler["inputs"]]
        answer = self._server.call(handler["id"], data, self._session)
        assert answer["success"], answer
        names = [self._parts[number]["props"].get("elem_id") for number in handler["outputs"]]
        return dict(zip(names, answer["output"]["data"], strict=True))
