"""A file is as loud as it is asked to be, under its ceiling, however its blocks came; what is short is told."""

import math
import re
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from distillgan.audio.formats import Wav
from distillgan.audio.loudness import measure
from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.synthesis.export import Exported, LoudnessMeter, Target, export

SPEC = MelSpec()
RATE = SPEC.sample_rate


def noise(seconds: float, channels: int = 1, rate: int = RATE, level: float = 0.03) -> np.ndarray:
    """Coloured noise in bursts, float32 [C, N]: nothing above 0.4 of the rate, where meters differ."""
    count = round(seconds * rate)
    spectrum = np.fft.rfft(np.random.default_rng(3).standard_normal((channels, count)))
    place = np.arange(spectrum.shape[1]) / count
    wave = np.fft.irfft(spectrum * (place < 0.4) / np.sqrt(np.maximum(place, 1e-3)), count)
    gate = np.where(np.sin(2 * np.pi * 0.7 * np.arange(count) / rate) > -0.3, 1, 0.02)
    return (level * gate * wave / wave.std()).astype(np.float32)


def clicks(seconds: float) -> np.ndarray:
    """Quiet, with high peaks that lie between the samples."""
    wave = 0.002 * np.random.default_rng(4).standard_normal((1, round(seconds * RATE)))
    wave[:, 4000::9000] = wave[:, 4001::9000] = 0.4
    return wave.astype(np.float32)


_AS_RENDERED = Target()


def exported(wave, folder, target=_AS_RENDERED, rate=RATE, block=3000, name="a", depth=24) -> Exported:
    blocks = (wave[:, first : first + block] for first in range(0, wave.shape[1], block))
    return export(blocks, SPEC, folder, name, Wav(rate, depth), target=target)


def metered(wave) -> LoudnessMeter:
    meter = LoudnessMeter(RATE, len(wave))
    meter.add(wave)
    return meter


def loudness(path) -> float:
    """As FFmpeg has it: a mono file is one channel."""
    found = measure(path)
    return found.lufs - (10 * math.log10(2) if found.shape[0] == 1 else 0)


@pytest.mark.parametrize("wish", [-23, -16.5])
@pytest.mark.parametrize(("channels", "rate"), [(1, 44100), (2, 48000)])
def test_it_is_as_loud_as_asked_for(tmp_path, wish, channels, rate):
    wave = noise(2, channels)
    made = exported(wave, tmp_path, Target(wish, -1.0), rate)
    assert loudness(made.path) == pytest.approx(wish, abs=0.01) == made.level.lufs
    assert made.level.short_lu == 0 and made.level.true_peak_db <= -1 and not made.level.warnings()
    assert made.gain_db == pytest.approx(wish - loudness(exported(wave, tmp_path, Target(), rate).path), abs=0.01)


def test_the_ceiling_stands_above_the_wish_and_what_is_short_is_told(tmp_path):
    made = exported(clicks(2), tmp_path, Target(-16.0, -1.5), depth="32f")
    heard = soundfile.read(made.path, dtype="float32", always_2d=True)[0].T
    again = Target().level(metered(heard))
    assert again.true_peak_db == pytest.approx(-1.5, abs=0.002) and again.true_peak_db <= -1.5 + 1e-5
    assert np.abs(heard).max() < 10 ** (-1.6 / 20), "its peaks lie between the samples"
    assert made.level.short_lu == pytest.approx(-16 - loudness(made.path), abs=0.01) and made.level.short_lu > 5
    assert made.level.warnings() == [f"{made.level.short_lu:.1f} LU under -16 LUFS, where its peaks reach the ceiling"]
    assert made.level.to_dict()["short_lu"] == pytest.approx(made.level.short_lu, abs=0.005)
    # One gain for the whole: it is the same wave.
    wave = clicks(2)
    assert np.abs(heard - np.float32(made.level.gain) * wave).max() == 0


@pytest.mark.parametrize("rate", [44100, 48000])
def test_however_the_blocks_come_the_samples_are_the_same(tmp_path, rate):
    wave = noise(1.5)
    files = [exported(wave, tmp_path, Target(-20.0, -1.0), rate, block, depth="32f") for block in (70000, 512, 4410)]
    assert len({(made.level.gain, made.digest) for made in files}) == 1
    assert len({soundfile.read(made.path, dtype="float32")[0].tobytes() for made in files}) == 1


def test_off_leaves_it_under_a_true_ceiling_and_without_one_it_is_as_it_was_to_the_bit(tmp_path):
    wave, over = noise(0.6), 5 * clicks(0.6)
    assert exported(wave, tmp_path, Target.of("off", -1)).level.gain == 1
    assert Target.of("off", -1) == Target.of(False, -1.0), "YAML takes the word for false"
    ceiling = exported(over, tmp_path, Target.of("off", -1)).level
    assert ceiling.true_peak_db == pytest.approx(-1, abs=0.002) and ceiling.asked_lufs is None and not ceiling.short_lu
    for sound in (wave, over):
        made = exported(sound, tmp_path, Target.of("off", None), depth="32f")
        was = min(1.0, 10 ** (-1 / 20) / float(np.abs(sound).max()))
        heard = soundfile.read(made.path, dtype="float32", always_2d=True)[0].T
        assert np.array_equal(heard, sound * np.float32(was)) and made.gain_db == 20 * math.log10(was)
    assert Target.of("off", None) == Target()


def test_silence_and_what_is_short(tmp_path):
    made = exported(np.zeros((1, 4410), np.float32), tmp_path, Target(-16, -1))
    assert made.level.gain == 1 and made.level.warnings() == [
        "under -70 LUFS it has no loudness, and is not brought to -16 LUFS"
    ]
    assert made.level.to_dict()["lufs"] is made.level.to_dict()["true_peak_db"] is None
    # Shorter than a gating block it is measured as a whole.
    short = noise(0.2)
    made = exported(short, tmp_path, Target(-23, -1))
    assert loudness(made.path) == pytest.approx(-23, abs=0.01) and measure(made.path).short


def test_as_the_recordings_means_as_they_are_heard():
    assert Target.of("source", -1, 2, -20.0).lufs == -20 and Target.of("source", -1, 1, -20.0).lufs == -23.01
    assert Target.of("source", -1, 2, -20.0).setting == -20 and Target.of("off", -1).setting == "off"
    unknown = Target.of("source", -1, 1, None)
    assert unknown.lufs is None and unknown.setting == "off" and "nothing is known" in unknown.note
    assert unknown.level(metered(noise(0.5))).warnings() == [unknown.note]


@pytest.mark.parametrize("value", ["loud", 23, -71, True, None, math.nan, [1]])
def test_a_loudness_that_is_none_is_refused(value):
    with pytest.raises(UserError, match=re.escape(f"export.loudness={value} must be ")):
        Target.of(value, -1)


@pytest.mark.parametrize("value", ["high", 0.5, -21, False, math.inf])
def test_a_peak_that_is_none_is_refused(value):
    with pytest.raises(UserError, match=re.escape(f"export.peak={value} must be a number from -20 to 0")):
        Target.of("source", value)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="compares with ffmpeg")
@pytest.mark.parametrize(
    ("seconds", "rate", "channels", "wish"),
    [(0.5, 44100, 1, -23), (7, 44100, 2, -16), (7, 48000, 1, -30), (0.5, 48000, 2, -3), (2, 96000, 2, -23)],
)
def test_ffmpeg_measures_the_same(tmp_path, seconds, rate, channels, wish):
    made = exported(noise(seconds, channels), tmp_path, Target(wish, -1), rate)
    command = ["ffmpeg", "-nostats", "-i", made.path, "-af", "ebur128=peak=true", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr.partition("Summary:")[2]
    lufs, peak = (float(re.search(rf"{key}:\s+(-?[\d.]+) (LUFS|dBFS)", said)[1]) for key in ("I", "Peak"))
    assert lufs == pytest.approx(made.level.lufs, abs=0.1) and peak == pytest.approx(made.level.true_peak_db, abs=0.1)
    assert made.level.lufs == pytest.approx(wish, abs=0.01) or made.level.short_lu > 0
