"""A spectrogram's axes are what they say: Hz where the tone is, dB as it is loud, seconds; to be read on any ground."""

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from distillgan.audio.mel import MelSpec, MelSpectrogram, to_log1p
from distillgan.audio.picture import GREY, RANGE_DB, coloured, decibels, draw_mels, hertz_ticks, panels

SPEC = MelSpec()
RATE = SPEC.sample_rate


def tones(*hertz: float, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return 0.3 * np.sin(2 * np.pi * np.array(hertz)[:, None] * time).sum(0)


def mel_of(wave: np.ndarray) -> torch.Tensor:
    return to_log1p(MelSpectrogram(SPEC)(torch.from_numpy(wave.astype(np.float32))[None])[0], SPEC)


def test_a_frequency_lies_at_its_band():
    """In the middle of the bands by the filters themselves, those that are wider than the bins of the spectrum."""
    bank = MelSpectrogram(SPEC).bank.numpy()
    bins = np.arange(bank.shape[1]) * RATE / SPEC.n_fft
    for band in range(40, 128):
        assert SPEC.band_of((bank[band] * bins).sum() / bank[band].sum()) == pytest.approx(band, abs=0.3)
    assert (SPEC.band_of(0), SPEC.band_of(22050)) == pytest.approx((-1, 128))


@pytest.mark.parametrize(("label", "hertz"), [("100", 100), ("1k", 1000), ("2k", 2000), ("10k", 10000)])
def test_a_tone_is_drawn_beside_its_number(label, hertz):
    rows = [{"": mel_of(tones(hertz))}]
    panel, image = panels(rows, SPEC, SPEC.frame_rate)[0][0], np.asarray(draw_mels(rows, "", SPEC)).astype(float)
    left, top, right, bottom = panel.box
    brightest = image[top:bottom, left:right, :3].sum(2).mean(1).argmax()
    assert top + brightest + 0.5 == pytest.approx(panel.hertz[label], abs=1.5)
    assert panel.seconds["0"] == left and panel.seconds["0.8"] == pytest.approx(left + 0.8 * (right - left), abs=5)


def test_a_click_is_drawn_at_its_second():
    wave = np.zeros(4 * RATE)
    wave[3 * RATE] = 1
    rows = [{"": mel_of(wave)}]
    panel, image = panels(rows, SPEC, SPEC.frame_rate)[0][0], np.asarray(draw_mels(rows, "", SPEC)).astype(float)
    left, top, right, bottom = panel.box
    assert left + image[top:bottom, left:right, :3].sum(2).mean(0).argmax() == pytest.approx(panel.seconds["3"], abs=4)


def test_numbers_do_not_touch_whatever_the_mel_and_however_long_the_sound():
    for spec in (SPEC, MelSpec(16000, 1024, 256, 64, 0, 8000), MelSpec(f_min=40, f_max=16000), MelSpec(n_mels=80)):
        ticks = hertz_ticks(spec)
        places = sorted(ticks.values())
        assert {"100", "1k"} <= set(ticks) and places[0] >= -0.5 and places[-1] <= spec.n_mels - 0.5
        assert min(np.diff(places)) >= 0.069 * spec.n_mels and len(places) >= 5
    for seconds in (0.1, 1, 9.7, 60, 3600, 86400):
        panel = panels([{"": torch.zeros(128, 100)}], SPEC, 100 / seconds)[0][0]
        places = list(panel.seconds.values())
        assert 2 <= len(places) <= 8 and min(np.diff(places)) > 50 and places[-1] <= panel.box[2]


def test_colours_are_decibels_under_the_loudest_of_the_row():
    loud, soft, silent = (mel_of(gain * tones(1000)) for gain in (1, 0.1, 0))
    levels = decibels([soft, loud, silent], SPEC)
    assert levels[1].max() == pytest.approx(0, abs=1e-4) and levels[0].max() == pytest.approx(-20, abs=0.05)
    assert (levels[2] < -RANGE_DB).all(), "silence is dark, and no warning of its logarithm"
    assert (decibels([silent], SPEC)[0] < -RANGE_DB).all()
    first, second = panels([{"a": loud, "b": soft}, {"a": soft, "b": soft}], SPEC, SPEC.frame_rate)
    assert (first[1].levels.max(), second[0].levels.max()) == pytest.approx((-20, 0), abs=0.05), "each row has its own"


def test_the_colours_are_magma():
    levels = np.linspace(-RANGE_DB - 10, 10, 500)
    theirs = matplotlib.colormaps["magma"]((levels / RANGE_DB + 1).clip(0, 1))[:, :3] * 255
    assert np.abs(coloured(levels) - theirs).max() < 6


def luminance(colour) -> float:
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_letter_is_read_on_white_and_on_black():
    """Contrast as WCAG counts it: 3 for what is large or a graphic, on either ground."""
    grey = luminance(matplotlib.colors.to_rgb(GREY))
    assert 1.05 / (grey + 0.05) > 3 and (grey + 0.05) / 0.05 > 3
    rows = [{"a": mel_of(tones(1000)), "b": mel_of(tones(100))}]
    image = np.asarray(draw_mels(rows, "title", SPEC))
    for panel in panels(rows, SPEC, SPEC.frame_rate)[0]:
        left, top, right, bottom = panel.box
        assert (image[top:bottom, left:right, 3] == 255).all()
    beside = image[:, : panels(rows, SPEC, SPEC.frame_rate)[0][0].box[0]]
    drawn = beside[beside[..., 3] > 0]
    assert len(drawn) > 100 and (drawn[:, :3] == Image.new("RGB", (1, 1), GREY).getpixel((0, 0))).all()
    assert (image[0, :, 3] == 0).all(), "the ground is what it lies on"
