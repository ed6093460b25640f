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

    def call(self, number: int, data: list) -> dict:
        """What a handler of the page answers, by its number in /config: the last message of its event."""
        session = f"s{time.time_ns()}"
        body = json.dumps({"fn_index": number, "data": data, "session_hash": session}).encode()
        status, answer = self.ask("/gradio_api/queue/join", "POST", body, Content_Type="application/json")
        assert status == 200, answer
        lines = self.ask(f"/gradio_api/queue/data?session_hash={session}")[1].decode().splitlines()
        messages = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
        return next(message for message in messages if message["msg"] == "process_completed")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)
