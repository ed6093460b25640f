"""The demo corpus: its instruments keep their physics, its clips are fit to train on, its writing is safe."""

import os
import shutil
from itertools import combinations, pairwise

import numpy as np
import pytest
import soundfile
from scipy import signal

from distillgan.data import demo
from distillgan.data import demo as demo_instruments
from distillgan.data.demo import SAMPLE_RATE, write_demo_corpus
from distillgan.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "corpus"
    write_demo_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def clips(folder):
    """File name → [C, N]."""
    return {path.name: soundfile.read(path, always_2d=True)[0].T for path in folder.glob("*.flac")}


def cents(hz, reference):
    return 1200 * np.log2(hz / reference)


def spectrum(sound):
    """Hz [F] and dB below the peak [F], zero-padded to a quarter of a hertz or finer."""
    size = 1 << max(18, len(sound).bit_length())
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), size)) ** 2
    return np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 10 * np.log10(power / power.max() + 1e-20)


def loudest_near(sound, hz):
    """Frequency of the strongest partial within a semitone and a half of `hz`."""
    f, level = spectrum(sound)
    near = np.abs(cents(np.maximum(f, 1e-3), hz)) < 150
    return f[near][level[near].argmax()]


def centroid(clip):
    power = np.abs(np.fft.rfft(clip.mean(0))) ** 2
    return np.sum(np.fft.rfftfreq(clip.shape[1], 1 / SAMPLE_RATE) * power) / power.sum()


def colour(clip):
    """Mean and spread over time of the level in 24 bands from 60 Hz to 16 kHz, [48] in dB below the loudest."""
    f, _, power = signal.spectrogram(clip.mean(0), SAMPLE_RATE, nperseg=4096)
    edges = np.geomspace(60, 16000, 25)
    bands = np.stack([power[(f >= low) & (f < high)].sum(0) for low, high in pairwise(edges)])
    level = 10 * np.log10(bands / bands.max() + 1e-8)
    return np.concatenate([level.mean(1), level.std(1)])


def test_same_bytes_in_two_folders(folder, tmp_path):
    for path in write_demo_corpus(tmp_path):
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


def test_files_are_twelve_flacs_of_three_to_six_seconds(folder):
    paths = write_demo_corpus(folder)
    assert paths == sorted(folder.glob("*.flac")) and len(paths) == 12
    infos = [soundfile.info(path) for path in paths]
    assert all(info.samplerate == 44100 and info.format == "FLAC" and info.subtype == "PCM_24" for info in infos)
    assert all(3 <= info.duration <= 6 for info in infos)
    assert sorted({info.channels for info in infos}) == [1, 2]
    assert 2 <= sum(info.channels == 2 for info in infos) <= 3


def test_clips_are_finite_audible_unclipped_and_end_in_silence(clips):
    for name, clip in clips.items():
        peak = 20 * np.log10(np.abs(clip).max())
        assert np.isfinite(clip).all(), name
        assert -12.1 <= peak <= -0.9, f"{name}: {peak:.1f} dBFS"
        assert 20 * np.log10(clip.std()) > -35, name
        assert np.abs(clip.mean(1)).max() < 1e-3, name
        assert np.abs(clip[:, [0, -1]]).max() < 1e-4, name
        assert np.abs(clip[:, -44:]).max() < 1e-2, name
    assert len({round(20 * np.log10(np.abs(clip).max())) for clip in clips.values()}) >= 4


def test_stereo_clips_are_stereo(clips):
    for clip in (clip for clip in clips.values() if len(clip) == 2):
        assert np.corrcoef(clip)[0, 1] < 0.95


def test_brightness_spans_octaves_and_no_two_clips_are_alike(clips):
    centroids = [centroid(clip) for clip in clips.values()]
    assert np.log2(max(centroids) / min(centroids)) > 4
    colours = {name: colour(clip) for name, clip in clips.items()}
    for one, other in combinations(colours, 2):
        distance = np.sqrt(np.square(colours[one] - colours[other]).mean())
        assert distance > 5, f"{one} and {other} are {distance:.1f} dB apart"


@pytest.mark.parametrize("hz", [82.41, 220.0, 329.63, 659.26])
@pytest.mark.parametrize("brightness", [0.5, 0.85])
def test_plucked_string_is_in_tune(hz, brightness):
    string = demo_instruments.pluck(np.random.default_rng(0), hz, 2.0, 3.0, brightness, 0.13)
    assert abs(cents(loudest_near(string[4410:], hz), hz)) < 3


def test_plucked_string_loses_treble_first_and_dies_in_its_t60():
    string = demo_instruments.pluck(np.random.default_rng(0), 196.0, 2.0, 1.5, 0.7, 0.13)
    early, late = string[2205:13230], string[22050:33075]
    assert centroid(late[None]) < 0.7 * centroid(early[None])
    fall = 20 * np.log10(string[33075:44100].std() / string[66150:77175].std())
    assert fall == pytest.approx(60 * 0.75 / 1.5, abs=3)


@pytest.mark.parametrize("ratios", [demo_instruments.CHURCH_BELL, demo_instruments.FREE_BAR])
def test_struck_bodies_have_their_inharmonic_partials(ratios):
    sound = demo_instruments.strike(np.random.default_rng(0), 440.0, ratios, 4.0, 0.8)
    f, level = spectrum(sound[4410:])
    peaks = f[signal.find_peaks(level, height=-60, prominence=10)[0]]
    for ratio in (ratio for ratio in ratios if ratio < 4.5):
        assert np.abs(cents(peaks, 440 * ratio)).min() < 3, ratio
    multiples = peaks / peaks[0]
    assert np.abs(multiples - np.round(multiples)).max() > 0.15


def test_free_bar_follows_euler_and_bernoulli():
    roots = np.array([3.0112, 5, 7, 9, 11])  # of cosh(πx/2)·cos(πx/2) = 1
    assert np.allclose(demo_instruments.FREE_BAR, (roots / roots[0]) ** 2, rtol=1e-3)


@pytest.mark.parametrize("radius", [0.002, 0.006, 0.015])
def test_bubble_starts_at_minnaerts_pitch_and_rises(radius):
    sound = demo_instruments.bubble(radius, 0.1)
    phase = np.unwrap(np.angle(signal.hilbert(sound)))
    pitch = np.diff(phase) * SAMPLE_RATE / (2 * np.pi)
    tenths = np.array([part.mean() for part in np.array_split(pitch, 10)])
    assert abs(cents(tenths[0], 3.26 / radius)) < 120
    assert (np.diff(tenths[:8]) > 0).all()
    assert cents(tenths[7], tenths[0]) > 300


def test_tone_does_not_fold_over_nyquist():
    t = demo_instruments.timeline(1.0)
    f, level = spectrum(demo_instruments.tone(np.full_like(t, 1900.0), 0.99))
    between = np.abs(f / 1900 - np.round(f / 1900)) > 0.02
    assert level[between & (f > 1000)].max() < -70


def test_carve_moves_a_band_through_noise():
    noise = np.random.default_rng(0).standard_normal(2 * SAMPLE_RATE)
    moved = demo_instruments.carve(noise, lambda f, t: np.exp(-0.5 * ((f - 1000 * (1 + t)) / 50) ** 2))
    assert len(moved) == len(noise)
    assert centroid(moved[None, : SAMPLE_RATE // 10]) == pytest.approx(1050, rel=0.05)
    assert centroid(moved[None, -SAMPLE_RATE // 10 :]) == pytest.approx(2950, rel=0.05)


def test_vowels_sound_at_their_formants():
    t = demo_instruments.timeline(1.0)
    source = demo_instruments.tone(np.full_like(t, 70.0), 0.98)
    bright = {vowel: centroid(demo_instruments.sing(source, vowel)[None]) for vowel in "oa"}
    assert bright["o"] < bright["a"]
    f, level = spectrum(demo_instruments.sing(source, "i"))
    valley, second = level[(f > 900) & (f < 1100)].max(), level[(f > 1780) & (f < 1960)].max()
    assert second > valley + 6


def test_room_keeps_the_dry_sound_and_dies_in_its_t60():
    click = np.zeros((2, 2 * SAMPLE_RATE))
    click[:, 0] = 1.0
    tail = demo_instruments.room(np.random.default_rng(0), click, 1.5, 0.5, bright=1.0) - click
    assert np.sqrt(np.square(tail).mean() / np.square(click).mean()) == pytest.approx(0.5, rel=1e-6)
    assert abs(np.corrcoef(tail)[0, 1]) < 0.1
    fall = 20 * np.log10(tail[:, 4410:13230].std() / tail[:, 48510:57330].std())
    assert fall == pytest.approx(60 / 1.5, abs=2)


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def state(folder):
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_a_whole_corpus_is_left_untouched(copy):
    before = state(copy)
    write_demo_corpus(copy)
    assert state(copy) == before


@pytest.mark.parametrize("harm", ["missing", "torn"])
def test_one_harmed_clip_is_written_anew_and_the_others_stay(folder, copy, harm):
    name = "07_bubbles.flac"
    if harm == "missing":
        (copy / name).unlink()
    else:
        (copy / name).write_bytes((folder / name).read_bytes()[:5000])
    before = state(copy)
    write_demo_corpus(copy)
    assert (copy / name).read_bytes() == (folder / name).read_bytes()
    assert {file for file, at in state(copy).items() if at != before.get(file)} == {name}


def test_an_interrupted_first_write_is_completed(folder, tmp_path, monkeypatch):
    few = ("06_wind.flac", "07_bubbles.flac", "09_beating_drone.flac")
    monkeypatch.setattr(demo, "FILES", {name: demo.FILES[name] for name in few})
    shutil.copy(folder / few[0], tmp_path)
    assert write_demo_corpus(tmp_path) == [tmp_path / name for name in few]
    assert all((tmp_path / name).read_bytes() == (folder / name).read_bytes() for name in few)


def test_an_unreadable_marker_is_no_obstacle(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "FILES", {"07_bubbles.flac": demo.FILES["07_bubbles.flac"]})
    for nonsense in (b"", b"\xff\xfe", b"[1, 2]", b"3"):
        (tmp_path / ".demo-v1").write_bytes(nonsense)
        (path,) = write_demo_corpus(tmp_path)
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_disk_trouble_is_told_and_leaves_the_old_clip_and_no_litter(copy, tmp_path, monkeypatch):
    occupied = tmp_path / "file"
    occupied.touch()
    with pytest.raises(UserError, match="could not be written"):
        write_demo_corpus(occupied)

    def full(*_):
        raise OSError(28, "No space left on device")

    (copy / "07_bubbles.flac").write_bytes(b"old")
    before = sorted(copy.iterdir())
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="disk is full"):
        write_demo_corpus(copy)
    assert (copy / "07_bubbles.flac").read_bytes() == b"old"
    assert sorted(copy.iterdir()) == before
