"""`evaluate what=controls`: each slider's row is measured on sound, and what does not move what it says fails."""

import json

import numpy as np
import pytest
from crafted import CPU, RATE, write_crafted
from support import evaluation

from distillgan.audio.plots import save_figure
from distillgan.control.sliders import Controls, Curve
from distillgan.errors import UserError
from distillgan.evaluation import slider_fidelity as scoring
from distillgan.evaluation.tasks import evaluate
from distillgan.features.descriptors import DESCRIPTORS, NAMES, describe, windows_of
from distillgan.models.vocoders.registry import UNIVERSAL, read_packaged
from distillgan.synthesis.renderer import Model, render

ROW = {"name", "unit", "reason", "passed"}
MEASURED = ROW | {"rank", "crosstalk", "moved_sd", "shown"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    write_crafted(home / "models", "rain", sliders=("brightness", "density"), halves=("reverb",))
    write_crafted(home / "models", "sparse", sliders=("density",))
    write_crafted(home / "models", "still", sliders=())
    write_crafted(home / "models", "plain")
    return home


def model_of(home, name) -> Model:
    return Model.load(home / "models" / f"{name}.distillgan", CPU)


@pytest.fixture(scope="module")
def judged(home):
    model, told = model_of(home, "rain"), []
    judged = scoring.evaluate_sliders(model, model.vocoder, lambda *d: told.append(d), count=3, seeds=1, seconds=1)
    return model, judged, told


def test_a_row_a_slider(judged):
    _, judged, told = judged
    result = json.loads(json.dumps(judged.result, allow_nan=False))
    assert [row["name"] for row in result["sliders"]] == list(NAMES)
    active = [row for row in result["sliders"] if row["reason"] is None]
    assert [row["name"] for row in active] == ["brightness", "density", "reverb"] and result["active"] == 3
    assert all(set(row) == MEASURED and len(row["shown"]) == 3 for row in active)
    assert all(set(row) == ROW and not row["passed"] for row in result["sliders"] if row["reason"] is not None)
    assert result["passed"] == sum(row["passed"] for row in active)
    assert (result["positions"], result["seeds"], result["seconds"]) == (3, 1, 1)
    assert told == [(done + 1, 9) for done in range(9)]


def test_what_is_measured_is_the_sound_at_the_slider(judged):
    """By hand: the same render, described; reverb has but its upper half."""
    model, judged, _ = judged
    for name, positions in (("density", [-10, 0, 10]), ("reverb", [0, 5, 10])):
        at, values = judged.responses[name]
        assert at.tolist() == positions and values.shape == (3, 1, 8)
        wave = render(model, model.vocoder, 1, 1, Controls({name: Curve((0.0,), (float(positions[2]),))}))[0]
        found = describe(wave, RATE, windows_of(len(wave), RATE))[0]
        assert np.allclose(values[2, 0], found, equal_nan=True)
    assert len(judged.pictures["density"]) == 3


def test_density_passes_through_the_universal_vocoder(home):
    """Rests below 0, strokes above it: these are laid over whatever sounds, so even a random network obeys."""
    model, vocoder = model_of(home, "sparse"), read_packaged(UNIVERSAL).vocoder()
    row = scoring.evaluate_sliders(model, vocoder, lambda *_: None, count=3, seeds=1, seconds=8).result["sliders"][6]
    assert row["name"] == "density" and row["rank"] == 1 and row["moved_sd"] > 2
    assert row["shown"] == sorted(row["shown"]) and row["shown"][0] < 0.8 and row["shown"][2] > 3
    assert row["crosstalk"] == 0 and row["passed"], "there is no other active one"


def test_one_that_does_the_opposite_fails(judged):
    model, _, _ = judged
    (slider,) = (slider for slider in model.analysis.sliders() if slider.name == "density")
    positions, active = np.array([-10.0, 0, 10]), np.array([item.name == "density" for item in DESCRIPTORS])
    values = np.repeat(model.analysis.values.mean(0)[None, None], 3, 0)
    values[:, 0, 6] += np.array([-1, 0, 1]) * model.analysis.spread[6]
    for sign, rank in ((1, 1), (-1, -1)):
        row = scoring._row(model, slider, active, (positions, values[::sign]))
        assert row["rank"] == pytest.approx(rank) and row["passed"] == (sign > 0)
        assert row["moved_sd"] == pytest.approx(2 * sign)
    values[:, 0, 0] += np.array([-3, 0, 3]) * model.analysis.spread[0]
    row = scoring._row(model, slider, active | (np.arange(8) == 0), (positions, values))
    assert row["rank"] == 1 and row["crosstalk"] == pytest.approx(3) and not row["passed"]
    values[:, 0, 6] = np.nan  # nothing to measure anywhere: it did not move
    assert scoring._row(model, slider, active, (positions, values))["rank"] == 0


def test_table_text_and_picture(judged, tmp_path):
    _, judged, _ = judged
    assert scoring.table(judged.result).row_count == 8
    text = scoring.markdown(judged.result)
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 9 and all(line.count("|") == 9 for line in lines)
    assert sum("inactive: " in line for line in lines) == 5
    assert "3 positions × 1 seeds of 1 s each" in text
    save_figure(scoring.draw(judged), tmp_path / "drawn.png")
    assert (tmp_path / "drawn.png").stat().st_size > 20_000


def test_a_model_with_no_active_slider_and_one_without_an_analysis(home, tmp_path):
    model = model_of(home, "still")
    judged = scoring.evaluate_sliders(model, model.vocoder, lambda *_: None, count=3, seeds=1, seconds=1)
    assert judged.result["active"] == judged.result["passed"] == 0 and judged.responses == {}
    assert scoring.markdown(judged.result).count("inactive: ") == 8
    save_figure(scoring.draw(judged), tmp_path / "drawn.png")
    plain = model_of(home, "plain")
    with pytest.raises(UserError, match="model plain: packed without an analysis, so it has no sliders"):
        scoring.evaluate_sliders(plain, plain.vocoder, lambda *_: None)


def test_the_entry_writes_its_three_files(home, capsys):
    result = evaluate(evaluation(home, "model.name=still", "what=controls", "vocoder=hifigan"))
    assert result["vocoder"] == "hifigan" and result["active"] == 0
    base, printed = home / "evaluations" / "still_controls", capsys.readouterr().out
    assert json.loads(base.with_name("still_controls.json").read_text()) == json.loads(json.dumps(result))
    assert base.with_name("still_controls.md").read_text() == scoring.markdown(result)
    assert base.with_name("still_controls.png").read_bytes().startswith(b"\x89PNG")
    for suffix in ("json", "md", "png"):
        assert f"written to {base}.{suffix}\n" in printed
    assert "0 of 8 sliders are active, 0 passed" in printed
    with pytest.raises(UserError, match="plain: packed without an analysis"):
        evaluate(evaluation(home, "model.name=plain", "what=controls", "vocoder=hifigan"))
