"""Recordings that end somewhere, among others and alone: what is absent from them is not learnt."""

import numpy as np
import pytest
import soundfile as sf
import torch
from support import composed, tiny

from distillgan.audio.augment import Augment
from distillgan.audio.mel import MelSpec
from distillgan.configuration import build
from distillgan.data.datamodule import AudioDataModule, learnt_limits
from distillgan.data.scan import scan
from distillgan.models.header import read_header
from distillgan.models.vae.network import ReconstructionLoss
from distillgan.paths import Home
from distillgan.training.pipeline import train

RATE = 44100


def noise(seed, seconds=0.8, rate=RATE):
    return 0.2 * np.random.default_rng(seed).uniform(-1, 1, round(seconds * rate))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three of a telephone alone, and the same beside three that go all the way up."""
    root = tmp_path_factory.mktemp("band")
    for name, whole in (("phone", 0), ("mixed", 3)):
        (root / name).mkdir()
        for number in range(3):
            sf.write(root / name / f"phone{number}.wav", noise(number, rate=8000), 8000)
        for number in range(whole):
            sf.write(root / name / f"whole{number}.wav", noise(10 + number), RATE)
    return root


@pytest.fixture(scope="module")
def clips(folders):
    return {name: scan(folders / name, folders / "cache").clips(folders / "cache") for name in ("phone", "mixed")}


def module_of(clips, **changes):
    plain = {"shift_probability": 0, "pitch_semitones": 2, "time_stretch": (1, 1), "gain_db": 0}
    plain |= {"noise_probability": 0, "noise_snr_db": (20, 20), "polarity_probability": 0, **changes}
    return AudioDataModule(clips, [], MelSpec(), Augment(**plain), 2, 16, 4, 0.5, 0, 1)


def test_which_recordings_tell_of_what(clips):
    assert learnt_limits(clips["phone"]) is None  # that nothing is above them is all that is known of sound
    limits = learnt_limits(clips["mixed"])
    assert np.isinf(limits[3:]).all() and np.abs(limits[:3] - 4000).max() < 150
    assert learnt_limits(clips["mixed"][3:]) is None
    assert "limit" not in module_of(clips["phone"]).segments[0]


def test_what_a_segment_tells_and_how_much_of_it_is_seen(clips):
    items = [module_of(clips["mixed"]).segments[index] for index in range(200)]
    for item in items:
        assert np.isinf(item["limit"]) == (item["clip"] >= 3) and item["seen"] <= item["limit"]
    hidden = [np.isfinite(item["seen"]) for item in items if item["clip"] >= 3]
    assert 0.35 < np.mean(hidden) < 0.65
    shifted = [module_of(clips["mixed"], shift_probability=1).segments[index] for index in range(40)]
    ends = [float(item["limit"]) for item in shifted if item["clip"] < 3]  # a limit moves with the pitch
    assert min(ends) < 3800 and max(ends) > 4200 and max(ends) < 4000 * 2 ** (2 / 12) + 1


def test_the_vae_is_told_nothing_above_a_limit(tmp_path):
    """Whatever is there changes neither its input nor its loss; without a limit it does."""
    config = composed("train", tmp_path, "experiment=tiny", "model.max_steps=4")
    module = build(config.model.module, spec=MelSpec().to_dict())
    module.log = module.log_dict = lambda *_, **__: None  # there is no trainer to log to
    wave = torch.from_numpy(noise(1)).float()[None, None, : 16 * 512]
    hiss = torch.from_numpy(noise(2)).float()[None, None, : 16 * 512]
    spectrum = torch.fft.rfft(hiss)
    spectrum[..., : spectrum.shape[-1] * 5000 // 22050] = 0
    hiss = torch.fft.irfft(spectrum, n=16 * 512)

    def loss(sound, **limits):
        module.steps_done = 0
        batch = {"wave": sound, "rate": torch.ones(1)} | {key: torch.tensor([hz]) for key, hz in limits.items()}
        return float(module.training_step(batch, 0).detach())

    told = {"limit": 4000.0, "seen": 4000.0}
    assert loss(wave + hiss, **told) == pytest.approx(loss(wave, **told), rel=1e-3)
    assert abs(loss(wave + hiss) - loss(wave)) > 0.05
    # Seen no further, but told of all: the target is what matters.
    assert abs(loss(wave + hiss, limit=np.inf, seen=4000.0) - loss(wave, limit=np.inf, seen=4000.0)) > 0.05


def test_bands_that_are_not_told_have_no_gradient():
    made = torch.zeros(2, 3, 4, requires_grad=True)
    told = torch.tensor([[True, True, False], [True, True, True]])
    loss = ReconstructionLoss()(made, torch.ones(2, 3, 4), told)
    loss.backward()
    assert float(loss) == 1 and (made.grad != 0).any(-1).tolist() == told.tolist()


@pytest.mark.slow
def test_the_limit_of_a_corpus_is_kept_with_its_model(folders, tmp_path):
    for name, limit in (("phone", 4000), ("mixed", 0)):
        train(tiny(tmp_path, folders / name, f"name={name}", "vocoder=hifigan" if limit == 0 else "vocoder=none"))
        assert read_header(Home(tmp_path).model(name)).band_limit_hz == pytest.approx(limit, abs=150)
