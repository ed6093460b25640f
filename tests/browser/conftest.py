"""A real page in a real browser: `make browser-test`, or DISTILLGAN_BROWSER=1 pytest tests/browser."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_ADDRESS = re.compile(r"http://\S+")
# Until a page is there, and until it answers, on a machine that does other things, too.
_SECONDS, _ANSWER_MS = 60, 30_000


def missing() -> str:
    """Why there can be no browser tests here; "" if there can."""
    if os.environ.get("DISTILLGAN_BROWSER") != "1":
        return "tests in a browser run with DISTILLGAN_BROWSER=1 (make browser-test)"
    if CHROMIUM is None:
        return "there is no chromium: apt-get install chromium"
    return "" if find_spec("playwright") else "there is no playwright: pip install playwright"


def pytest_collection_modifyitems(items):
    reason = missing()
    here = Path(__file__).parent
    for item in items:
        if reason and item.path.is_relative_to(here):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Callable[..., str]]:
    """`server(home, *overrides)` starts a page on a free port and returns its address; all end with the module."""
    started, logs = [], tmp_path_factory.mktemp("pages")

    def start(home: Path, *overrides: str) -> str:
        command = [sys.executable, "-u", "-m", "distillgan.ui", f"paths.home={home}", "ui.open=false", "ui.port=0"]
        log = (logs / f"{len(started)}.log").open("wb")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [*command, *overrides], stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
        started.append(process)
        for line in process.stdout:
            if found := _ADDRESS.search(line):
                return found[0].rstrip("/")
        raise AssertionError(f"the page did not start: {Path(log.name).read_text()}")

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.wait(_SECONDS)


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=_ANSWER_MS)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser) -> Iterator[Callable]:
    """`visit(address, tab="Library", width=1440, dark=False)`: a visitor of his own at a tab, as a playwright page."""
    contexts = []

    def go(address: str, tab: str | None = None, width: int = 1440, dark: bool = False):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", accept_downloads=True
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(_ANSWER_MS)
        page.goto(address)
        page.get_by_role("tab", name="Library", exact=True).wait_for()
        if tab is not None:
            page.get_by_role("tab", name=tab, exact=True).click()
        return page

    yield go
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def screenshot() -> Callable:
    """`screenshot(page, "library")` writes library.png into the folder DISTILLGAN_SCREENSHOTS, if it is set."""
    folder = os.environ.get("DISTILLGAN_SCREENSHOTS")

    def take(page, name: str) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)

    return take
