"""The one mel: equal to the release's, true in pitch and level, and the same whichever of its two forms is seen."""

from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from distillgan.audio.mel import (
    MelSpec,
    MelSpectrogram,
    from_log1p,
    log1p_to_log_clamp,
    slaney_filters,
    to_log1p,
    to_log_clamp,
)
from distillgan.errors import UserError

REFERENCE = Path(__file__).parents[1] / "reference" / "bigvgan" / "mel_44k_128.safetensors"
SPEC = MelSpec()
RATE, HOP = SPEC.sample_rate, SPEC.hop_length


@pytest.fixture(scope="module")
def mel():
    return MelSpectrogram(SPEC)


@pytest.fixture(scope="module")
def reference():
    return load_file(REFERENCE)


def slaney_centres() -> np.ndarray:
    """Centre frequencies in Hz by the formula of Slaney's Auditory Toolbox: linear to 1 kHz, then logarithmic."""
    step, knee, log_step = 200 / 3, 15, np.log(6.4) / 27
    top = knee + np.log(22050 / 1000) / log_step
    position = np.linspace(0, top, 130)
    return np.where(position < knee, position * step, 1000 * np.exp((position - knee) * log_step))[1:-1]


def tone(hertz: float, seconds: float = 0.5, amplitude: float = 0.5) -> torch.Tensor:
    return (amplitude * torch.sin(2 * torch.pi * hertz * torch.arange(int(RATE * seconds)) / RATE))[None]


def test_equals_the_release(mel, reference):
    ours = to_log_clamp(mel(reference["audio"]))
    assert ours.shape == reference["log_mel"].shape == (1, 128, 172)
    assert (ours - reference["log_mel"]).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("n_fft", "bands", "rate", "low", "high"),
    [
        (2048, 128, 44100, 0, 22050),
        (2048, 64, 44100, 0, 22050),
        (1024, 40, 16000, 0, 8000),
        (1024, 20, 22050, 50, 9000),
    ],
)
def test_the_filters_are_triangles_of_area_one_as_librosas(n_fft, bands, rate, low, high):
    filters = slaney_filters(n_fft // 2 + 1, bands, rate, low, high)
    theirs = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=bands, fmin=low, fmax=high)
    assert filters.shape == (bands, n_fft // 2 + 1)
    assert (filters - torch.from_numpy(theirs)).abs().max() < 1e-5 * theirs.max()
    area = filters.sum(1) * rate / n_fft
    assert (area[bands // 2 :] - 1).abs().max() < 0.05  # lower bands fall between the bins


def test_batches_and_channels(mel, reference):
    waves = torch.stack([reference["audio"][0, :20000], reference["audio"][0, 20000:40000]])
    together = mel(waves)
    assert torch.allclose(together, mel(waves.unsqueeze(1)))
    assert torch.allclose(together[1:], mel(waves[1:]), atol=1e-6)


@pytest.mark.parametrize("samples", [769, 1023, 1024, 1535, 44100, 44100 + 511, 512 * 40])
def test_a_frame_for_each_whole_hop(mel, samples):
    assert mel(torch.randn(2, samples)).shape == (2, 128, samples // HOP)


@pytest.mark.parametrize("hertz", [100, 440, 1000, 3000, 10000])
def test_a_tone_peaks_in_its_band(mel, hertz):
    centres = slaney_centres()
    spectrum = mel(tone(hertz))[0, :, 10:-10].mean(1)
    # Area normalisation favours the narrower of two bands; the tone lies between the peak's neighbours all the same.
    peak = int(spectrum.argmax())
    assert centres[max(peak - 1, 0)] < hertz < centres[peak + 1]
    if hertz == 1000:
        assert peak == np.abs(centres - hertz).argmin()


def test_linear_in_amplitude(mel, reference):
    wave = reference["audio"]
    loud = mel(wave)
    quiet = mel(wave / 10)
    heard = loud > 0.01  # far above sqrt(1e-9), the floor of the magnitude
    assert heard.float().mean() > 0.3
    assert torch.allclose(quiet[heard] * 10, loud[heard], rtol=1e-3)


def test_a_hop_later_is_a_frame_later(mel):
    wave = torch.randn(1, 30 * HOP, generator=torch.Generator().manual_seed(1)) * 0.1
    shifted = torch.cat([torch.zeros(1, HOP), wave], 1)
    here, later = mel(wave), mel(shifted)
    assert torch.allclose(later[..., 4:-3], here[..., 3:-3], atol=1e-5)
    assert not torch.allclose(later[..., 4:-3], here[..., 4:-2], atol=1e-2)


def test_gradient_is_that_of_finite_differences():
    mel = MelSpectrogram(SPEC).double()
    rng = torch.Generator().manual_seed(2)
    wave = torch.randn(1, 2048, generator=rng, dtype=torch.float64) * 0.1
    weights = torch.randn(1, 128, 4, generator=rng, dtype=torch.float64)
    wave.requires_grad_()
    (to_log1p(mel(wave), SPEC) * weights).sum().backward()
    for place in (0, 5, 700, 1024, 2047):
        step = torch.zeros_like(wave)
        step[0, place] = 1e-6
        with torch.no_grad():
            up, down = ((to_log1p(mel(wave + sign * step), SPEC) * weights).sum() for sign in (1, -1))
        assert float(wave.grad[0, place]) == pytest.approx(float(up - down) / 2e-6, rel=1e-4)


def test_silence_has_a_finite_gradient(mel):
    wave = torch.zeros(1, 4096, requires_grad=True)
    to_log_clamp(mel(wave)).sum().backward()
    assert torch.isfinite(wave.grad).all()


@pytest.mark.parametrize("samples", [1, 768])
def test_too_short(mel, samples):
    with pytest.raises(ValueError, match=f"{samples} samples are too few for a mel: more than 768 are needed"):
        mel(torch.zeros(1, samples))


def test_forms():
    mel = torch.tensor([0.0, 1e-6, 1e-5, 1e-3, 1.0, 20.0])
    assert to_log1p(mel, SPEC)[0] == 0
    assert torch.allclose(to_log1p(mel, SPEC).double(), torch.log(1 + 1000 * mel.double()))
    clamped = [np.log(1e-5)] * 3 + [np.log(1e-3), 0.0, np.log(20)]
    assert torch.allclose(to_log_clamp(mel), torch.tensor(clamped, dtype=torch.float32), atol=1e-6)


def test_log1p_form_turns_back():
    mel = torch.cat([torch.zeros(1), torch.logspace(-6, 1.3, 10000)])
    assert torch.allclose(from_log1p(to_log1p(mel, SPEC), SPEC), mel, rtol=2e-6, atol=1e-12)
    assert (from_log1p(torch.tensor([-3.0, -1e-6]), SPEC) == 0).all()


@pytest.mark.parametrize("gain", [1.0, 1000.0])
def test_the_adapter_is_exact(gain):
    spec = MelSpec(log1p_gain=gain)
    x = torch.linspace(0, 10, 100001)
    exact = torch.log(torch.clamp(torch.expm1(x.double()) / gain, min=1e-5))
    assert (log1p_to_log_clamp(x, spec) - exact).abs().max() < 1e-5


def test_mel_by_either_road_is_the_same(mel, reference):
    true = mel(reference["audio"])
    edges = torch.tensor([0.0, 1e-8, 9.99e-6, 1e-5, 1.001e-5, 2e-5])  # silence, below, at and above the floor
    for linear in (true, edges, torch.logspace(-8, 1.3, 10000)):
        assert (log1p_to_log_clamp(to_log1p(linear, SPEC), SPEC) - to_log_clamp(linear)).abs().max() < 1e-5


@pytest.mark.parametrize("frequencies", [(1000,), (261.63, 329.63, 392.0, 523.25)], ids=["1 kHz", "C major"])
def test_a_sound_keeps_pitch_and_time_through_the_adapter(mel, frequencies):
    begin = 512 * 40
    wave = torch.nn.functional.pad(sum(tone(frequency, amplitude=0.2) for frequency in frequencies), (begin, 0))
    direct = to_log_clamp(mel(wave))[0]
    adapted = log1p_to_log_clamp(to_log1p(mel(wave), SPEC), SPEC)[0]
    assert (adapted - direct).abs().max() < 1e-5
    centres = torch.from_numpy(librosa.mel_frequencies(130, fmin=0, fmax=22050)[1:-1])
    band = adapted[:, 60]
    for frequency in frequencies:
        # The band around the tone stands out; those two further on either side do not hold it.
        nearest = int((centres - frequency).abs().argmin())
        around = band[nearest - 1 : nearest + 2].max()
        assert around > band.max() - 1.5 and around > band[nearest + 30] + 4
    # Half of a window reaches back from the onset: 1024 samples, two frames.
    loud = (adapted.max(0).values > adapted.max() - 3).nonzero().flatten()
    assert 38 <= loud[0] <= 41


@pytest.mark.parametrize("samples", [769, 5000, 512 * 20, 512 * 20 + 1, 44100])
@pytest.mark.parametrize("block", [1, 7, 4096])
def test_a_long_wave_in_blocks_equals_the_whole(mel, samples, block):
    wave = torch.randn(samples, generator=torch.Generator().manual_seed(samples))
    filled = torch.nn.functional.pad(wave, (0, -samples % 512))

    def read(start: int, count: int) -> np.ndarray:
        assert start >= 0 and count <= (block + 3) * 512
        return filled[start : start + count].numpy()

    made = mel.of_long(read, samples, block)
    whole = mel(filled[None])[0]
    assert made.shape == whole.shape == (128, -(-samples // 512))
    assert torch.allclose(made, whole, atol=1e-6, rtol=1e-5)


def test_a_long_wave_that_is_too_short(mel):
    with pytest.raises(ValueError, match="1 samples are too few for a mel"):
        mel.of_long(lambda start, count: np.zeros(count, np.float32), 1)


def test_below_silence_is_the_floor():
    x = torch.tensor([-5.0, -1e-3, 0.0])
    assert torch.allclose(log1p_to_log_clamp(x, SPEC), torch.full((3,), float(np.log(1e-5))))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"hop_length": 0}, "mel.hop_length=0 must be between 1 and mel.n_fft=2048"),
        ({"hop_length": 4096}, "mel.hop_length=4096 must be between 1 and mel.n_fft=2048"),
        ({"hop_length": 441}, "mel.hop_length=441 and mel.n_fft=2048 must both be even or both be odd"),
        ({"f_min": -1}, "mel.f_min=-1 and mel.f_max=22050 Hz must be ordered and at most half of"),
        ({"f_min": 500, "f_max": 400}, "mel.f_min=500 and mel.f_max=400 Hz must be ordered"),
        ({"sample_rate": 22050}, "at most half of mel.sample_rate=22050"),
        ({"f_max": float("nan")}, "mel.f_max=nan"),
        ({"n_mels": 0}, "mel.n_mels=0 must be at least 1"),
        ({"log1p_gain": 0}, "mel.log1p_gain=0 must be a positive number"),
        ({"log1p_gain": float("nan")}, "mel.log1p_gain=nan must be a positive number"),
    ],
)
def test_impossible_specs(values, words):
    with pytest.raises(UserError, match=words):
        MelSpec(**values)


def test_an_odd_pair_keeps_a_frame_a_hop():
    spec = MelSpec(n_fft=1023, hop_length=255, n_mels=40)
    for samples in (255 * 7 - 1, 255 * 7, 255 * 7 + 1):
        assert MelSpectrogram(spec)(torch.randn(1, samples)).shape[-1] == samples // 255


def test_fields_are_of_their_type():
    spec = MelSpec(sample_rate=44100.0, f_min=0)
    assert type(spec.sample_rate) is int and type(spec.f_min) is float and spec == SPEC
    assert SPEC.frame_rate == pytest.approx(86.1328, abs=1e-4)


def test_a_configuration_must_say_whole_numbers_where_they_are():
    values = SPEC.to_dict()
    assert MelSpec.from_config(values) == SPEC
    with pytest.raises(UserError, match=r"mel.hop_length=512.5 must be a whole number"):
        MelSpec.from_config({**values, "hop_length": 512.5})
    with pytest.raises(UserError, match=r"mel.f_max=high must be a number"):
        MelSpec.from_config({**values, "f_max": "high"})


def test_a_mismatch_names_both_specs():
    other = MelSpec(n_mels=80)
    SPEC.require(MelSpec(), "a", "b")
    with pytest.raises(UserError) as caught:
        SPEC.require(other, "model rain", "the vocoder")
    text = str(caught.value)
    assert "the mel of model rain and of the vocoder differ" in text
    assert f"model rain: {SPEC}" in text and f"the vocoder: {other}" in text


def test_a_spec_as_a_dict():
    assert MelSpec.from_dict(MelSpec(n_mels=80).to_dict()) == MelSpec(n_mels=80)
    values = SPEC.to_dict()
    for wrong in ({k: v for k, v in values.items() if k != "n_fft"}, {**values, "power": 2}, {}):
        with pytest.raises(UserError, match=r"mel spec has the fields .*, expected .*n_fft"):
            MelSpec.from_dict(wrong)
