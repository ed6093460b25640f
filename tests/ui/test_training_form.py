"""What is filled in on the Train tab, as overrides that compose, and what cannot be set there."""

import pytest
from omegaconf import OmegaConf

from distillgan.cli import hydra_app
from distillgan.errors import UserError
from distillgan.paths import Home
from distillgan.ui import training_form as form
from distillgan.ui.data_tab import Corpora

NO_FIELDS = [""] * len(form.MODEL_FIELDS)
NO_VOCODER_FIELDS = [""] * len(form.VOCODER_FIELDS)


@pytest.fixture
def corpora(tmp_path, recordings):
    corpora = Corpora(Home(tmp_path / "it's a home, ${x}"))
    corpora.add("rain", sorted(recordings.glob("*.wav")))
    return corpora


def model(corpora, corpus="rain", size="medium", steps=0, minutes=0, grow=False, anew=False, values=NO_FIELDS, more=""):
    return form.model_overrides(corpora, corpus, "vae", size, grow, anew, steps, minutes, "cpu", more, *values)


def test_every_field_is_a_setting_and_says_what_it_is_when_left_empty():
    for fields, overrides in ((form.MODEL_FIELDS, []), (form.VOCODER_FIELDS, ["vocoder=harmonic"])):
        config = hydra_app.composed("train", overrides)
        for field, default in zip(fields, form.defaults(fields, overrides), strict=True):
            value = OmegaConf.select(config, field.key, throw_on_missing=True)
            assert default == (field.null if value is None else str(value))


@pytest.mark.parametrize("size", form.SIZES)
def test_what_is_filled_in_composes_to_just_that(corpora, size):
    values = ["", "left", "4", "1e-4", "", "", "00:01:00:00", "", "7", "CC0, mine", "a = b"]
    overrides = model(
        corpora, size=size, steps=2000000, minutes=90.5, values=values, more="\nmodel.module.kl.weight=1e-3\n"
    )
    config = hydra_app.composed("train", hydra_app.to_overrides(overrides))
    assert config.data.dir == [str(corpora.folder("rain"))] or config.data.dir == str(corpora.folder("rain"))
    assert config.model.max_steps == 2000000 and config.trainer.max_time == "00:01:30:30"
    assert config.data.batch_size == 4 and config.model.module.lr == 1e-4 and config.seed == 7
    assert config.data.channels == "left"
    assert config.licence == "CC0, mine" and config.note == "a = b" and config.model.module.kl.weight == 1e-3
    widths = {"small": 192, "medium": 384, "large": 576}
    assert config.model.module.network.channels == widths[size]


def test_a_growing_model_and_one_that_begins_anew(corpora):
    assert "extend=true" in model(corpora, grow=True) and "resume=never" in model(corpora, anew=True)
    for wrong in ({"grow": True, "anew": True}, {"grow": True, "corpus": form.DEMO}, {"corpus": None}):
        with pytest.raises(UserError):
            model(corpora, **wrong)
    assert not any(item.startswith("data") for item in model(corpora, corpus=form.DEMO))


@pytest.mark.parametrize(
    "line",
    [
        "+callbacks.x={_target_: os.system, command: id}",
        "callbacks.progress._target_=os.system",
        "note=${oc.env:HOME}",
        "paths.home=/tmp",
        "hydra.run.dir=/tmp",
        "hydra/launcher=joblib",
        "~callbacks",
        "name=other",
        "data.dir=/etc",
        "trainer=ddp",
        "experiment=../../upload",
        "experiment@x=tiny",
        "no setting",
    ],
)
def test_what_is_not_to_be_set_on_a_page_is_refused(corpora, line):
    with pytest.raises(UserError):
        model(corpora, more=line)
    if "=" in line and "_target_" in line:
        with pytest.raises(UserError):
            model(corpora, values=["1", "{_target_: os.system}", *NO_FIELDS[2:]])


def vocoder(home, corpora, name="tiny", corpus=form.ITS_OWN, **named):
    given = {"kind": "harmonic", "anew": False, "steps": 0, "minutes": 0, "device": "cpu"} | named
    return form.vocoder_overrides(home, corpora, name, corpus, *given.values(), "", *NO_VOCODER_FIELDS)


def test_a_vocoder_is_trained_on_the_recordings_of_its_model(trained, corpora, recordings):
    home = Home(trained[0])
    config = hydra_app.composed("train", hydra_app.to_overrides(vocoder(home, corpora, steps=5, anew=True)))
    assert list(config.data.dir) == [str(recordings)] and list(config.stages) == ["vocoder"]
    assert config.data.channels == "mix"
    assert config.vocoder.name == "harmonic" and config.vocoder.max_steps == 5 and config.resume == "never"
    config = hydra_app.composed("train", hydra_app.to_overrides(vocoder(home, corpora, corpus="rain", kind="hifigan")))
    assert list(config.data.dir) == [str(corpora.folder("rain"))] and config.vocoder.name == "hifigan"
    kind, error = form.vocoder_of(home, "tiny")
    assert kind == "hifigan" and error > 0
    for name in ("", "gone"):
        with pytest.raises(UserError):
            vocoder(home, corpora, name=name)
