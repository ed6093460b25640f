"""A spectrogram's axes are what they say: Hz where the tone is, dB as it is loud, seconds; to be read on any ground."""

import matplotlib.colors
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from distillgan.audio.mel import MelSpec, MelSpectrogram, to_log1p
from distillgan.audio.picture import RANGE_DB, decibels, draw_mels, show_decibels

SPEC = MelSpec()
RATE = SPEC.sample_rate


def tones(*hertz: float, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return 0.3 * np.sin(2 * np.pi * np.array(hertz)[:, None] * time).sum(0)


def mel_of(wave: np.ndarray) -> torch.Tensor:
    return to_log1p(MelSpectrogram(SPEC)(torch.from_numpy(wave.astype(np.float32))[None])[0], SPEC)


def ticks(axis) -> dict[str, float]:
    return dict(zip((label.get_text() for label in axis.get_yticklabels()), axis.get_yticks(), strict=True))


def test_a_frequency_lies_at_its_band():
    """In the middle of the bands by the filters themselves, those that are wider than the bins of the spectrum."""
    bank = MelSpectrogram(SPEC).bank.numpy()
    bins = np.arange(bank.shape[1]) * RATE / SPEC.n_fft
    for band in range(40, 128):
        assert SPEC.band_of((bank[band] * bins).sum() / bank[band].sum()) == pytest.approx(band, abs=0.3)
    assert (SPEC.band_of(0), SPEC.band_of(22050)) == pytest.approx((-1, 128))


@pytest.mark.parametrize(("label", "hertz"), [("100", 100), ("1k", 1000), ("2k", 2000), ("10k", 10000)])
def test_a_tone_is_drawn_beside_its_number(label, hertz):
    axis = draw_mels([{"": mel_of(tones(hertz))}], "", SPEC).axes[0]
    image = axis.images[0].get_array()
    assert int(image.mean(1).argmax()) == pytest.approx(ticks(axis)[label], abs=0.6)
    assert axis.get_ylabel() == "Hz" and axis.get_xlabel() == "seconds"
    assert axis.get_xlim() == pytest.approx((0, 1), abs=0.02) and axis.get_ylim() == (-0.5, 127.5)


def test_numbers_do_not_touch_whatever_the_mel():
    for spec in (SPEC, MelSpec(16000, 1024, 256, 64, 0, 8000), MelSpec(f_min=40, f_max=16000), MelSpec(n_mels=80)):
        axis = Figure().subplots()
        show_decibels(axis, np.zeros((spec.n_mels, 10)), spec, spec.frame_rate)
        places = sorted(ticks(axis).values())
        low, high = axis.get_ylim()
        assert {"100", "1k"} <= set(ticks(axis)) and low <= places[0] and places[-1] <= high
        assert min(np.diff(places)) >= 0.069 * (high - low) and len(places) >= 5


def test_colours_are_decibels_under_the_loudest_of_the_row():
    loud, soft, silent = (mel_of(gain * tones(1000)) for gain in (1, 0.1, 0))
    levels = decibels([soft, loud, silent], SPEC)
    assert levels[1].max() == pytest.approx(0, abs=1e-4) and levels[0].max() == pytest.approx(-20, abs=0.05)
    assert (levels[2] < -RANGE_DB).all(), "silence is dark, and no warning of its logarithm"
    assert (decibels([silent], SPEC)[0] < -RANGE_DB).all()
    figure = draw_mels([{"a": loud, "b": soft}, {"a": soft, "b": soft}], "two", SPEC)
    bars = [axis for axis in figure.axes if axis.get_ylabel() == "dB"]
    assert len(bars) == 2 and bars[0].get_ylim() == (-RANGE_DB, 0)
    first, second = (figure.axes[n].images[0].get_array().max() for n in (1, 2))
    assert (first, second) == pytest.approx((-20, 0), abs=0.05), "each row has its own"


def luminance(colour) -> float:
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_letter_is_read_on_white_and_on_black():
    """Contrast as WCAG counts it: 3 for what is large or a graphic, on either ground."""
    figure = draw_mels([{"a": mel_of(tones(1000)), "b": mel_of(tones(100))}], "title", SPEC)
    texts = [*figure.texts]
    for axis in figure.axes:
        assert axis.patch.get_alpha() == 0
        texts += [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.get_xticklabels(), *axis.get_yticklabels()]
    shown = [text for text in texts if text.get_text()]
    assert len(shown) > 15 and figure.patch.get_alpha() == 0
    for text in shown:
        grey = luminance(matplotlib.colors.to_rgb(text.get_color()))
        assert 1.05 / (grey + 0.05) > 3 and (grey + 0.05) / 0.05 > 3, text
