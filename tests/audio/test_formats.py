"""Every format, rate and depth: what was written is heard again, as long, as fine as it can be, with its words."""

import json
import shutil
import subprocess
import threading

import mutagen
import numpy as np
import pytest
import soundfile

from distillgan.audio import formats
from distillgan.audio.formats import Flac, Mp3, Ogg, Wav, dithered
from distillgan.audio.tags import Tags, append_id3, id3, read_comment
from distillgan.errors import UserError

RATES = (44100, 48000, 96000)
FORMATS = [
    *(Wav(rate, depth) for rate in RATES for depth in (16, 24, "32f")),
    *(Flac(rate, depth) for rate in RATES for depth in (16, 24)),
    *(Ogg(rate, quality) for rate in RATES for quality in (0, 8, 10)),
    *(Mp3(rate, mode, quality) for rate in RATES[:2] for mode, quality in (("cbr", 0), ("vbr", 0), ("vbr", 9))),
]
LONG = json.dumps({"distillgan": "1", "notes": "ünï " * 900, "list": list(range(400))})
TAGS = Tags("Regen – 雨", "Zoë", "rain", "2026-11-24", LONG)


def named(form) -> str:
    return "-".join([form.suffix[1:], *(str(value) for value in vars(form).values())])


def chord(rate: int, seconds: float = 0.7) -> np.ndarray:
    """A different tone in each of two channels, float32 [2, N]."""
    time = np.arange(int(rate * seconds)) / rate
    return (0.3 * np.sin(2 * np.pi * np.array([[1000], [1500]]) * time)).astype(np.float32)


def written(form, tmp_path, wave, tags=TAGS):
    path = tmp_path / f"a{form.suffix}"
    form.write(path, np.split(wave, [0, 1, 1 + wave.shape[1] // 3], axis=1), wave.shape, tags)
    return path


@pytest.mark.parametrize("form", FORMATS, ids=named)
def test_round_trip(tmp_path, form):
    wave = chord(form.sample_rate)
    path = written(form, tmp_path, wave)
    heard, rate = soundfile.read(path, dtype="float64")
    assert rate == form.sample_rate and heard.T.shape == wave.shape
    depth = getattr(form, "depth", None)
    finest = {16: 2.1 * 2**-15, 24: 2**-23, "32f": 0, None: 0.06}[depth]
    ends = 2000 if depth is None else 0  # where a lossy codec hears a click
    assert np.abs(heard.T - wave)[:, ends : wave.shape[1] - ends].max() <= finest
    for channel, hertz in enumerate((1000, 1500)):
        spectrum = np.abs(np.fft.rfft(heard[:, channel] * np.hanning(len(heard)), 1 << 18))
        assert spectrum.argmax() * rate / (1 << 18) == pytest.approx(hertz, abs=1)
    assert read_comment(path) == LONG
    with soundfile.SoundFile(path) as file:
        assert (file.title, file.artist, file.album, file.date) == ("Regen – 雨", "Zoë", "rain", "2026-11-24")


def probed(path) -> dict[str, str]:
    """What ffprobe says of it; the tags of an Ogg file are its stream's."""
    command = ["ffprobe", "-v", "error", "-show_entries", "format_tags:stream_tags", "-of", "json", str(path)]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    tags = found["format"].get("tags", {}) | found["streams"][0].get("tags", {})
    return {key.lower(): text for key, text in tags.items()}


def mutagens(path) -> dict[str, str]:
    tags, names = mutagen.File(path).tags or {}, {name: name for name in vars(TAGS)}
    if path.suffix in (".wav", ".mp3"):
        names = dict(zip(vars(TAGS), ("TIT2", "TPE1", "TALB", "TDRC", "COMM::XXX"), strict=True))
    texts = {name: tags[key] for name, key in names.items() if key in tags}
    return {name: str(text[0] if isinstance(text, list) else text) for name, text in texts.items()}


KINDS = [Wav(44100, 16), Wav(), Wav(44100, "32f"), Flac(), Ogg(), Mp3()]


@pytest.mark.parametrize("form", KINDS, ids=named)
def test_every_reader_finds_the_words_that_were_given(tmp_path, form):
    """Each alone, none and all of them, beside 9 kB of provenance, none, or too much for a WAV's header."""
    words = {name: text for name, text in vars(TAGS).items() if name != "comment"}
    some = [{}, words, *({name: text} for name, text in words.items())]
    for comment in ("", LONG[:9000], 40 * LONG):
        for given in some if len(comment) == 9000 else [words]:
            path = written(form, tmp_path, chord(44100, 0.05), Tags(**given, comment=comment))
            with soundfile.SoundFile(path) as file:
                assert {name: getattr(file, name) for name in words if getattr(file, name)} == given
            assert read_comment(path) == comment
            assert mutagens(path) == given | ({"comment": comment} if comment else {})
        if shutil.which("ffprobe"):
            path = written(form, tmp_path, chord(44100, 0.05), Tags(**words, comment=comment))
            found = probed(path)
            assert {name: found[name] for name in words} == words
            if len(comment) < 20000:
                assert found.get("comment", "") == comment
        if shutil.which("soxi") and form.suffix in (".flac", ".ogg"):
            lines = subprocess.run(["soxi", "-a", str(path)], capture_output=True, text=True, check=True).stdout
            assert {f"{name}={text}".lower() for name, text in words.items()} <= set(lines.lower().splitlines())


def test_the_long_text_stands_last_in_a_wav(tmp_path):
    """Also where it is not the comment: libsndfile reads nothing behind one of 2 kB."""
    for long in ("artist", "comment"):
        words = {"title": "a title", "artist": "Zoë", "date": "2026-11-24", "comment": "short", long: "x" * 9000}
        path = written(Wav(), tmp_path, chord(44100, 0.05), Tags(**words))
        info = path.read_bytes().partition(b"LIST")[2].partition(b"data")[0]
        names = [b"INAM", b"IART", b"ICRD", b"ICMT"]
        assert max(names, key=info.index) == {"artist": b"IART", "comment": b"ICMT"}[long] and b"x" * 9000 in info
        with soundfile.SoundFile(path) as file:
            assert all(getattr(file, name) == text for name, text in words.items() if name != long)


def test_an_ogg_of_any_length_is_encoded_in_blocks(tmp_path):
    """All of it in one block, in a thread with as small a stack as macOS gives: the encoder would overflow it.

    And the file is the same as from blocks as a rendering has them.
    """
    wave = np.random.default_rng(5).uniform(-0.1, 0.1, (1, 150_000)).astype(np.float32)
    before = threading.stack_size(512 * 1024)
    try:
        thread = threading.Thread(target=Ogg().write, args=(tmp_path / "one.ogg", [wave], wave.shape, TAGS))
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    Ogg().write(tmp_path / "many.ogg", np.split(wave, [65536, 131072], axis=1), wave.shape, TAGS)
    one, many = (soundfile.read(tmp_path / name)[0] for name in ("one.ogg", "many.ogg"))
    assert len(one) == 150_000 and (one == many).all()


def test_mp3_is_320_kilobits_constant_and_less_with_quality(tmp_path):
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 44100 * 3)).astype(np.float32)
    info = mutagen.File(written(Mp3(), tmp_path, noise)).info
    assert info.bitrate == 320_000 and info.bitrate_mode == mutagen.mp3.BitrateMode.CBR
    sizes = [written(Mp3(44100, "vbr", quality), tmp_path, noise).stat().st_size for quality in (0, 5, 9)]
    assert sizes == sorted(sizes, reverse=True)
    sizes = [written(Ogg(44100, quality), tmp_path, noise).stat().st_size for quality in (0, 5, 10)]
    assert sizes == sorted(sizes)


def test_dither_makes_of_what_is_below_a_step_noise_and_a_mean(tmp_path):
    """A sine of a third of a step would be silence, or a square wave, without it."""
    time = np.arange(44100 * 4) / 44100
    wave = (np.sin(2 * np.pi * 997 * time) / 3 / 32768).astype(np.float32)[None]
    heard = soundfile.read(written(Wav(44100, 16), tmp_path, wave))[0] * 32768
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard)))) / len(heard) * 4
    tone = 997 * 4
    assert spectrum[tone - 1 : tone + 2].max() == pytest.approx(1 / 3, rel=0.1)
    harmonics = [spectrum[n * tone - 1 : n * tone + 2].max() for n in (2, 3, 5)]
    assert max(harmonics) < 1 / 3 / 10
    # Rounding (1/12) and the triangular noise (1/6) add up to a quarter of a step squared, whatever the sound.
    assert np.var(heard - wave[0] * 32768) == pytest.approx(0.25, rel=0.02)


def test_dither_is_the_same_however_the_sound_comes():
    wave = chord(44100)
    whole = np.concatenate(list(dithered([wave])))
    parts = np.concatenate(list(dithered(np.split(wave, [7, 7, 9000], axis=1))))
    assert (whole == parts).all()


def test_full_scale_is_clipped_and_not_turned_over(tmp_path):
    wave = np.array([[1.5, -1.5, 1.0, -1.0] * 100], np.float32)
    for depth in (16, 24):
        heard = soundfile.read(written(Wav(44100, depth), tmp_path, wave))[0]
        assert (np.sign(heard) == np.sign(wave[0])).all() and np.abs(heard).min() > 0.999
    assert (soundfile.read(written(Wav(44100, "32f"), tmp_path, wave))[0] == wave[0]).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Wav(22050), r"export.sample_rate=22050 must be one of 44100, 48000, 96000 Hz \(.wav\)"),
        (lambda: Mp3(96000), r"export.sample_rate=96000 must be one of 44100, 48000 Hz \(.mp3\)"),
        (lambda: Wav(44100, 12), r"export.depth=12 must be one of 16, 24, 32f bits \(.wav\)"),
        (lambda: Flac(44100, "32f"), r"export.depth=32f must be one of 16, 24 bits \(.flac\)"),
        (lambda: Ogg(44100, 11), "export.quality=11 must be a number from 0 to 10"),
        (lambda: Mp3(44100, "vbr", -1), "export.quality=-1 must be a number from 0 to 9"),
        (lambda: Mp3(44100, "cbr", 3), "export.quality=3 is for export.mode=vbr"),
        (lambda: Mp3(44100, "abr"), r"export.mode=abr must be one of cbr, vbr \(.mp3\)"),
    ],
)
def test_what_a_format_has_not_is_refused(make, words):
    with pytest.raises(UserError, match=words):
        make()


@pytest.mark.parametrize("form", [Wav(), Flac(), Ogg(), Mp3()], ids=named)
def test_a_sound_that_breaks_off_leaves_the_old_file(tmp_path, form):
    path = tmp_path / f"a{form.suffix}"
    path.write_bytes(b"old")
    wave = chord(44100)

    def breaking():
        yield wave[:, :1000]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        form.write(path, breaking(), wave.shape, TAGS)
    with pytest.raises(ValueError, match="1000 samples came, not 1001"):
        form.write(path, [wave[:, :1000]], (2, 1001), TAGS)
    assert path.read_bytes() == b"old" and [item.name for item in tmp_path.iterdir()] == [path.name]


def test_what_no_wav_can_hold_is_an_rf64_file(tmp_path, monkeypatch):
    wave = chord(44100)
    monkeypatch.setattr(formats, "_WAV_BYTES", wave.size * 3 - 1)
    path = written(Wav(), tmp_path, wave)
    assert soundfile.info(path).format == "RF64" and read_comment(path) == LONG
    assert np.abs(soundfile.read(path)[0].T - wave).max() < 2**-23
    assert soundfile.info(written(Wav(44100, 16), tmp_path, wave)).format == "WAV"


def test_more_channels_than_a_file_can_have_are_told(tmp_path):
    with pytest.raises(UserError, match=r"a.wav: cannot be written \("):
        Wav().write(tmp_path / "a.wav", [np.zeros((2000, 10), np.float32)], (2000, 10), TAGS)
    assert not list(tmp_path.iterdir())


def test_words_in_an_rf64(tmp_path):
    path = tmp_path / "a.wav"
    wave = chord(44100)
    with soundfile.SoundFile(path, "w", 44100, 2, "PCM_24", format="RF64") as file:
        file.write(wave.T)
    append_id3(path, TAGS)
    assert read_comment(path) == LONG
    heard, _ = soundfile.read(path)
    assert np.abs(heard.T - wave).max() < 2**-23


def test_without_words_nothing_is_added(tmp_path):
    assert id3(Tags()) == b""
    path = written(Wav(), tmp_path, chord(44100), Tags())
    assert read_comment(path) == "" and b"id3 " not in path.read_bytes()


@pytest.mark.parametrize("cut", [10, 11, 25, 300])
def test_a_tag_that_is_cut_short_is_no_comment_and_no_error(tmp_path, cut):
    path = tmp_path / "a.wav"
    soundfile.write(path, chord(44100).T, 44100)
    tag = id3(TAGS)[:cut]
    with open(path, "ab") as file:
        file.write(b"id3 " + len(tag).to_bytes(4, "little") + tag)
    assert LONG.startswith(read_comment(path))
