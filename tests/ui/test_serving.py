"""The page's server, attacked with real requests; how it starts, refuses to start, and ends."""

import http.client
import json
import os
import signal
import socket
from pathlib import Path
from urllib.parse import quote

import pytest
from cli_runner import call
from crafted import write_small
from served import Server

SECRET = b"nobody may read this"
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with a sound that may be heard, and much that may not be read."""
    home = tmp_path_factory.mktemp("home")
    write_small(home / "models", "rain")
    for name in ("audio/rain.wav", "audio/rain.html", "audio/.hidden.wav", "runs/rain/config.yaml", "library.sqlite"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(b"sound" if name == "audio/rain.wav" else SECRET)
    (home / "audio/link.wav").symlink_to(home / "library.sqlite")
    return home


@pytest.fixture(scope="module")
def server(home):
    # Proxies that are not there, one of a kind that gradio's client has no words for: nothing here needs them.
    nowhere = {"ALL_PROXY": "socks5://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    server = Server(home, "ui.upload_mb=1", **nowhere)
    yield server
    assert server.stop(signal.SIGTERM) == 143
    closed_well(server, home)


def closed_well(server: Server, home: Path) -> None:
    assert server.output.partition("closing …")[2] == "\nthe page is closed\n"  # and no traceback of what was cut off
    assert not list((home / "cache").glob("page-*"))


def test_the_page_is_there_and_lets_nothing_in_from_elsewhere(server):
    status, page = server.ask("/")
    assert status == 200 and b"distillgan" in page
    status, config = server.ask("/config")
    assert status == 200 and not json.loads(config)["analytics_enabled"]


def test_a_sound_is_played_from_where_it_lies(server, home):
    assert server.ask(f"/gradio_api/file={home}/audio/rain.wav") == (200, b"sound")


@pytest.mark.parametrize(
    "path",
    [
        "{home}/library.sqlite",
        "{home}/models/rain.distillgan",
        "{home}/runs/rain/config.yaml",
        "{home}/audio/rain.html",
        "{home}/audio/.hidden.wav",
        "{home}/audio/link.wav",
        "{home}/audio/../library.sqlite",
        "{home}/audio/%2e%2e/library.sqlite",
        "{home}/audio/%2e%2e%2flibrary.sqlite",
        "{home}/audio/%252e%252e/library.sqlite",
        "{home}/audio/..%5clibrary.sqlite",
        "{home}/audio",
        "{home}/audio/rain.wav%00.png",
        "library.sqlite",
        "audio/rain.html",
        "/etc/passwd",
        "//etc/passwd",
        "%2fetc%2fpasswd",
        "../../../../etc/passwd",
        "file:///etc/passwd",
        "/proc/self/environ",
        f"{REPOSITORY}/pyproject.toml",
        f"{REPOSITORY}/.git/config",
        "http://127.0.0.1:1/",
        "",
    ],
)
def test_no_other_file_is_read(server, home, path):
    for prefix in ("/gradio_api/file=", "/gradio_api/file/", "/file=", "//gradio_api/file=", "/static/", "/assets/"):
        status, data = server.ask(prefix + path.format(home=home))
        assert status in (400, 403, 404) and SECRET not in data and b"root:" not in data, (prefix, status)


@pytest.mark.parametrize(
    "path",
    [
        *("/docs", "/openapi.json", "/gradio_api/openapi.json", "/gradio_api/info", "/gradio_api/info?all_endpoints=1"),
        *("/gradio_api/runs", "/gradio_api/proxy=http://127.0.0.1:1/", "/monitoring", "/monitoring/summary"),
        *("/gradio_api/mcp/", "/gradio_api/mcp/sse", "/gradio_api/deep_link", "/gradio_api/dev/reload", "/nosuch"),
    ],
)
def test_what_gradio_has_besides_is_not_there(server, path):
    assert server.ask(path)[0] == 404


@pytest.mark.parametrize("path", ["/gradio_api/api/predict", "/gradio_api/run/predict", "/gradio_api/call/predict"])
def test_handlers_are_called_by_the_page_alone(server, path):
    assert server.ask(path, "POST", b'{"data": []}', Content_Type="application/json")[0] == 404


def test_no_request_may_call_any_file_an_upload(server, home):
    """A handler that takes an upload is given files of the machine instead, of all kinds that a client can name."""
    config = json.loads(server.ask("/config")[1])
    files = {part["id"] for part in config["components"] if part["type"] == "file"}
    takes = [part for part in config["dependencies"] if files & set(part["inputs"])]
    assert takes
    for path in ("/etc/passwd", f"{home}/library.sqlite", f"{home}/models/rain.distillgan"):
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        for handler in takes:
            data = [file if part in files else "" for part in handler["inputs"]]
            answer = server.call(handler["id"], data)
            assert not answer["success"], (path, handler["id"], answer)
            assert SECRET.decode() not in json.dumps(answer)


def test_another_site_can_neither_ask_nor_be_asked_under_another_name(server):
    host = server.address.removeprefix("http://")
    join = {"path": "/gradio_api/queue/join", "method": "POST", "body": b"{}"}
    assert server.ask("/", Host="evil.example")[0] == 403
    assert server.ask("/", Host="evil.example:7860")[0] == 403
    assert server.ask("/", Host="127.0.0.1.evil.example")[0] == 403
    assert server.ask("/", Host="")[0] in (400, 403)
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", f"http://{host}.evil.example", "file://"):
        assert server.ask(**join, Origin=origin)[0] == 403
        assert server.ask("/config", Origin=origin)[0] == 403
        assert server.upload("x.wav", b"x", Origin=origin)[0] == 403
    assert server.ask("/config", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == 403
    assert server.ask("/config", Sec_Fetch_Site="same-site", Sec_Fetch_Mode="cors")[0] == 403
    # A link from elsewhere opens the page, and the page itself may ask.
    assert server.ask("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200
    own = {"Origin": f"http://{host}", "Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors"}
    assert server.ask("/config", **own)[0] == 200
    assert server.ask("/", Host=host.replace("127.0.0.1", "localhost"))[0] == 200


def test_uploads_have_a_limit_and_are_found_by_who_sent_them(server, home):
    status, answer = server.upload("take.wav", b"x" * 1000)
    path = json.loads(answer)[0]
    assert status == 200 and Path(path).is_relative_to(home / "cache") and Path(path).read_bytes() == b"x" * 1000
    assert server.ask(f"/gradio_api/file={quote(path)}") == (200, b"x" * 1000)
    for folder in (Path(path).parent, Path(path).parents[1], home / "cache"):
        assert server.ask(f"/gradio_api/file={quote(str(folder))}")[0] == 403  # no list of other visitors' uploads
    status, answer = server.upload("../../../models/evil.distillgan", b"x")
    assert status != 200 or Path(json.loads(answer)[0]).is_relative_to(home / "cache")
    assert not (home / "models" / "evil.distillgan").exists()
    assert server.upload("long.wav", b"x" * 1_100_000)[0] == 413


def refused(tmp_path, *overrides: str) -> str:
    """What the command says that does not start."""
    done = call("distillgan.ui", f"paths.home={tmp_path}", "ui.open=false", "ui.port=0", *overrides)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    return done.stderr


def test_values_that_are_refused(tmp_path):
    assert "set ui.auth=user:password" in refused(tmp_path, "ui.host=0.0.0.0")
    assert "ui.auth must be user:password" in refused(tmp_path, "ui.host=0.0.0.0", "ui.auth=secret")
    assert "ui.host=nosuch.invalid: there is no such address" in refused(
        tmp_path, "ui.host=nosuch.invalid", "ui.auth=a:b"
    )


@pytest.mark.parametrize("value", ["ui.port=70000", "ui.port=no", "ui.upload_mb=0", "ui.upload_mb=lots"])
def test_numbers_that_are_refused(tmp_path, value):
    assert f"{value} must be a whole number" in refused(tmp_path, value)


def test_without_gradio_there_is_one_message(tmp_path, monkeypatch):
    monkeypatch.setattr("distillgan.ui.find_spec", lambda name: None if name == "gradio" else object())
    assert refused(tmp_path) == "error: the page wants gradio: pip install 'distillgan[ui]'\n"


@pytest.mark.slow
def test_it_starts_without_a_network_asks_for_a_name_and_takes_the_next_port(tmp_path):
    """Whatever would look up or reach another machine fails, and would be seen in the output."""
    (tmp_path / "sitecustomize.py").write_text(
        "import socket, sys\n"
        "def audit(event, values):\n"
        "    host = str(values[0 if event == 'socket.getaddrinfo' else 1]) if event.startswith('socket.') else ''\n"
        "    if event in ('socket.getaddrinfo', 'socket.connect') and '127.0.0.1' not in host:\n"
        "        print('REACHED OUT', event, host, flush=True)\n"
        "        raise OSError('no network')\n"
        "sys.addaudithook(audit)\n"
    )
    paths = os.pathsep.join([str(tmp_path), str(REPOSITORY)])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = Server(tmp_path, f"ui.port={port}", "ui.auth=me:word:s", PYTHONPATH=paths)
    try:
        assert f"port {port} is taken" in server.output and "REACHED OUT" not in server.output
        assert server.ask("/config")[0] == 401 and server.ask("/gradio_api/queue/join", "POST", b"{}")[0] in (401, 422)
        assert server.upload("x.wav", b"x")[0] == 401
        (tmp_path / "audio").mkdir(exist_ok=True)
        (tmp_path / "audio" / "x.wav").write_bytes(SECRET)
        assert server.ask(f"/gradio_api/file={tmp_path}/audio/x.wav")[0] == 401
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        assert server.ask("/login", "POST", b"username=me&password=word", **form)[0] == 400
        assert server.ask("/login", "POST", b"username=me&password=word%3As", **form)[0] == 200
        page = http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=60)
        page.request("GET", "/gradio_api/heartbeat/open")  # as an open page does
        assert page.getresponse().status == 200
    finally:
        assert server.stop(signal.SIGINT) == 0
    closed_well(server, tmp_path)
    assert "REACHED OUT" not in server.output
