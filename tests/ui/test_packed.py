"""What has become of a training in its model's file."""

from datetime import datetime
from pathlib import Path

from distillgan.models.header import read_header
from distillgan.paths import Home
from distillgan.ui.runs import Standing, finished, model_in_words, standings


def test_a_vocoder_that_is_in_its_model_and_one_that_is_not(trained):
    home = Home(trained[0])
    (vocoder,) = [standing for standing in standings(home, "tiny") if standing.stage == "hifigan"]
    assert model_in_words(home, "tiny", vocoder) == "It plays on the Generate tab." and finished(
        home, "tiny", "hifigan"
    )
    packed = datetime.fromisoformat(read_header(home.model("tiny")).training["vocoder"]["date"]).timestamp()
    later = Standing(Path("harmonic"), vocoder.status, packed + 1.5)
    error = read_header(home.model("tiny")).training["vocoder"]["mel_error"]
    assert f"keeps the hifigan vocoder that it had: its error is {error:.3f}" in model_in_words(home, "tiny", later)
    # What it says in a second of its own is in it.
    assert model_in_words(home, "tiny", Standing(Path("hifigan"), vocoder.status, packed + 0.9)).startswith("It plays")


def test_a_model_that_is_there_and_one_that_is_gone(trained, tmp_path):
    model = Standing(Path("vae"), {}, 0.0)
    assert model_in_words(Home(trained[0]), "tiny", model) == "It plays on the Generate tab."
    assert model_in_words(Home(tmp_path), "tiny", model) == "Its model is not in the library any more."
    assert not finished(Home(tmp_path), "tiny", "vae")
