"""Loudness as ITU-R BS.1770-4 and EBU Tech 3341 define it, whatever the blocks, and two sounds brought to one."""

import math
import re

import numpy as np
import pytest
import soundfile as sf

from distillgan.audio.loudness import Meter, k_weighting, measure
from distillgan.errors import UserError
from distillgan.store.comparison import gains_db, match


def tone(db, seconds, rate=48000, frequency=1000.0, channels=2):
    wave = 10 ** (db / 20) * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)
    return np.tile(wave.astype(np.float32), (channels, 1))


def lufs(wave, rate=48000, block=None, dual_mono=True):
    meter = Meter(rate, len(wave), dual_mono)
    for first in range(0, wave.shape[1], block or wave.shape[1]):
        meter.add(wave[:, first : first + (block or wave.shape[1])])
    return meter.lufs()


def test_the_filters_are_the_standards():
    """Tables 1 and 2 of Annex 1, at 48 kHz."""
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1, -1.69065929318241, 0.73248077421585]
    high_pass = [1, -2, 1, 1, -1.99004745483398, 0.99007225036621]
    assert k_weighting(48000) == pytest.approx(np.array([shelf, high_pass]), abs=1e-9)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(-23, 20)], -23),  # test signal 1
        ([(-33, 20)], -33),  # 2
        ([(-36, 10), (-23, 60), (-36, 10)], -23),  # 3: the relative gate
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23),  # 4: both gates
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23),  # 5
    ],
)
def test_signals_of_tech_3341(parts, expected):
    assert lufs(np.concatenate([tone(db, seconds) for db, seconds in parts], 1)) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("rate", [22050, 44100, 96000, 192000])
def test_the_rate_makes_no_difference(rate):
    for frequency in (50, 1000, 5000):
        expected = lufs(tone(-23, 5, 48000, frequency))
        assert lufs(tone(-23, 5, rate, frequency), rate) == pytest.approx(expected, abs=0.1)


def test_blocks_make_no_difference_and_a_step_is_a_step():
    wave = np.random.default_rng(1).uniform(-0.2, 0.2, (2, 48000 * 3)).astype(np.float32)
    whole = lufs(wave)
    assert lufs(wave, block=1009) == pytest.approx(whole, abs=1e-9)
    assert lufs(0.5 * wave) == pytest.approx(whole - 20 * math.log10(2), abs=1e-4)


def test_a_mono_sound_is_as_loud_as_the_same_on_both_channels():
    assert lufs(tone(-20, 2, channels=1)) == pytest.approx(lufs(tone(-20, 2, channels=2)), abs=1e-9)
    assert lufs(tone(-20, 2, channels=1), dual_mono=False) == pytest.approx(-23.0, abs=0.02), "as the standard has it"
    one_side = tone(-20, 2)
    one_side[1] = 0
    assert lufs(one_side) == pytest.approx(lufs(tone(-20, 2)) - 3.01, abs=0.01)


def test_silence_and_short_sounds():
    assert lufs(np.zeros((2, 48000), np.float32)) == -math.inf
    assert lufs(tone(-75, 3)) == -math.inf
    assert lufs(np.zeros((1, 0), np.float32), block=1) == -math.inf
    assert lufs(tone(-23, 0.39)) == pytest.approx(-23, abs=0.3)


@pytest.fixture
def files(tmp_path):
    def write(*waves, rate=48000, subtype="FLOAT"):
        paths = tuple(tmp_path / f"{number}.wav" for number in range(len(waves)))
        for path, wave in zip(paths, waves, strict=True):
            sf.write(path, wave.T, rate, subtype)
        return paths, (tmp_path / "out" / "a.wav", tmp_path / "out" / "b.wav")

    return write


def test_two_sounds_are_brought_to_the_quieter_one(files):
    sounds, copies = files(tone(-12, 3), tone(-30, 2, channels=1))
    matched = match(sounds, copies)
    assert matched.gains_db == (pytest.approx(-18, abs=0.05), 0)
    first, second = map(measure, copies)
    assert first.lufs == pytest.approx(second.lufs, abs=0.01) and matched.lufs == pytest.approx(first.lufs, abs=0.01)
    assert (first.shape, second.shape) == ((2, 144000), (1, 96000))
    assert [sf.info(copy).subtype for copy in copies] == ["PCM_24", "PCM_24"]
    wave, copy = (sf.read(path, dtype="float32")[0] for path in (sounds[1], copies[1]))
    assert np.abs(wave - copy).max() < 2**-23  # nothing but the gain


def test_peaks_stay_under_a_decibel(files):
    """A click is quiet and has a high peak: what is loud is turned down to it, and both further."""
    click = tone(-40, 2)
    click[:, 48000] = 1.0
    sounds, copies = files(tone(-20, 2), click)
    matched = match(sounds, copies)
    peaks = [20 * math.log10(measure(copy).peak) for copy in copies]
    assert max(peaks) == pytest.approx(-1, abs=0.001) and matched.gains_db[1] == pytest.approx(-1, abs=0.001)
    assert measure(copies[0]).lufs == pytest.approx(measure(copies[1]).lufs, abs=0.05)


def test_peaks_over_full_scale_are_turned_down(files):
    (loud, other), copies = files(tone(6, 2), tone(6, 2, frequency=300))
    assert max(gains_db(measure(loud), measure(other))) == pytest.approx(-7, abs=0.5)
    match((loud, other), copies)
    assert max(measure(copy).peak for copy in copies) == pytest.approx(10 ** (-1 / 20), abs=1e-4)


def test_what_has_no_loudness_is_told(files, tmp_path):
    broken = tone(-20, 1)
    broken[0, 500] = np.nan
    (good, silent, short, many, nan), copies = files(
        tone(-20, 1), np.zeros((1, 48000)), tone(-20, 0.1), np.tile(tone(-20, 1), (2, 1)), broken
    )
    assert match((good, short), copies).loudness[1].short and not measure(good).short
    for path, words in (
        (silent, "silent (under -70 LUFS)"),
        (many, "4 channels"),
        (nan, "NaN or infinite samples"),
        (tmp_path / "none.wav", "unreadable: no such file"),
    ):
        with pytest.raises(UserError, match=f"{re.escape(str(path))}: {re.escape(words)}"):
            match((good, path), copies)
