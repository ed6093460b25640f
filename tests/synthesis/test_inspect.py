"""The check of a sound: each fault is told, a sound in order is not, and what lies outside the recordings is named."""

import json

import numpy as np
import pytest
from crafted import CPU, MEANS, RATE, SPREAD, write_crafted

from distillgan.features.descriptors import DESCRIPTORS, NAMES, describe, windows_of
from distillgan.synthesis.metadata import Inspector
from distillgan.synthesis.renderer import Model

NOISE = 0.1 * np.random.default_rng(0).standard_normal((1, 5 * RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    return Model.load(write_crafted(tmp_path_factory.mktemp("models"), "rain", sliders=("density",)), CPU).analysis


def inspected(wave, analysis=None, block=10000):
    inspector = Inspector(RATE, analysis)
    blocks = [wave[:, first : first + block] for first in range(0, wave.shape[1], block)]
    through = list(inspector.watch(blocks))
    assert len(through) == len(blocks) and all(a is b for a, b in zip(through, blocks, strict=True))
    return inspector.report()


def test_a_sound_in_order_has_no_warnings_and_its_levels_are_right():
    report = inspected(NOISE)
    assert report.warnings == [] and report.finite and report.clipped == 0 and report.outside == {}
    assert report.rms_db == pytest.approx(-20, abs=0.05)
    assert report.peak_db == pytest.approx(20 * np.log10(np.abs(NOISE).max()), abs=0.01)
    assert report.dc_db < -55
    assert list(report.descriptors) == [name for name in NAMES if name in report.descriptors]
    json.dumps(vars(report), allow_nan=False)


def test_it_does_not_matter_how_it_comes():
    assert inspected(NOISE, block=1000) == inspected(NOISE, block=5 * RATE)


def test_clipped_samples_are_counted():
    wave = NOISE.copy()
    wave[0, 1000:1003], wave[0, 2000] = 1.0, -1.0
    report = inspected(wave)
    assert report.clipped == 4 and report.warnings == ["4 samples are at full scale: the vocoder clips them"]
    wave[0, 1000:1003] = wave[0, 2000] = 0.99
    assert inspected(wave).warnings == []


@pytest.mark.parametrize(("level", "silent"), [(0.0, True), (1e-4, True), (2e-3, False)])
def test_silence(level, silent):
    report = inspected(level * NOISE / NOISE.std())
    assert [words for words in report.warnings if "silent" in words] == report.warnings
    assert bool(report.warnings) == silent
    if silent:
        assert "brightness" not in report.descriptors
    json.dumps(vars(report), allow_nan=False)


def test_a_constant_part():
    report = inspected(NOISE + np.float32(0.01))
    assert report.dc_db == pytest.approx(-40, abs=0.5)
    assert report.warnings == ["it has a constant part of -40 dBFS"]
    assert inspected(NOISE - np.float32(0.01)).warnings == report.warnings


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity(value):
    wave = NOISE.copy()
    wave[0, 100] = value
    report = inspected(wave)
    assert not report.finite and "it has NaN or infinite samples" in report.warnings


def test_no_sound_at_all():
    assert inspected(np.zeros((1, 0), np.float32)).warnings == ["it is all but silent (-180 dBFS)"]


def test_what_lies_outside_the_recordings_is_named_with_both(analysis):
    """White noise: far brighter than 1 kHz, and as dense as a steady sound."""
    report = inspected(NOISE, analysis)
    values = describe(NOISE[0], RATE, windows_of(NOISE.shape[1], RATE))
    for number, item in enumerate(DESCRIPTORS):
        known = values[np.isfinite(values[:, number]), number]
        low, high = analysis.percentiles[number, [0, -1]]
        assert (item.name in report.outside) == (len(known) > 0 and not low <= known.mean() <= high)
        if len(known):
            assert report.descriptors[item.name] == pytest.approx(item.shown(known.mean()), rel=1e-3, abs=1e-3)
    ends = 2.0 ** analysis.percentiles[0, [0, -1]]
    words = report.outside["brightness"]
    assert " Hz, the recordings " in words and f"{ends[0]:.0f} to {ends[1]:.0f}" in words
    assert 8000 < float(words.split()[0]) < 16000
    assert report.warnings == []


def test_what_is_like_the_recordings_is_not_named(analysis):
    """A tone where the recordings' brightness lies."""
    time = np.arange(3 * RATE) / RATE
    tone = (0.1 * np.sin(2 * np.pi * 2.0 ** MEANS[0] * time))[None].astype(np.float32)
    report = inspected(tone, analysis)
    assert "brightness" not in report.outside
    assert abs(np.log2(report.descriptors["brightness"]) - MEANS[0]) < SPREAD[0]


def test_minutes_are_described_in_parts_to_the_same_end():
    rng = np.random.default_rng(1)
    wave = 0.05 * rng.standard_normal((1, 65 * RATE)).astype(np.float32)
    inspector = Inspector(RATE, None)
    for _ in inspector.watch([wave[:, first : first + RATE] for first in range(0, wave.shape[1], RATE)]):
        assert sum(map(len, inspector._waiting)) < 31 * RATE
    found = inspector.report().descriptors
    assert found["brightness"] == pytest.approx(inspected(NOISE).descriptors["brightness"], rel=0.02)


def test_the_levels_are_those_of_the_file():
    """Far away and turned down it is all but silent, however loud it was rendered; what was clipped stays told."""
    inspector, loud = Inspector(RATE, None), 10 * NOISE
    far = [np.concatenate([0.001 * block, 0.0005 * block]) for block in inspector.watch([loud])]
    assert len(list(inspector.placed(far))) == 1
    report = inspector.report(gain_db=-6.0)
    assert report.peak_db == pytest.approx(20 * np.log10(0.001 * np.abs(loud).max()) - 6, abs=0.05)
    assert report.rms_db == pytest.approx(-60 - 6 + 10 * np.log10((1 + 0.25) / 2), abs=0.1)
    assert any("silent" in words for words in report.warnings) and report.clipped > 0
