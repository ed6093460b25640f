"""Files with several channels: what is learnt of each kind of them, and that sound never becomes silence."""

import numpy as np
import pytest
import soundfile as sf

from distillgan.data.downmix import Layout, chosen, downmix
from distillgan.data.manifest import Manifest
from distillgan.data.scan import scan
from distillgan.errors import UserError

RATE = 44100


def tone(hz, seconds=1.0, amplitude=0.25):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)


def tones(count, **options):
    """As many tones, of 500 Hz and its multiples: [N, count]."""
    return np.stack([tone(500 * number, **options) for number in range(1, count + 1)], 1)


def amplitudes(wave, count):
    """Of the tones of `tones`."""
    spectrum = 2 * np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) / np.hanning(len(wave)).sum()
    return np.array([spectrum[round(500 * number * len(wave) / RATE)] for number in range(1, count + 1)])


@pytest.fixture
def load(tmp_path):
    def load_it(samples, name="x.wav", channels="mix", **options):
        """Write [N, C] and scan it → the manifest, and each used sound [N] before its gain."""
        (tmp_path / "in").mkdir(exist_ok=True)
        options = options or ({"subtype": "FLOAT"} if name.endswith("wav") else {})
        sf.write(tmp_path / "in" / name, samples, RATE, **options)
        manifest = scan(tmp_path / "in", tmp_path / "cache", channels=channels)
        clips = manifest.clips(tmp_path / "cache")
        return manifest, [clip.read(0, clip.length) / np.float32(clip.gain) for clip in clips]

    return load_it


def test_surround_is_mixed_by_the_standard(load):
    """ITU-R BS.775-3, table 2, 1/0: front -3 dB, centre 0 dB, surround -6 dB, no low effects."""
    manifest, (wave,) = load(tones(6), "x.flac", subtype="PCM_24")
    heard = amplitudes(wave, 6)
    np.testing.assert_allclose(heard / heard[2], [0.5**0.5, 0.5**0.5, 1, 0, 0.5, 0.5], atol=2e-3)
    assert heard[2] == pytest.approx(0.25 / (1 + 2 * 0.5**0.5 + 1), rel=1e-3)  # equal channels would keep their level
    assert manifest.used[0].note == "5.1: mixed by ITU-R BS.775 without low effects"


@pytest.mark.parametrize(
    ("layout", "weights"),
    [
        (("FL", "FR", "BL", "BR"), (0.5**0.5, 0.5**0.5, 0.5, 0.5)),
        (("FL", "FR", "FC", "BC"), (0.5**0.5, 0.5**0.5, 1, 0.5**0.5)),
        (("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"), (0.5**0.5, 0.5**0.5, 1, 0, 0.5, 0.5, 0.5, 0.5)),
        (("FL", "FC", "FR", "BL", "BR", "LFE"), (0.5**0.5, 1, 0.5**0.5, 0.5, 0.5, 0)),  # in another order
    ],
)
def test_other_layouts_follow_the_standard(layout, weights):
    mixed = downmix(Layout(layout), len(layout), "mix").weights
    np.testing.assert_allclose(mixed, np.array(weights) / sum(weights))


@pytest.mark.parametrize("name", ["forest-ambi.wav", "forest.amb"])
def test_a_sound_field_gives_its_omnidirectional_channel(load, name):
    manifest, (wave,) = load(tones(4), name, format="WAV", subtype="FLOAT")
    np.testing.assert_allclose(amplitudes(wave, 4), [0.25, 0, 0, 0], atol=1e-3)
    assert manifest.used[0].note.startswith("ambisonic: its omnidirectional channel W")


def test_channels_of_which_nobody_says_what_they_are_give_their_mean(load):
    manifest, (wave,) = load(tones(4))
    np.testing.assert_allclose(amplitudes(wave, 4), [0.0625] * 4, atol=1e-3)
    assert manifest.used[0].note.startswith("4 channels, nothing says of what: their mean is learnt")


def test_many_tracks_that_know_nothing_of_each_other_do_not_cancel(load):
    rng = np.random.default_rng(0)
    manifest, _ = load(0.1 * rng.standard_normal((RATE, 16)))
    assert "cancel" not in manifest.used[0].note


@pytest.mark.parametrize(("choice", "kept"), [("first", 0), ("1", 0), ("3", 2), ("left", 0), ("right", 1), ("6", 5)])
def test_one_channel_is_taken_as_it_is(load, choice, kept):
    samples = tones(6)
    manifest, (wave,) = load(samples, channels=choice)
    np.testing.assert_array_equal(wave.round(5), samples[:, kept].astype(np.float32).round(5))
    assert manifest.used[0].note == ""


def test_left_is_where_the_layout_says(load):
    order = Layout(("FC", "FL", "FR"))
    assert [downmix(order, 3, side).only for side in ("left", "right")] == [1, 2]
    assert downmix(Layout(("FC",)), 1, "right").weights == (1.0,)  # mono is both


@pytest.mark.parametrize(
    ("channels", "name", "choice", "words"),
    [
        (2, "x.wav", "3", "no channel for data.channels=3: it has 2 channels"),
        (1, "x.wav", "2", "no channel for data.channels=2: it has 1 channel"),
        (4, "x-ambi.wav", "left", r"no channel for data.channels=left: it has 4 channels \(ambisonic\)"),
        (6, "x.flac", "7", r"it has 6 channels \(5.1\)"),
    ],
)
def test_a_file_without_such_a_channel_is_skipped_and_says_so(load, channels, name, choice, words):
    with pytest.raises(UserError, match=words):
        load(tones(channels), name, channels=choice)


def test_each_channel_is_a_recording(load, tmp_path):
    samples = np.concatenate([tones(3), np.zeros((RATE, 1)), tones(1)], 1)
    manifest, waves = load(samples, channels="each")
    assert [entry.name for entry in manifest.entries] == [f"x.wav, channel {number}" for number in range(1, 6)]
    for number, wave in enumerate(waves):
        np.testing.assert_allclose(wave, samples[:, number], atol=1e-6)
    silent, same = manifest.skipped
    assert silent.reason.startswith("silent") and same.reason == "duplicate: sounds the same as x.wav, channel 1"
    manifest.save(tmp_path / "manifest.json")
    assert Manifest.load(tmp_path / "manifest.json") == manifest
    # One that has but one channel is itself.
    sf.write(tmp_path / "in" / "mono.wav", tone(700), RATE)
    again = scan(tmp_path / "in", tmp_path / "cache", channels="each")
    assert again.used[0].name == "mono.wav"
    # What was decoded for one choice is not taken for another.
    assert len(scan(tmp_path / "in", tmp_path / "cache").used) == 2
    assert scan(tmp_path / "in", tmp_path / "cache", channels="each") == again


def test_the_channels_of_a_file_are_held_out_together(tmp_path):
    (tmp_path / "in").mkdir()
    rng = np.random.default_rng(1)
    for number in range(10):
        sf.write(tmp_path / "in" / f"{number}.wav", 0.1 * rng.standard_normal((4410, 3)), RATE, subtype="FLOAT")
    manifest = scan(tmp_path / "in", tmp_path / "cache", channels="each")
    held_out = [entry.path for entry in manifest.used if entry.split == "held_out"]
    assert len(held_out) == 6 and len(set(held_out)) == 2
    assert not {entry.path for entry in manifest.used if entry.split == "train"} & set(held_out)


@pytest.mark.parametrize("value", ["middle", 0, -1, True, 1.5, None, "", "1e3", [1]])
def test_what_is_no_choice(value):
    with pytest.raises(UserError, match=r"data.channels=.* must be mix, first, left, right, each, or the number"):
        chosen(value)


def test_choices():
    assert [chosen(value) for value in ("mix", "Each", 2, "12")] == ["mix", "each", "2", "12"]


# --- channels that cancel for a while


def partly_inverted(wave, *spans):
    """Stereo of one sound, whose right channel is upside down in the spans (s)."""
    right = wave.copy()
    for first, last in spans:
        right[round(first * RATE) : round(last * RATE)] *= -1
    return np.stack([wave, right], 1)


def loudness(wave, first, last):
    part = wave[round(first * RATE) : round(last * RATE)]
    return 20 * np.log10(np.sqrt(np.mean(np.square(part))) + 1e-9)


@pytest.mark.parametrize("spans", [[(2.0, 4.0)], [(0.0, 1.0)], [(3.13, 3.43)], [(4.5, 6.0)], [(1.0, 1.5), (4.0, 4.6)]])
def test_a_part_that_cancels_is_heard(load, spans):
    wave = 0.1 * np.random.default_rng(2).standard_normal(6 * RATE)
    manifest, (mixed,) = load(partly_inverted(wave, *spans))
    for at in np.arange(0, 5.95, 0.05):  # nowhere silence, and nowhere louder
        assert loudness(mixed, at, at + 0.05) == pytest.approx(loudness(wave, at, at + 0.05), abs=0.3)
    np.testing.assert_allclose(mixed, wave, atol=1e-4)
    note = manifest.used[0].note
    first, last = spans[0]
    assert note.startswith("its channels cancel out from ") and note.endswith(": the strongest alone there")
    said = [float(word) for word in note.removeprefix("its channels cancel out from ").split(" s")[0].split(" to ")]
    assert said == pytest.approx([first, last], abs=0.11)
    assert ("and in 1 more part" in note) == (len(spans) == 2)


def test_the_change_of_mix_makes_no_click(load):
    rng = np.random.default_rng(3)
    low = np.convolve(rng.standard_normal(6 * RATE), np.hanning(400) / 200, "same")  # nothing over 400 Hz
    low *= 0.2 / np.abs(low).max()
    left, right = low, 0.5 * low
    right[2 * RATE : 4 * RATE] *= -1
    left[2 * RATE : 4 * RATE] *= 0.5  # there they cancel, elsewhere they differ in level
    _, (mixed,) = load(np.stack([left, right], 1))
    steps = np.abs(np.diff(mixed))
    own = np.abs(np.diff(left)).max()
    inside = np.r_[
        slice(round(1.5 * RATE), 2 * RATE - 2), slice(2 * RATE + 2, 4 * RATE - 2), slice(4 * RATE + 2, 5 * RATE)
    ]
    assert steps[inside].max() < 1.1 * own


def test_a_wide_recording_is_mixed_throughout(load):
    rng = np.random.default_rng(4)
    mid, side = 0.05 * rng.standard_normal((2, 3 * RATE))
    manifest, (mixed,) = load(np.stack([mid + 1.7 * side, mid - 1.7 * side], 1))
    np.testing.assert_allclose(mixed, mid, atol=1e-6)
    assert manifest.used[0].note == ""


def test_sound_on_the_low_effects_alone_is_no_silence(load):
    samples = np.zeros((RATE, 6))
    samples[:, 3] = tone(60)
    manifest, (wave,) = load(samples, "x.flac")
    np.testing.assert_allclose(wave, samples[:, 3], atol=1e-4)
    assert "the mix of its channels is silent: channel 4 is used alone" in manifest.used[0].note


# --- offsets


def db(ratio):
    return 20 * np.log10(ratio)


@pytest.mark.parametrize("seconds", [0.06, 0.3, 2.0, 5.03])
@pytest.mark.parametrize("shape", [1, 2])
def test_an_offset_is_no_sound(load, seconds, shape):
    quiet = 0.003 * np.random.default_rng(5).standard_normal((round(seconds * RATE), shape))
    quiet -= quiet.mean(0)
    plain, (before,) = load(quiet)
    shifted, (after,) = load(quiet + np.array([0.5, -0.3])[:shape])
    np.testing.assert_allclose(after, before, atol=2e-6)
    assert shifted.used[0].gain_db == pytest.approx(plain.used[0].gain_db, abs=0.02) and plain.used[0].gain_db > 25
    assert shifted.used[0].note.startswith("a DC offset of -6 dBFS is taken away") and "DC" not in plain.used[0].note


@pytest.mark.parametrize("seconds", [0.06, 1.0, 3.0])
def test_nothing_but_an_offset_is_silence(load, seconds):
    with pytest.raises(UserError, match="silent: there is nothing but a DC offset of -6 dBFS"):
        load(np.full(round(seconds * RATE), 0.5))


def test_channels_that_cancel_but_for_their_offset(load):
    wave = 0.1 * np.random.default_rng(6).standard_normal(2 * RATE)
    manifest, (mixed,) = load(np.stack([wave + 0.2, 0.2 - wave], 1))
    np.testing.assert_allclose(np.abs(mixed), np.abs(wave - wave.mean()), atol=1e-5)  # of either channel
    assert "DC offset" in manifest.used[0].note and "cancel" in manifest.used[0].note


def test_an_offset_that_comes_later_goes_too(load):
    """Over a second it rises to 0.4 and stays: what is left of it is quieter than the sound, and bass is as it was."""
    seconds = np.arange(8 * RATE) / RATE
    wave = 0.05 * np.sin(2 * np.pi * 25 * seconds) + 0.02 * np.sin(2 * np.pi * 440 * seconds)
    manifest, (after,) = load(wave + 0.4 * np.clip(seconds - 3, 0, 1))
    left_over = after - wave
    assert np.abs(left_over[RATE : 2 * RATE]).max() < 1e-3 and np.abs(left_over[6 * RATE :]).max() < 1e-3
    assert db(np.abs(left_over).max() / 0.4) < -18
    bass = np.abs(np.fft.rfft(np.stack([wave, after])[:, : 8 * RATE]))[:, 25 * 8]
    assert db(bass[1] / bass[0]) == pytest.approx(0, abs=0.02)
    assert "DC offset" in manifest.used[0].note


@pytest.mark.parametrize("hz", [18.0, 30.0, 55.0])
def test_bass_and_blows_are_no_offset(load, hz):
    seconds = np.arange(round(0.7 * RATE)) / RATE
    blow = np.exp(-8 * seconds) * np.sin(2 * np.pi * hz * seconds)  # its mean is not 0
    manifest, (wave,) = load(0.8 * blow)
    np.testing.assert_allclose(wave, 0.8 * blow, atol=2e-7)
    assert "DC" not in manifest.used[0].note
