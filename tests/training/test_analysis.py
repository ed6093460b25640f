"""After the VAE: the model file has an analysis, the same again after a broken-off run; odd settings are refused."""

import shutil
from io import StringIO

import pytest
import torch
from crafted import CPU, header_and_tensors, loud_generator
from rich.console import Console
from support import composed, tiny

from distillgan.audio.mel import MelSpec
from distillgan.control.latents import CorpusLatents, Segments
from distillgan.errors import UserError
from distillgan.features.descriptors import NAMES
from distillgan.models.modelfile import read_model
from distillgan.models.vae.network import VAENetwork
from distillgan.models.vocoders.hifigan import HiFiGANVocoder
from distillgan.synthesis.renderer import Model
from distillgan.training.pipeline import train
from distillgan.training.stages import analyse


def test_a_trained_model_has_an_analysis_of_its_own_moments(trained):
    model = Model.load(trained[0] / "models" / "tiny.distillgan", CPU)
    analysis, segments = model.analysis, Segments.of(model.corpus)
    assert analysis.values.shape == (len(segments), len(NAMES)) and analysis.directions.shape == (8, 4)
    assert [slider.name for slider in analysis.sliders()][:8] == list(NAMES)
    assert (analysis.percentiles[:, 1:] >= analysis.percentiles[:, :-1]).all()
    assert analysis.known[[4, 5, 6]].tolist() == [1, 1, 1]  # of time: defined wherever there is sound
    own = analysis.response[range(8), :, range(8)]
    assert (own.std(1) > 0).any(), "some slider changes what it is called after"


def test_a_run_that_ended_before_its_model_was_packed_is_packed_as_it_would_have_been(trained, recordings, tmp_path):
    """As after a kill in the middle of the analysis: the checkpoint is there, the model is not."""
    shutil.copytree(trained[0], tmp_path, dirs_exist_ok=True)
    _, before = read_model(tmp_path / "models" / "tiny.distillgan", "latent.")
    (tmp_path / "models" / "tiny.distillgan").unlink()
    train(tiny(tmp_path, recordings))
    _, after = read_model(tmp_path / "models" / "tiny.distillgan", "latent.")
    assert sum(name.startswith("latent.analysis.") for name in after) == 9
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, atol=1e-4, rtol=1e-4, msg=name)


def analysed(home, spec=None, own=None, **settings):
    """The analysis of a small model's corpus, and what was printed."""
    header, tensors = header_and_tensors(own=False)
    network = VAENetwork(**header.vae).eval()
    network.load_state_dict({name[4:]: tensor for name, tensor in tensors.items() if name.startswith("vae.")})
    corpus = CorpusLatents.from_tensors(tensors, 4, "here")
    node, said = composed("train", home, "experiment=tiny").analysis, StringIO()
    for key, value in settings.items():
        node[key] = value
    return analyse(network, spec or MelSpec(), corpus, own, node, Console(file=said, width=500)), said.getvalue()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"seconds": 0.1}, "analysis.seconds=0.1 must be a number from 0.2 to 60"),
        ({"seconds": 61}, "analysis.seconds=61 must be a number"),
        ({"seconds": "long"}, "analysis.seconds=long must be a number"),
        ({"seconds": None}, "analysis.seconds=None must be a number"),
        ({"seeds": 0}, "analysis.seeds=0 must be a whole number from 1 to 100"),
        ({"seeds": 101}, "analysis.seeds=101 must be a whole number"),
        ({"seeds": 1.5}, "analysis.seeds=1.5 must be a whole number"),
        ({"probes": 0}, "analysis.probes=0 must be a whole number from 1 to 1000"),
    ],
)
def test_settings_out_of_range(tmp_path, settings, words):
    with pytest.raises(UserError, match=words):
        analysed(tmp_path, **settings)


def test_another_mel_is_heard_through_the_models_own_vocoder_or_not_at_all(tmp_path):
    other = MelSpec(f_min=30)
    assert analysed(tmp_path, other) == (
        None,
        "analysis: no vocoder for this mel yet, so the model has no sliders; train one, then train again\n",
    )
    found, said = analysed(tmp_path, other, HiFiGANVocoder(loud_generator(), other).eval())
    assert said.startswith(f"analysis: {len(found.axes.spread)} axes; sliders ")
    for slider in found.sliders()[:8]:
        inactive = said.partition("inactive")[2]
        assert (slider.name in inactive) == (slider.reason is not None)


def test_a_setting_out_of_range_is_told_by_the_training(tmp_path, recordings):
    with pytest.raises(UserError, match=r"analysis\.seeds=0 must be a whole number from 1 to 100"):
        train(tiny(tmp_path, recordings, "model.max_steps=1", "analysis.seeds=0"))
