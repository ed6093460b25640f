"""What was renamed, tagged and noted goes on being trained as if nothing had been."""

import shutil

from support import composed

from distillgan.cli import main
from distillgan.models.header import read_header
from distillgan.paths import Home
from distillgan.store.library import rename_model, set_tags
from distillgan.training.pipeline import train


def test_a_training_goes_on_under_the_new_name(trained, recordings, tmp_path):
    home = Home(tmp_path / "home")
    shutil.copytree(trained[0], home.root, dirs_exist_ok=True)
    set_tags(home, "tiny", ["field"])
    rename_model(home, "tiny", "small")
    overrides = main._vocoder_overrides(["small", f"paths.home={home.root}"])
    assert {"name=small", "vocoder=hifigan", f"data.dir='{recordings}'"} <= set(overrides)
    steps = ("model.max_steps=5", "vocoder.max_steps=6", "vocoder.replace=true")
    asked = ("experiment=tiny", "vocoder=hifigan", f"data.dir={recordings}", "name=small", *steps)
    train(composed("train", home.root, *asked))
    header = read_header(home.model("small"))
    assert (header.training["vae"]["steps"], header.training["vocoder"]["steps"]) == (5, 6)
    assert (header.name, header.tags, header.note, header.licence) == ("small", ["field"], "hello", "CC0")
    assert [path.name for path in home.models.iterdir()] == ["small.distillgan"]
    assert [path.name for path in home.runs.iterdir() if path.is_dir()] == ["small"]
