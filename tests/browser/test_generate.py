"""The Generate tab by hand: sliders are heard, presets and history found again, A/B, files, a download to wait for."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from crafted import write_crafted
from hub import CHECKPOINT, Hub, serve, small_release, write_pin

from distillgan.paths import Home
from distillgan.store.history import History
from distillgan.store.presets import Presets

expect = pytest.importorskip("playwright.sync_api").expect


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    home = Home(tmp_path_factory.mktemp("home"))
    write_crafted(home.models, "wind", seed=1, own=False, sliders=("density",))
    os.utime(write_crafted(home.models, "rain", sliders=("brightness", "density")))  # the latest
    return home


@pytest.fixture(scope="module")
def address(server, home) -> str:
    return server(home.root, "device=cpu")


def opened(visit, address, **options):
    page = visit(address, "Generate", **options)
    expect(page.locator("#row-brightness")).to_be_visible()
    return page


def slide(page, name: str, value: float) -> None:
    box = page.locator(f"#slider-{name} input[type=number]")
    box.fill(str(value))
    box.press("Tab")


def slider(page, name: str) -> float:
    return float(page.locator(f"#slider-{name} input[type=number]").input_value())


def fill(page, label: str, value: object) -> None:
    box = page.get_by_label(label, exact=True)
    box.fill(str(value))
    box.press("Tab")


def choose(page, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


def generate(page, home):
    """Press the button, and wait until the page shows the sound: its entry in the history."""
    before = [entry.id for entry in History(home).find(limit=1)] or [0]
    page.locator("#generate").click()
    expect(page.locator("#sound-title")).to_contain_text(f"{before[0] + 1} · ", timeout=60_000)
    return History(home).get(before[0] + 1)


def test_sliders_are_heard_and_each_visitor_has_his_own(visit, address, home, screenshot):
    page, other = opened(visit, address), opened(visit, address, width=1024, dark=True)
    fill(page, "Duration", 1)
    first = generate(page, home)
    slide(page, "brightness", 8)
    second = generate(page, home)
    assert second.metadata["settings"]["controls"] == {"brightness": 8}
    assert first.metadata["sound"] != second.metadata["sound"]
    a, b = (soundfile.read(entry.path)[0] for entry in (first, second))
    assert len(a) == len(b) == 44100 and np.abs(a - b).max() > 1e-3
    assert slider(other, "brightness") == 0 and other.get_by_label("Duration").input_value() == "10"
    other.get_by_role("tab", name="Presets").click()
    other.get_by_role("tab", name="History").click()
    other.locator("#history .entry").first.click()
    expect(other.locator("#sound-title")).to_contain_text("brightness 8")
    assert slider(other, "brightness") == 0, "to look at a sound sets nothing"
    with page.expect_download() as download:
        page.locator("#download").click()
    assert Path(download.value.path()).read_bytes() == second.path.read_bytes()
    screenshot(page, "generate")
    screenshot(other, "generate-dark")


def test_lock_reset_and_chance(visit, address):
    page = opened(visit, address)
    slide(page, "brightness", 5)
    slide(page, "density", 5)
    page.locator("#lock-brightness input").check()
    page.get_by_role("button", name="Reset all").click()
    expect(page.locator("#slider-density input[type=number]")).to_have_value("0")
    assert slider(page, "brightness") == 5
    page.get_by_role("button", name="Randomise all").click()
    expect(page.locator("#slider-density input[type=number]")).not_to_have_value("0")
    assert slider(page, "brightness") == 5 and -10 <= slider(page, "density") <= 10
    page.locator("#zero-brightness").click()
    page.locator("#zero-density").click()
    expect(page.locator("#slider-density input[type=number]")).to_have_value("0")
    assert slider(page, "brightness") == 5, "locked"
    choose(page, "Model", "wind")
    expect(page.locator("#row-brightness")).to_be_hidden()
    expect(page.get_by_text("Sliders that rest (7), and why")).to_be_visible()
    expect(page.get_by_text("brightness 5 is beyond what this model does")).to_be_visible()


def test_presets_recall_all_controls(visit, address, home):
    page = opened(visit, address)
    slide(page, "density", -4.5)
    fill(page, "Seed", 77)
    fill(page, "Duration", 1.5)
    page.get_by_role("button", name="Space").click()
    page.get_by_label("Binaural: a place around the head, for headphones").check()
    page.locator("input[type=number][aria-label*='Azimuth']").fill("-60")
    page.get_by_role("button", name="File").click()
    choose(page, "Format", "FLAC: lossless")
    fill(page, "Artist", "Zoë")
    made = generate(page, home)
    assert made.path.suffix == ".flac" and soundfile.info(made.path).channels == 2
    assert made.metadata["settings"]["spatial"]["azimuth"] == -60
    page.get_by_role("tab", name="Presets").click()
    fill(page, "Name of a new preset", "Soft")
    fill(page, "In folder", "quiet")
    page.get_by_role("button", name="Save the controls").click()
    expect(page.get_by_text("Soft is saved")).to_be_visible()
    saved = Presets(home).find("soft")
    assert (saved.folder, saved.settings["controls"]) == ("quiet", {"density": -4.5})

    fresh = opened(visit, address)
    fresh.get_by_role("tab", name="Presets").click()
    choose(fresh, "Preset", "quiet / Soft (rain)")
    fresh.get_by_role("button", name="Recall", exact=True).click()
    expect(fresh.locator("#slider-density input[type=number]")).to_have_value("-4.5")
    again = generate(fresh, home)
    assert again.metadata["sound"] == made.metadata["sound"] and again.path.suffix == ".flac"

    fresh.get_by_role("button", name="Delete", exact=True).last.click()
    fresh.get_by_role("button", name="Yes, delete Soft").click()
    expect(fresh.get_by_text("Soft is deleted")).to_be_visible()
    assert Presets(home).all() == []


def test_what_is_confirmed_is_what_the_button_says(visit, address, home):
    page = opened(visit, address)
    page.get_by_role("tab", name="Presets").click()
    for name in ("<b>one</b>", "two"):
        fill(page, "Name of a new preset", name)
        page.get_by_role("button", name="Save the controls").click()
        expect(page.get_by_text(f"{name} is saved")).to_be_visible()
    choose(page, "Preset", "<b>one</b> (rain)")
    page.get_by_role("button", name="Delete", exact=True).last.click()
    expect(page.get_by_role("button", name="Yes, delete <b>one</b>")).to_be_visible()
    choose(page, "Preset", "two (rain)")
    expect(page.get_by_role("button", name="Yes, delete <b>one</b>")).to_be_hidden()
    page.get_by_role("button", name="Delete", exact=True).last.click()
    page.get_by_role("button", name="Yes, delete two").click()
    expect(page.get_by_text("two is deleted")).to_be_visible()
    assert [preset.name for preset in Presets(home).all()] == ["<b>one</b>"]
    Presets(home).delete("<b>one</b>", "rain")


def test_history_a_and_b_made_again_and_deleted(visit, address, home):
    page = opened(visit, address)
    fill(page, "Duration", 1)
    fill(page, "Seed", 500)
    first = generate(page, home)
    page.get_by_role("button", name="Take as A").click()
    slide(page, "brightness", -7)
    second = generate(page, home)
    page.get_by_role("button", name="Take as B").click()
    page.get_by_role("tab", name="A / B").click()
    expect(page.get_by_text(f"B: {second.id} · rain")).to_be_visible()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("Both at -")).to_be_visible()
    expect(page.get_by_role("cell", name="controls.brightness")).to_be_visible()
    assert len(list((home.audio / "compare").glob(f"{first.id}-{second.id}_*.wav"))) == 2
    fill(page, "Keep the better one as a preset", "Winner")
    page.get_by_role("button", name="Keep B").click()
    expect(page.get_by_text("B is kept as Winner")).to_be_visible()
    assert Presets(home).find("Winner").settings["controls"] == {"brightness": -7}

    page.get_by_role("button", name="Make it again").click()
    expect(page.locator("#status")).to_contain_text("Made again: the same samples", timeout=60_000)
    page.get_by_role("tab", name="History").click()
    page.get_by_label("Search").fill("seed=500 brightness=-7")
    expect(page.locator("#history .entry")).to_have_count(2)
    page.locator("#history .entry").last.click()
    expect(page.locator("#sound-title")).to_contain_text(f"{second.id} · ")
    page.get_by_role("button", name="Star", exact=True).click()
    expect(page.locator("#sound-title")).to_contain_text("★")
    assert History(home).get(second.id).starred
    slide(page, "brightness", 3)
    page.get_by_role("button", name="Recall its settings").click()
    expect(page.locator("#slider-brightness input[type=number]")).to_have_value("-7")
    page.get_by_role("button", name="Delete", exact=True).first.click()
    page.get_by_role("button", name="Delete it with its file").click()
    expect(page.locator("#history .entry")).to_have_count(1)
    assert not second.path.exists() and first.path.exists()


def test_cancelled_after_the_page_was_loaded_anew(visit, address, home):
    page = opened(visit, address)
    fill(page, "Duration", 3600)
    fill(page, "Seed", 900)
    page.locator("#generate").click()
    expect(page.locator("#status")).to_contain_text("Rendering")
    page.reload()
    page.get_by_role("tab", name="Generate", exact=True).click()
    expect(page.locator("#status")).to_contain_text("Rendering")
    other = opened(visit, address)
    other.locator("#generate").click()
    expect(other.locator("#status")).to_contain_text("1 before it")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#status")).to_contain_text("Cancelled")
    expect(page.locator("#sound-title")).to_contain_text("this is its beginning")
    expect(other.locator("#sound-title")).to_contain_text("seed 1", timeout=60_000)
    (entry,) = History(home).find(["seed=900"])
    assert entry.metadata["interrupted"] and soundfile.info(entry.path).frames > 0


def test_what_cannot_be_is_said_in_words(visit, address):
    page = opened(visit, address)
    fill(page, "Duration", 0)
    page.locator("#generate").click()
    expect(page.locator("#status")).to_contain_text("duration=0 must be a number from 0.1")
    page.get_by_role("tab", name="Presets").click()
    page.get_by_role("button", name="Recall", exact=True).click()
    expect(page.get_by_text("choose a preset first")).to_be_visible()


def test_a_download_is_shown_and_can_be_cancelled(server, visit, home, tmp_path, monkeypatch, screenshot):
    hub = Hub(small_release(), stall=True)
    served = serve(hub)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    page = opened(visit, server(home.root, "device=cpu", f"vocoder.pin={write_pin(tmp_path / 'PIN', hub.files)}"))
    fill(page, "Duration", 0.5)
    choose(page, "Vocoder", "BigVGAN, universal")
    page.locator("#generate").click()
    expect(page.locator("#status")).to_contain_text(f"Fetching {CHECKPOINT}, once: ", timeout=60_000)
    slide(page, "brightness", 2)  # the page is not frozen
    screenshot(page, "download")
    page.get_by_role("button", name="Cancel").click()
    hub.stall = False
    hub.done.set()
    expect(page.locator("#status")).to_contain_text("Cancelled", timeout=60_000)
    made = generate(page, home)
    assert made.metadata["vocoder"] == "bigvgan" and json.loads(made.path.with_suffix(".json").read_text())
    served.shutdown()
