"""A render that is broken off leaves a valid file or nothing at all, and a long one needs no more memory."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile

from distillgan.audio.formats import Wav
from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.synthesis.export import export

SPEC = MelSpec()
RATE = SPEC.sample_rate


def noise(seed: int, samples: int = 2205) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (1, samples)).astype(np.float32)


def breaking_off(error: BaseException, blocks: int) -> Iterator[np.ndarray]:
    """So many blocks of 0.05 s, then the error."""
    yield from map(noise, range(blocks))
    raise error


@pytest.mark.parametrize("rate", [44100, 48000])
def test_ctrl_c_leaves_the_beginning_as_a_valid_file(tmp_path, rate):
    made = export(breaking_off(KeyboardInterrupt(), 5), SPEC, tmp_path, "a", Wav(rate))
    assert made.interrupted and made.seconds == 0.25
    assert sorted(os.listdir(tmp_path)) == ["a.png", "a.wav"]
    heard, read_rate = soundfile.read(made.path)
    assert (read_rate, len(heard)) == (rate, rate // 4)
    if rate == RATE:
        assert np.abs(heard - np.concatenate([noise(seed)[0] for seed in range(5)])).max() < 2**-23


def test_ctrl_c_at_any_moment_leaves_whole_blocks(tmp_path):
    """A true signal, mostly in the midst of analysing and writing."""
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))

    def blocks() -> Iterator[np.ndarray]:
        timer.start()
        yield from map(noise, range(1_000_000))

    made = export(blocks(), SPEC, tmp_path, "a", Wav(44100))
    heard = soundfile.read(made.path)[0]
    assert made.interrupted and len(heard) % 2205 == 0
    assert np.abs(heard - np.concatenate([noise(seed)[0] for seed in range(len(heard) // 2205)])).max() < 2**-23


@pytest.mark.parametrize("blocks", [0, 1])
def test_too_early_a_ctrl_c_leaves_nothing(tmp_path, blocks):
    with pytest.raises(KeyboardInterrupt):
        export(breaking_off(KeyboardInterrupt(), blocks), SPEC, tmp_path, "a", Wav(44100))
    assert os.listdir(tmp_path) == []


def test_a_second_ctrl_c_leaves_nothing(tmp_path):
    timer = threading.Timer(0.03, os.kill, (os.getpid(), signal.SIGINT))

    def blocks() -> Iterator[np.ndarray]:
        second = noise(0, RATE)
        for _ in range(60):
            yield second
        timer.start()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(blocks(), SPEC, tmp_path, "a", Wav(48000))
    timer.join()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), UserError("the model"), SystemExit(1)])
def test_any_other_exception_leaves_nothing(tmp_path, error):
    with pytest.raises(type(error)) as caught:
        export(breaking_off(error, 5), SPEC, tmp_path, "a", Wav(44100))
    assert caught.value is error and os.listdir(tmp_path) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_what_is_no_number_is_refused_with_its_time(tmp_path, value, rate):
    broken = noise(0, RATE)
    broken[0, 20000] = value
    with pytest.raises(UserError, match=r"a\.wav: not written, after 2\.0 s the sound has NaN or infinite samples"):
        export([noise(1, RATE), noise(2, RATE), broken], SPEC, tmp_path, "a", Wav(rate))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ([], "there is no sound to write"),
        ([np.zeros((1, 0), np.float32)], "there is no sound to write"),
        ([np.zeros(100, np.float32)], "a block must be [C, n], not [100]"),
        ([np.zeros((0, 9), np.float32)], "a block must be [C, n], not [0, 9]"),
        ([np.zeros((1, 9), np.float32), np.zeros((2, 9), np.float32)], "a block must be [1, n], not [2, 9]"),
    ],
)
def test_what_is_no_sound_is_refused(tmp_path, blocks, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        export(blocks, SPEC, tmp_path, "a", Wav(44100))
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_is_refused_before_anything_is_rendered(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    blocks = iter([noise(0), noise(1)])
    with pytest.raises(UserError, match=r"file.audio cannot be written \(.*\): choose another paths\.home"):
        export(blocks, SPEC, tmp_path / "file" / "audio", "a", Wav(44100))
    assert len(list(blocks)) == 2


def run(code: str, *arguments: str) -> str:
    """What a process of its own says to a piece of code."""
    head = "import resource, sys\nimport numpy as np\nfrom distillgan.audio.mel import MelSpec\n"
    head += "from distillgan.synthesis.export import export\nfrom distillgan.audio.formats import Wav\n"
    head += "folder = __import__('pathlib').Path(sys.argv[1])\n"
    done = subprocess.run([sys.executable, "-c", head + code, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


FULL = """
from distillgan.errors import UserError

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def blocks():
    for second in range(20):
        yield np.random.default_rng(second).uniform(-0.5, 0.5, (1, 44100)).astype(np.float32)
        if second == int(sys.argv[2]):
            limit(1_000_000)

try:
    export(blocks(), MelSpec(), folder, "a", Wav(44100))
except UserError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on the size of files")
@pytest.mark.parametrize("second", [0, 19])
def test_a_disk_that_takes_no_more_leaves_nothing(tmp_path, second):
    """As full as it gets without being root: while the sound comes, and when it is over and made into a WAV."""
    said = run(FULL, str(tmp_path), str(second))
    assert "a.wav" in said and ("could not be written: the file would be larger" in said or "disk full" in said)
    assert os.listdir(tmp_path) == []


MEMORY = """
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))  # kB

def blocks(minutes):
    random = np.random.default_rng(0)
    for _ in range(minutes * 12):
        yield random.uniform(-0.5, 0.5, (1, 44100 * 5)).astype(np.float32)

export(blocks(1), MelSpec(), folder, "short", Wav(48000))
before = peak()
made = export(blocks(20), MelSpec(), folder, "long", Wav(48000))
print((peak() - before) / 1000, made.seconds)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_twenty_minutes_need_no_more_memory_than_one(tmp_path):
    megabytes, seconds = map(float, run(MEMORY, str(tmp_path)).split())
    assert seconds == 1200 and megabytes < 20  # as one array it would be 200, or 230 resampled
