"""What is exported opens in the tools that musicians use, and they read what it is: rate, bits, length, title."""

import json
import shutil
import subprocess
import wave

import pytest
from placed import noise, placed, spatial

from distillgan.audio.formats import Wav
from distillgan.audio.mel import MelSpec
from distillgan.audio.tags import Tags
from distillgan.synthesis.export import export

SECONDS = 0.3
DEPTHS = (16, 24, "32f")
PLACES = {"mono": 1, "stereo": 2, "binaural": 2}


def said(*command) -> str:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """(place, depth) → a WAV that was exported, with 9 kB of what made it."""
    folder, found = tmp_path_factory.mktemp("opens"), {}
    for place in PLACES:
        sound = placed(spatial(place), noise(SECONDS), noise(SECONDS, 1))
        for depth in DEPTHS:
            made = export(
                [sound], MelSpec(), folder, f"{place} {depth}", Wav(48000 if depth == 24 else 44100, depth),
                lambda title, **_: Tags(title, "Zoë", "rain", "2026-11-24", json.dumps(["x" * 9000])),
            )  # fmt: skip
            found[place, depth] = made.path
    return found


def expected(place: str, depth) -> tuple[int, int, int, int]:
    """Channels, Hz, bits, samples."""
    rate = 48000 if depth == 24 else 44100
    return PLACES[place], rate, int(str(depth).removesuffix("f")), round(SECONDS * rate)


def test_python_reads_what_is_pcm(files):
    """Python 3.11's `wave` knows the plain PCM header alone."""
    for (place, depth), path in files.items():
        if depth != "32f":
            with wave.open(str(path)) as file:
                found = file.getnchannels(), file.getframerate(), 8 * file.getsampwidth(), file.getnframes()
                assert found == expected(place, depth)
                assert any(file.readframes(1000)), "there is sound"


def test_the_headers_are_the_plainest_there_are(files):
    """RIFF, no RF64; `fmt ` of 16 bytes, PCM or floats, with no extension; samples before the ID3 tag."""
    for (_, depth), path in files.items():
        data = path.read_bytes()
        assert data[:4] == b"RIFF" and int.from_bytes(data[4:8], "little") == len(data) - 8
        assert data[12:20] == b"fmt \x10\0\0\0" and data[20:22] == (b"\3\0" if depth == "32f" else b"\1\0")
        assert data.index(b"data") < data.index(b"id3 ")


@pytest.mark.skipif(not shutil.which("ffprobe"), reason="there is no ffprobe")
def test_ffprobe_reads_it(files):
    for (place, depth), path in files.items():
        entries = "stream=codec_name,sample_rate,channels,bits_per_sample,duration_ts:format_tags"
        found = json.loads(said("ffprobe", "-v", "error", "-show_entries", entries, "-of", "json", path))
        stream, tags = found["streams"][0], found["format"]["tags"]
        numbers = stream["channels"], int(stream["sample_rate"]), stream["bits_per_sample"], stream["duration_ts"]
        assert numbers == expected(place, depth)
        assert stream["codec_name"] == {16: "pcm_s16le", 24: "pcm_s24le", "32f": "pcm_f32le"}[depth]
        words = tags["title"], tags["artist"], tags["album"], tags["date"]
        assert words == (path.stem, "Zoë", "rain", "2026-11-24") and len(tags["comment"]) > 9000


@pytest.mark.skipif(not shutil.which("soxi"), reason="there is no sox")
def test_sox_reads_it(files):
    for (place, depth), path in files.items():
        found = tuple(int(said("soxi", option, path)) for option in ("-c", "-r", "-b", "-s"))
        assert found == expected(place, depth)
        assert said("soxi", "-e", path) == ("Floating Point PCM" if depth == "32f" else "Signed Integer PCM")
