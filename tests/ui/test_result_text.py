"""What has become of a training in its model's file."""

from dataclasses import replace
from datetime import datetime

from distillgan.models.header import read_header
from distillgan.paths import Home
from distillgan.training.run_status import finished, statuses
from distillgan.ui.train_tab import result_text


def test_a_vocoder_that_is_in_its_model_and_one_that_is_not(trained):
    home = Home(trained[0])
    (vocoder,) = [status for status in statuses(home, "tiny") if status.stage == "hifigan"]
    assert result_text(home, "tiny", vocoder) == "It plays on the Generate tab." and finished(home, "tiny", "hifigan")
    packed = datetime.fromisoformat(read_header(home.model("tiny")).training["vocoder"]["date"]).timestamp()
    later = replace(vocoder, stage="harmonic", ended_at=packed + 1.5)
    error = read_header(home.model("tiny")).training["vocoder"]["mel_error"]
    assert f"keeps the hifigan vocoder that it had: its error is {error:.3f}" in result_text(home, "tiny", later)
    # What it says in a second of its own is in it.
    assert result_text(home, "tiny", replace(vocoder, ended_at=packed + 0.9)).startswith("It plays")


def test_a_model_that_is_there_and_one_that_is_gone(trained, tmp_path):
    (model,) = [status for status in statuses(Home(trained[0]), "tiny") if status.stage == "vae"]
    assert result_text(Home(trained[0]), "tiny", model) == "It plays on the Generate tab."
    assert result_text(Home(tmp_path), "tiny", model) == "Its model is not in the library any more."
    assert not finished(Home(tmp_path), "tiny", "vae")
