"""From recordings to a model with a vocoder of its own, by hand: uploads, scan, training, stop, resume, a crash."""

import json

import numpy as np
import psutil
import pytest
import soundfile

from distillgan.models.header import read_header

TINY = "experiment=tiny\nmodel.max_steps=5000\ntrainer.validate_every=20\ncallbacks.preview.every=50"
_MILLISECONDS = 120_000


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def address(server, home):
    return server(home)


def fill(page, name, text):
    page.locator(f"#{name} input, #{name} textarea").first.fill(text)


def choose(page, name, option):
    page.locator(f"#{name} input").click()
    page.get_by_role("option", name=option, exact=True).click()


def row(page, text):
    return page.locator("#files").get_by_role("gridcell", name=text)


def says(page, words):
    page.locator("#run-status").get_by_text(words).wait_for(timeout=_MILLISECONDS)


def steps(home, name):
    return read_header(home / "models" / f"{name}.distillgan").training["vae"]["steps"]


def vocoder(home, name):
    return read_header(home / "models" / f"{name}.distillgan").vocoder["name"]


def process(home, name):
    return psutil.Process(json.loads((home / "trainings" / name / "model" / "training.json").read_text())["pid"])


def test_recordings_are_added_seen_and_heard(address, visit, recordings, tmp_path, screenshot):
    page = visit(address, "Data")
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFFnothing")
    fill(page, "new-corpus", "takes")
    files = [*sorted(recordings.glob("*.wav")), broken]
    page.locator("#uploads input[type=file]").set_input_files(files)
    page.locator("#uploads").get_by_text("take5").wait_for()
    page.get_by_role("button", name="Add to corpus").click()
    row(page, "take0.wav").wait_for()
    assert page.locator("#corpus").get_by_text("6 files used, 1 held out").is_visible()
    assert row(page, "broken.wav").is_visible()
    row(page, "take0.wav").click()
    page.locator("#heard").get_by_text("take0.wav, as it is learnt").wait_for()
    screenshot(page, "data")
    row(page, "broken.wav").click()
    page.locator("#heard").get_by_text("broken.wav is skipped").wait_for()
    page.get_by_role("button", name="Delete this file").click()
    page.get_by_role("button", name="Delete it").click()
    page.locator("#corpus").get_by_text("0 skipped").wait_for()
    row(page, "broken.wav").wait_for(state="hidden")


def test_mistakes_are_told_where_they_happen(address, visit, recordings):
    page = visit(address, "Data")
    page.get_by_role("button", name="Add to corpus").click()
    page.get_by_text("cannot name a model").wait_for()
    page.get_by_role("button", name="Or a folder on this machine").click()
    fill(page, "folder", "/no/such/folder")
    page.get_by_role("button", name="Use this folder").click()
    page.get_by_text("there is no such folder on this machine").wait_for()
    page.get_by_role("tab", name="Train", exact=True).click()
    page.locator("#train-start").click()
    page.get_by_text("choose the recordings to learn from").wait_for()


def test_a_training_outlives_the_visitor_stops_and_goes_on(address, visit, home, screenshot):
    page = visit(address, "Train")
    choose(page, "train-corpus", "takes")
    fill(page, "train-name", "tin")
    page.get_by_role("button", name="More settings").first.click()
    fill(page, "train-more", TINY)
    page.locator("#train-start").click()
    says(page, "of 5,000 steps")
    page.reload()  # in the middle
    page.get_by_role("tab", name="Train", exact=True).click()
    says(page, "tin, the model")
    screenshot(page, "train")
    page.locator("#train-stop").click()
    says(page, "Resume goes on from here")
    stopped_at = steps(home, "tin")
    assert 0 < stopped_at < 5000
    other = visit(address, "Train", width=1024, dark=True)
    says(other, "Resume goes on from here")
    other.locator("#train-resume").click()
    says(other, "in training")
    says(other, "left")
    screenshot(other, "train-dark")
    other.locator("#train-stop").click()
    says(other, "Resume goes on from here")
    assert stopped_at < steps(home, "tin") < 5000


def test_a_vocoder_is_trained_and_a_second_one_asks_first(address, visit, home, screenshot):
    page = visit(address, "Train")
    page.get_by_role("tab", name="A vocoder of its own").click()
    choose(page, "vocoder-model", "tin")
    page.get_by_role("button", name="More settings").last.click()
    fill(page, "vocoder-more", "experiment=tiny")
    page.locator("#vocoder-start").click()
    says(page, "its vocoder (harmonic)")
    says(page, "It plays on the Generate tab")
    assert vocoder(home, "tin") == "harmonic"
    page.locator("#vocoder-start").click()
    page.get_by_text("tin has a vocoder of its own already").wait_for()
    page.get_by_role("button", name="Leave it").click()
    page.get_by_text("tin has a vocoder of its own already").wait_for(state="hidden")
    page.locator("#vocoder-start").click()
    page.get_by_text("tin has a vocoder of its own already").wait_for()
    choose(page, "vocoder-model", "tin")  # the question was asked of what was chosen before
    page.get_by_text("tin has a vocoder of its own already").wait_for(state="hidden")
    # Another kind, from noise: after two steps it is worse, and the better one stays.
    page.get_by_role("radio", name="hifigan").check()
    page.locator("#vocoder-start").click()
    page.get_by_role("button", name="the better one stays").click()
    says(page, "It is not in the model, which keeps the harmonic vocoder")
    says(page, "its vocoder (hifigan): finished")
    assert vocoder(home, "tin") == "harmonic"
    screenshot(page, "kept")
    # What the page says then: the same once more, without a step, and the new one takes its place.
    page.locator("#vocoder-start").click()
    page.get_by_role("button", name="the new one takes its place").click()
    says(page, "in training")
    says(page, "It plays on the Generate tab")
    assert vocoder(home, "tin") == "hifigan"
    page.locator("#run-status").get_by_text("It is not in the model").wait_for(state="hidden")
    # The model's training is a training of its own still.
    choose(page, "trainings", "tin")
    says(page, "Resume goes on from here")


def test_a_model_grows(address, visit, home, tmp_path, screenshot):
    more = tmp_path / "more"
    more.mkdir()
    for number in range(5):
        time = np.arange(22050) / 44100
        soundfile.write(more / f"more{number}.wav", 0.3 * np.sin(2 * np.pi * 300 * (number + 1) * time), 44100)
    page = visit(address, "Data")
    page.get_by_role("button", name="Or a folder on this machine").click()
    fill(page, "folder", str(more))
    page.get_by_role("button", name="Use this folder").click()
    row(page, "more0.wav").wait_for()
    page.get_by_role("tab", name="Train", exact=True).click()
    choose(page, "train-corpus", "more")
    fill(page, "train-name", "tin")
    page.get_by_label("Let the model of this name grow").check()
    page.get_by_role("button", name="More settings").first.click()
    fill(page, "train-more", "experiment=tiny")
    page.locator("#train-start").click()
    says(page, "It has grown: its error on the old recordings was")
    screenshot(page, "grown")
    header = read_header(home / "models" / "tin.distillgan")
    assert header.corpus["files"] == 11 and header.vocoder["name"] == "hifigan"
    assert (home / "models" / "tin.old-1.distillgan").exists()


def test_a_crash_is_told_of_with_its_last_lines(address, visit, home, screenshot):
    page = visit(address, "Train")
    choose(page, "train-corpus", "takes")
    fill(page, "train-name", "crash")
    page.get_by_role("button", name="More settings").first.click()
    fill(page, "train-more", TINY)
    page.locator("#train-start").click()
    says(page, "of 5,000 steps")
    process(home, "crash").kill()
    says(page, "broke off")
    says(page, "SIGKILL")
    screenshot(page, "crash")
