"""The fast form of a generator: equal to the plain one for every network and length, or not used."""

import copy
import logging

import pytest
import torch

from distillgan.audio.mel import MelSpec
from distillgan.models.vocoders import trained
from distillgan.models.vocoders.harmonic import HarmonicGenerator, HarmonicVocoder
from distillgan.models.vocoders.hifigan import (
    ChannelsLast,
    HiFiGANGenerator,
    HiFiGANVocoder,
    _Convolution,
    folded_taps,
)

NETWORKS = {
    "V2": {},
    "V3's blocks": {"resblock": "2", "resblock_kernel_sizes": (3, 5), "resblock_dilation_sizes": ((1, 2), (2, 6))},
    "other rates": {"upsample_rates": (5, 3, 4), "upsample_kernel_sizes": (11, 3, 8), "upsample_initial_channel": 40},
    "one channel at the end": {
        "upsample_rates": (2, 2, 2),
        "upsample_kernel_sizes": (4, 4, 4),
        "upsample_initial_channel": 8,
        "resblock_kernel_sizes": (11,),
        "resblock_dilation_sizes": ((1, 5),),
    },
    "odd channels": {"upsample_rates": (7,), "upsample_kernel_sizes": (9,), "upsample_initial_channel": 6},
}


def loud(generator: HiFiGANGenerator) -> HiFiGANGenerator:
    """Weights with which the wave is no silence and every tap tells."""
    torch.manual_seed(1)
    for parameter in generator.requires_grad_(False).parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 1
        parameter.normal_(0, fan_in**-0.5 if parameter.dim() > 1 else 0.1)
    return generator.eval()


def mel_of(frames: int, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, 128, frames, generator=torch.Generator().manual_seed(frames)) - 1


@pytest.fixture
def vocoder() -> HiFiGANVocoder:
    return HiFiGANVocoder(loud(HiFiGANGenerator(upsample_initial_channel=32)), MelSpec())


def is_fast(vocoder: HiFiGANVocoder) -> bool:
    vocoder(mel_of(1))
    return isinstance(vocoder._fast._made[1], ChannelsLast)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_plays_the_same_at_every_length(name):
    generator = loud(HiFiGANGenerator(**NETWORKS[name]))
    form = ChannelsLast(generator)
    for frames, batch in ((1, 1), (2, 1), (3, 2), (31, 1)):
        mel = mel_of(frames, batch)
        before, expected = mel.clone(), generator(mel)
        wave = form(mel)
        assert wave.shape == expected.shape and expected.abs().max() > 1e-2
        torch.testing.assert_close(wave, expected, atol=1e-5, rtol=0)
        assert torch.equal(mel, before)


@pytest.mark.parametrize(("channels", "size", "dilation"), [(1, 3, 1), (2, 7, 1), (4, 11, 5), (4, 3, 3), (8, 11, 1)])
def test_a_folded_convolution_is_the_same_convolution(channels, size, dilation):
    conv = torch.nn.Conv1d(channels, channels, size, dilation=dilation, padding=dilation * (size - 1) // 2)
    folded = _Convolution(conv, samples=512)
    assert folded._weight.shape[:2] == (16, 16)
    x = torch.randn(1, channels, 96)
    wave = folded(x[:, :, None]).permute(0, 2, 3, 1).reshape(1, 96, channels).transpose(1, 2)
    torch.testing.assert_close(wave, conv(x), atol=1e-5, rtol=0)


def test_what_would_not_pay_or_not_divide_is_not_folded():
    conv = torch.nn.Conv1d(8, 8, 11, dilation=5, padding=25)
    assert _Convolution(conv, samples=512)._weight.shape == (8, 8, 1, 11)
    narrow = torch.nn.Conv1d(4, 4, 3, padding=1)
    assert _Convolution(narrow, samples=35)._weight.shape == (4, 4, 1, 3)
    assert _Convolution(narrow, samples=6)._weight.shape[:2] == (12, 12)


@pytest.mark.parametrize("name", NETWORKS)
def test_training_has_the_wave_and_the_gradients_of_the_plain_form(name):
    generator = loud(HiFiGANGenerator(**NETWORKS[name])).requires_grad_(True)
    generator.add_weight_norm()
    mel, waves, gradients = mel_of(5, 2), [], []
    pull = torch.randn(2, 1, 5 * generator.hop_length)
    for training in (False, True):
        generator.train(training).zero_grad()
        wave = generator(mel)
        (wave * pull).sum().backward()
        waves.append(wave.detach())
        gradients.append({key: parameter.grad.clone() for key, parameter in generator.named_parameters()})
    assert not torch.equal(*waves), "one form was compared with itself"
    torch.testing.assert_close(*waves, atol=1e-5, rtol=0)
    for key, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][key], gradient, atol=5e-5 * float(gradient.abs().max()), rtol=0)
        assert gradient.any(), key


def test_it_trains_after_it_has_played_in_inference_mode():
    folded_taps.cache_clear()
    generator = HiFiGANGenerator(upsample_initial_channel=32)
    with torch.inference_mode():
        ChannelsLast(generator)(mel_of(2))
    generator(mel_of(2)).sum().backward()
    assert all(parameter.grad is not None for parameter in generator.parameters())


def test_blocks_joined_are_the_whole(vocoder):
    assert is_fast(vocoder)
    mel = mel_of(70)
    for frames in (7, 32, 69, 70, 256):
        torch.testing.assert_close(vocoder.render(mel, frames), vocoder.generator(mel), atol=1e-5, rtol=0)


def test_the_same_samples_each_time_and_with_any_number_of_threads(vocoder):
    mel, before = mel_of(40), torch.get_num_threads()
    try:
        waves = {}
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            waves[threads] = vocoder(mel)
            assert all(torch.equal(vocoder(mel), waves[threads]) for _ in range(3))
            assert torch.equal(copy.deepcopy(vocoder)(mel), waves[threads])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert (waves[1] - waves[2]).abs().max() < 1e-5 and (waves[1] - waves[3]).abs().max() < 1e-5


def test_no_gradients_flow(vocoder):
    assert not vocoder(mel_of(2).requires_grad_()).requires_grad


def test_in_inference_mode_too(vocoder):
    mel = mel_of(5)
    with torch.inference_mode():
        wave = vocoder(mel)
    torch.testing.assert_close(wave.clone(), vocoder.generator(mel), atol=1e-5, rtol=0)


def test_new_weights_are_heard(vocoder):
    mel = mel_of(4)
    old = vocoder(mel)
    vocoder.load_state_dict({key: 0.5 * value for key, value in vocoder.state_dict().items()})
    assert (vocoder(mel) - old).abs().max() > 1e-2
    torch.testing.assert_close(vocoder(mel), vocoder.generator(mel), atol=1e-5, rtol=0)


def test_it_is_made_once(vocoder, monkeypatch):
    made = []
    vocoder._fast = trained.FastForm(lambda generator: made.append(generator) or ChannelsLast(generator))
    for frames in (1, 5, 9, 5):
        vocoder(mel_of(frames))
    assert len(made) == 1


class Wrong(ChannelsLast):
    def __call__(self, mel):
        return super().__call__(mel) + 2e-4


class NotANumber(ChannelsLast):
    def __call__(self, mel):
        return super().__call__(mel) * float("nan")


def failing(generator):
    raise RuntimeError("could not create a primitive\nand more")


@pytest.mark.parametrize(
    ("make", "words"), [(Wrong, "differs by 0.0002"), (NotANumber, "differs by nan"), (failing, "create a primitive")]
)
def test_a_form_that_fails_or_differs_is_not_used_and_that_is_said_once(vocoder, caplog, make, words):
    vocoder._fast = trained.FastForm(make)
    mel = mel_of(3)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            assert torch.equal(vocoder(mel), vocoder.generator(mel))
    (record,) = caplog.records
    assert words in record.getMessage() and "and more" not in record.getMessage()
    assert record.levelno == logging.INFO


@pytest.mark.parametrize(("name", "words"), [("machine", "not been measured on riscv64"), ("library", "oneDNN")])
def test_elsewhere_the_plain_form_plays(vocoder, caplog, monkeypatch, name, words):
    if name == "machine":
        monkeypatch.setattr(trained.platform, "machine", lambda: "riscv64")
    else:
        monkeypatch.setattr(trained.torch.backends.mkldnn, "is_available", lambda: False)
    with caplog.at_level(logging.INFO):
        assert not is_fast(vocoder)
    assert words in caplog.text


def test_other_precisions_play_plainly(vocoder):
    wave = vocoder.double()(mel_of(3).double())
    assert wave.dtype == torch.float64 and vocoder._fast._made[1] is None


def test_a_generator_without_a_fast_form_stays_as_it_is(caplog):
    generator = HarmonicGenerator(channels=16, layers=1)
    vocoder, mel = HarmonicVocoder(generator, MelSpec()), mel_of(4)
    with caplog.at_level(logging.INFO):
        assert torch.equal(vocoder(mel), generator(mel))
    assert not caplog.records


def test_state_and_parameters_are_the_generators_alone(vocoder):
    keys = {f"generator.{key}" for key in vocoder.generator.state_dict()}
    assert is_fast(vocoder)
    assert vocoder.state_dict().keys() == keys and len(list(vocoder.parameters())) == len(keys)
