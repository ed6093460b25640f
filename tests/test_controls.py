"""`distillgan controls`: every slider with what it was measured to do, why some are inactive, and the map."""

import pytest
from cli_runner import distillgan
from crafted import write_crafted
from support import composed

from distillgan.cli.commands.engine_commands import controls
from distillgan.errors import UserError
from distillgan.features.descriptors import NAMES


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    write_crafted(home / "models", "plain")
    write_crafted(home / "models", "still", sliders=())
    write_crafted(home / "models", "rain", sliders=("brightness", "density"), halves=("reverb",))
    return home


def printed_for(home, capsys, name) -> tuple[list, str]:
    sliders = controls(composed("controls", home, f"model.name={name}"))
    return sliders, capsys.readouterr().out


def test_each_slider_is_in_the_table_and_the_map_is_drawn(home, capsys):
    sliders, printed = printed_for(home, capsys, "rain")
    assert [slider.name for slider in sliders] == [*NAMES, "axis1", "axis2"]
    rows = {words[0]: words for words in (line.replace("│", " ").split() for line in printed.splitlines()) if words}
    for slider in sliders[: len(NAMES)]:
        assert slider.name in rows
        assert ("inactive" in rows[slider.name]) == (slider.reason is not None)
    assert rows["brightness"][1:4] == ["-10", "…", "10"] and rows["reverb"][1:4] == ["0", "…", "10"]
    assert rows["brightness"][4:8] == ["338", "1024", "3104", "Hz"]  # as said to have been measured: ±2 of 0.8 octaves
    assert "axis1 … axis2" in " ".join(printed.split())
    picture = home / "evaluations" / "rain_map.png"
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 20_000
    assert f"map of the recordings: {picture}\n" in printed


def test_inactive_sliders_say_why(home, capsys):
    sliders, printed = printed_for(home, capsys, "rain")
    said = " ".join(printed.split())
    for slider in sliders:
        assert (slider.reason is not None) == (f"{slider.name}: " in said)
        if slider.reason is not None:
            assert f"{slider.name}: {slider.reason}" in said
    assert sum(slider.reason is not None for slider in sliders) == 5


def test_a_model_with_no_active_slider(home, capsys):
    sliders, printed = printed_for(home, capsys, "still")
    assert all(slider.reason is not None for slider in sliders[: len(NAMES)])
    assert " ".join(printed.split()).count("moved from -10 to 10 it changes by") == len(NAMES)


def test_the_latest_model_without_a_name_and_a_missing_one(home, capsys):
    assert "rain: sliders" in printed_for(home, capsys, "null")[1]
    with pytest.raises(UserError, match="nosuch: no such model or file"):
        controls(composed("controls", home, "model.name=nosuch"))


def test_a_model_without_an_analysis(home):
    with pytest.raises(UserError, match=r"plain\.distillgan: packed without an analysis, so it has no sliders"):
        controls(composed("controls", home, "model.name=plain"))
    assert not (home / "evaluations" / "plain_map.png").exists()


def test_the_verb_takes_the_models_name(home):
    done = distillgan("controls", "still", f"paths.home={home}")
    assert done.returncode == 0, done.stderr
    assert "still: sliders" in done.stdout and (home / "evaluations" / "still_map.png").exists()
