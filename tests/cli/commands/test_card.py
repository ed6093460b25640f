"""`distillgan card`: true to the file, silent of this machine, careful with a person's words; its sounds are real."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from crafted import RATE, loud_vocoder, write_crafted
from support import evaluation

from distillgan.api import load
from distillgan.cli.commands import model_commands
from distillgan.evaluation.slider_fidelity import evaluate_sliders
from distillgan.evaluation.tasks import evaluate
from distillgan.models.header import copy_model, read_header
from distillgan.paths import Home
from distillgan.store.cards import CARD, folder_of, read_card
from distillgan.store.model_card import hub_licence
from distillgan.synthesis.renderer import Model


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    write_crafted(home.models, "rain", sliders=("brightness", "density"), halves=("reverb",))
    write_crafted(home.models, "plain")
    return home


@pytest.fixture
def run(home, capsys, monkeypatch):
    """Call the verb; its exit code, standard output and standard error."""
    monkeypatch.setattr(model_commands, "SECONDS", 2.0)

    def run(*arguments, at=home):
        with pytest.raises(SystemExit) as left:
            model_commands.card_main([*map(str, arguments), "--home", str(at.root)])
        return left.value.code, *capsys.readouterr()

    return run


def text_of(home: Home, name: str = "rain") -> str:
    return (folder_of(home, name) / CARD).read_text("utf-8")


def front_matter(text: str) -> dict:
    assert text.startswith("---\n")
    return yaml.safe_load(text.split("---\n")[1])


def changed(home: Home, name: str, **fields) -> None:
    copy_model(home.model(name), home.model(name), lambda header: replace(header, **fields))


def test_all_that_the_file_says_and_no_more(home, run):
    code, out, err = run("rain", "--examples", "0")
    assert (code, err) == (0, "") and out == f"rain: {folder_of(home, 'rain') / CARD}\n"
    text = text_of(home)
    assert "# rain\n" in text and "trained on 1.0 minutes" in text and "hifigan vocoder of its own" in text
    assert "| brightness | -10 … 10 | 338 | 1024 | 3104 | 1.00 | 0.00 | Hz |" in text
    assert "| reverb | 0 … 10 |" in text and "- warmth is inactive: moved from -10 to 10" in text
    assert "| hardware | not known | not known |" in text and "| best step, kept | not known | not known |" in text
    assert "| licence, as stated in training | none was stated |" in text and "None were measured in training." in text
    assert "| bands | 128 |" in text and "| sample rate, Hz | 44100 |" in text
    assert "## Examples" not in text and not (folder_of(home, "rain") / "examples").exists()
    assert front_matter(text) == {
        "library_name": "distillgan",
        "tags": ["distillgan", "audio", "audio-generation", "vae"],
    }
    assert run("plain", "--examples", "0")[0] == 0
    assert "None: packed without an analysis, so it has no sliders;" in text_of(home, "plain")


def test_examples_are_what_the_sliders_make(home, run):
    code, out, err = run("rain", "--examples", "9", "--json")
    value = json.loads(out)
    assert "rain has 6 examples and no more" in value["left_out"][0]
    assert code == 0, err
    names = ["plain", "brightness_low", "brightness_high", "density_low", "density_high", "reverb_high"]
    assert value["files"] == [*(f"examples/{name}.flac" for name in names), "examples/spectrograms.png"]
    waves = {}
    for file in value["files"][:-1]:
        wave, rate = soundfile.read(folder_of(home, "rain") / file, dtype="float32")
        assert rate == RATE and len(wave) == model_commands.SECONDS * RATE and np.abs(wave).max() > 0.01
        waves[Path(file).stem] = wave
    assert f"2 seconds each, as they were drawn, seed {model_commands.SEED}, played by the vocoder hifigan" in text_of(
        home
    )
    again = (
        load("rain", home=home.root, device="cpu")
        .render(model_commands.SECONDS, seed=model_commands.SEED, brightness=10)
        .wave[0]
    )
    high = waves["brightness_high"]
    gain = (again @ high) / (again @ again)  # one for the whole file, whose true peak is -1 dBFS at most
    assert gain < 1 and np.abs(gain * again - high).max() < 2**-13, "what `generate` makes, to 16 bits"
    assert len({wave.tobytes() for wave in waves.values()}) == 6, "each slider moves something"
    picture = folder_of(home, "rain") / "examples" / "spectrograms.png"
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 20_000
    assert value["card"] == str(folder_of(home, "rain") / CARD)


def test_the_same_card_again_and_what_it_showed_before(home, run):
    folder = folder_of(home, "rain")
    assert run("rain", "--examples", "2")[0] == 0
    first, sound = text_of(home), soundfile.read(folder / "examples" / "plain.flac")[0]
    (folder / "examples" / "mine.txt").write_text("mine")
    assert run("rain", "--examples", "2")[0] == 0
    assert text_of(home) == first
    assert np.array_equal(soundfile.read(folder / "examples" / "plain.flac")[0], sound)
    assert run("rain", "--examples", "1")[0] == 0
    left = sorted(path.name for path in (folder / "examples").iterdir())
    assert left == ["mine.txt", "plain.flac", "spectrograms.png"]


def test_what_a_person_wrote_stays(home, run):
    path = folder_of(home, "rain") / CARD
    assert run("rain", "--examples", "1")[0] == 0
    text = path.read_text("utf-8").replace("# rain\n", "# rain\n\nTwo nights on the roof.\n")
    path.write_text(text, "utf-8")
    code, out, err = run("rain", "--examples", "0")
    assert code == 2 and out == "" and "has been edited since it was written" in err and "--replace" in err
    assert path.read_text("utf-8") == text and (path.parent / "examples" / "plain.flac").exists()
    assert run("rain", "--examples", "0", "--replace")[0] == 0
    assert "Two nights" not in path.read_text("utf-8")
    path.write_text("# all my own\n", "utf-8")
    assert run("rain", "--examples", "0")[0] == 2 and path.read_text("utf-8") == "# all my own\n"
    path.write_bytes(b"\xff\xfe\x00")
    code, _, err = run("rain", "--examples", "0")
    assert code == 2 and "is no text" in err and path.read_bytes() == b"\xff\xfe\x00"


def test_texts_from_a_file_are_shown_and_not_obeyed(home, run):
    note = '<script>alert(1)</script> [x](../../secret) ![y](z.png)\n# heading\x1b[2J | a \\] `code` src="q.png"'
    tags, licence = ["wet", "a: b\n- c", "---\nlicense: mit"], "mine | own <b>"
    changed(home, "rain", note=note, tags=tags, licence=licence, versions={"distillgan": "<i>0</i>"})
    assert run("rain", "--examples", "0")[0] == 0
    text, shown = text_of(home), read_card(folder_of(home, "rain"))
    assert shown.files == () and not shown.edited
    assert not any(obeyed in text for obeyed in ("\x1b", "\n# heading", "<script>", "<b>", "<i>"))
    matter = front_matter(text)
    assert matter["tags"][-3:] == ["wet", "a: b - c", "--- license: mit"] and "license" not in matter
    assert "| licence, as stated in training | mine \\| own \\<b\\> |" in text


@pytest.mark.parametrize("note", ["from /home/ada/rain", "in ~/rain/", r"see C:\Users\ada", "(/media/stick/x)"])
def test_a_note_that_names_a_folder_is_left_out_and_said(home, run, note):
    changed(home, "rain", note=note)
    code, out, _ = run("rain", "--examples", "0")
    assert code == 0 and "the note of rain names a folder" in out and note not in text_of(home)
    changed(home, "rain", note="24/7 and/or wind, http://example.org/x")
    assert "left out" not in run("rain", "--examples", "0")[1] and "24/7 and/or wind" in text_of(home)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        *[("CC0", "cc0-1.0"), ("cc0-1.0", "cc0-1.0"), ("CC BY 4.0", "cc-by-4.0"), ("CC-BY-SA-4.0", "cc-by-sa-4.0")],
        *[("MIT", "mit"), ("MIT License", "mit"), ("Apache 2.0", "apache-2.0"), (" GPL v3.0 ", "gpl-3.0")],
        *[("CC BY", None), ("", None), ("mine", None), ("GPL-3.0-or-later", None), ("CC-BY-4.0 or MIT", None)],
    ],
)
def test_licences_that_the_hub_knows(home, run, text, known):
    assert hub_licence(text) == known


def test_a_known_licence_is_in_the_front_matter(home, run):
    changed(home, "rain", licence="CC BY 4.0")
    assert run("rain", "--examples", "0")[0] == 0
    assert front_matter(text_of(home))["license"] == "cc-by-4.0" and "| CC BY 4.0 |" in text_of(home)


@pytest.fixture(scope="module")
def judged(trained, tmp_path_factory):
    """A home with the tiny trained model and its evaluations."""
    home = Home(tmp_path_factory.mktemp("judged"))
    home.models.mkdir()
    shutil.copy(trained[0] / "models" / "tiny.distillgan", home.models)
    recordings = read_folder(trained[0])
    for what in ("reconstruction", "vocoder"):
        more = ["vocoder=hifigan"] if what == "vocoder" else []
        evaluate(evaluation(home.root, "model.name=tiny", f"what={what}", f"data.dir={recordings}", *more))
    return home


def read_folder(home: Path) -> str:
    return yaml.safe_load((home / "runs" / "tiny" / "config.yaml").read_text())["data"]["dir"]


def test_a_real_model_with_its_evaluations_names_nothing_of_this_machine(judged, run):
    code, _, err = run("tiny", "--examples", "1", at=judged)
    assert (code, err) == (0, "")
    text, header = text_of(judged, "tiny"), read_header(judged.model("tiny"))
    vae = header.training["vae"]
    assert vae["device"] == "cpu" and vae["cores"] >= 1 and vae["torch"] == torch.__version__
    assert f"| device | {vae['device']} | cpu |" in text and f", {vae['cores']} processor cores |" in text
    assert "| files | 6 |" in text and f"error {vae['error_db']:.2f} dB on held-out files" in text
    assert "| licence, as stated in training | CC0 |" in text and front_matter(text)["license"] == "cc0-1.0"
    report = json.loads((judged.root / "evaluations" / "tiny.json").read_text())
    assert f"| held out | 1 | {report['parts']['held out']['error_db']:.2f} |" in text
    assert "| hifigan, own mels |" in text and "take0" not in text
    for path in folder_of(judged, "tiny").rglob("*"):
        if path.is_file():
            assert str(judged.root.parent).encode() not in path.read_bytes(), path


def test_reports_of_other_weights_are_left_out_and_said(home, run, judged):
    folder = home.root / "evaluations"
    folder.mkdir()
    model = Model.load(home.model("rain"), torch.device("cpu"))
    result = evaluate_sliders(model, loud_vocoder(), lambda *_: None, count=3, seeds=1, seconds=1.0).result
    (folder / "rain_controls.json").write_text(json.dumps(result))
    shutil.copy(judged.root / "evaluations" / "tiny.json", folder / "rain.json")
    (folder / "rain_vocoder.json").write_text(json.dumps({"fingerprint": model.header.fingerprint, "means": []}))
    code, out, _ = run("rain", "--examples", "0")
    assert code == 0 and f"{folder / 'rain.json'} is left out: it is of other weights" in out
    assert f"{folder / 'rain_vocoder.json'} is left out: it is no report that is understood" in out
    text = text_of(home)
    assert f"3 positions × 1 seeds of 1 s: {result['passed']} of the {result['active']} active ones" in text
    assert "Reconstruction, mean" not in text and "Vocoders on" not in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nosuch"], "no such model"),
        (["rain", "--examples", "-1"], "0 for none"),
        (["rain", "--examples", "many"], "invalid int value"),
        (["rain", "--vocoder", "kazoo"], "kazoo"),
        (["plain", "--vocoder", "harmonic"], "has hifigan of its own, not harmonic"),
        (["hurt"], "does not match its checksum"),
    ],
)
def test_mistakes_are_told_and_write_no_card(home, run, arguments, words):
    data = bytearray(home.model("rain").read_bytes())
    data[-1] ^= 1
    home.model("hurt").write_bytes(data)
    code, out, err = run(*arguments)
    assert code == 2 and out == "" and words in err, err
    assert not list((home.root / "cards").rglob(CARD))
